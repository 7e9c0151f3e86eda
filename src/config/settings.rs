//! Every setting with its key, default and meaning: the one table that file, environment and flags follow.

use std::sync::LazyLock;

use toml::{Table, Value};

use super::Config;
use crate::base::{Fault, fault::Result};

/// The commented sample; a test keeps it equal to the defaults.
pub const SAMPLE: &str = include_str!("../../config/opsroom.toml");

/// One setting.
#[derive(Debug, Clone)]
pub struct Setting {
    /// As in the file, with its section: `agent.listen`.
    pub key: String,
    pub default: Value,
    /// The sample's comment.
    pub help: String,
    /// Without its dashes: `agent.listen` is `listen`, `registry.reason_required` is `registry-reason-required`.
    pub flag: String,
}

/// All settings, in the sample's order.
pub fn all() -> &'static [Setting] {
    static ALL: LazyLock<Vec<Setting>> = LazyLock::new(from_defaults);
    &ALL
}

pub fn find(key: &str) -> Option<&'static Setting> {
    all().iter().find(|s| s.key == key)
}

impl Setting {
    /// `agent.listen` is `OPSROOM_AGENT_LISTEN`; the section of clients is left out: `OPSROOM_CONTEXT`.
    pub fn variable(&self) -> String {
        let name = self.key.strip_prefix("client.").unwrap_or(&self.key);
        format!("OPSROOM_{}", name.replace('.', "_").to_uppercase())
    }

    /// A value from the environment or a flag, which are texts.
    ///
    /// # Errors
    /// `Invalid` when it is not of the setting's type.
    pub fn read(&self, text: &str, from: &str) -> Result<Value> {
        let text = text.trim();
        let value = match &self.default {
            Value::String(_) => Some(Value::String(text.to_owned())),
            Value::Integer(_) => text.parse().ok().filter(|n: &i64| *n >= 0).map(Value::Integer),
            Value::Float(_) => text.parse().ok().map(Value::Float),
            Value::Boolean(_) => match text {
                "true" | "1" => Some(Value::Boolean(true)),
                "false" | "0" | "" => Some(Value::Boolean(false)),
                _ => None,
            },
            Value::Array(_) => {
                let items = text.split(',').map(str::trim).filter(|i| !i.is_empty());
                Some(Value::Array(items.map(|i| Value::String(i.to_owned())).collect()))
            }
            _ => None,
        };
        value.ok_or_else(|| self.wrong(text, from))
    }

    /// Whether a value has the default's type.
    pub fn takes(&self, value: &Value) -> bool {
        match (&self.default, value) {
            (Value::Float(_), Value::Integer(_)) => true,
            (Value::Integer(_), Value::Integer(n)) => *n >= 0,
            (Value::Array(_), Value::Array(items)) => items.iter().all(Value::is_str),
            (default, value) => default.same_type(value),
        }
    }

    pub fn wrong(&self, text: &str, from: &str) -> Fault {
        let wanted = match &self.default {
            Value::Integer(_) => "a whole number, 0 or more",
            Value::Float(_) => "a number",
            Value::Boolean(_) => "true or false",
            Value::Array(_) => "a list of texts",
            _ => "a text",
        };
        Fault::invalid(format!("{from}: {} takes {wanted}, not {text}", self.key))
    }
}

fn flag(key: &str) -> String {
    let own = |section| key.strip_prefix(section);
    own("client.").or_else(|| own("agent.")).unwrap_or(key).replace(['.', '_'], "-")
}

fn from_defaults() -> Vec<Setting> {
    let defaults = Table::try_from(Config::default()).unwrap_or_default();
    let mut section = String::new();
    let mut help = String::new();
    let mut settings = Vec::new();
    for line in SAMPLE.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else if let Some(comment) = line.strip_prefix('#') {
            help.push_str(comment);
            continue;
        } else if let Some((name, _)) = line.split_once(" = ")
            && let Some(default) = defaults.get(&section).and_then(|s| s.get(name))
        {
            let help = help.trim().trim_end_matches('.').to_owned();
            let key = format!("{section}.{name}");
            settings.push(Setting { flag: flag(&key), key, default: default.clone(), help });
        }
        help.clear();
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_every_key_with_its_default_and_a_comment() {
        let sample: Table = SAMPLE.parse().unwrap();
        let mut defaults = Table::try_from(Config::default()).unwrap();
        defaults.remove("context");
        assert_eq!(sample, defaults);
        let keys: usize = defaults.values().map(|section| section.as_table().unwrap().len()).sum();
        assert_eq!(all().len(), keys);
        assert!(all().iter().all(|s| !s.help.is_empty()), "{:?}", all().iter().find(|s| s.help.is_empty()));
    }

    #[test]
    fn names_of_variables_and_flags_follow_the_key() {
        let names = |key| (find(key).unwrap().variable(), find(key).unwrap().flag.clone());
        assert_eq!(names("agent.listen"), ("OPSROOM_AGENT_LISTEN".to_owned(), "listen".to_owned()));
        assert_eq!(names("client.context"), ("OPSROOM_CONTEXT".to_owned(), "context".to_owned()));
        let reason = ("OPSROOM_REGISTRY_REASON_REQUIRED".to_owned(), "registry-reason-required".to_owned());
        assert_eq!(names("registry.reason_required"), reason);
    }
}
