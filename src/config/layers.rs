//! Layers of settings: default < file < environment < flags. Each layer is a flat list of keys with their origin, so
//! that laying one over another is one loop, whatever the settings are.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::{Context, settings};
use crate::base::{Fault, fault::Result};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    File { path: PathBuf, line: usize },
    Variable(String),
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => write!(f, "--{name}"),
        }
    }
}

/// One value of a layer.
#[derive(Debug, Clone)]
pub struct Given {
    pub key: String,
    pub value: Value,
    pub origin: Origin,
}

/// The values that hold, by key.
pub type Merged = BTreeMap<String, (Value, Origin)>;

/// Lays a stronger layer over what holds so far.
pub fn lay(over: &mut Merged, layer: Vec<Given>) {
    for given in layer {
        over.insert(given.key, (given.value, given.origin));
    }
}

pub fn defaults() -> Vec<Given> {
    let given = |s: &settings::Setting| Given { key: s.key.clone(), value: s.default.clone(), origin: Origin::Default };
    settings::all().iter().map(given).collect()
}

/// # Errors
/// `Invalid` when a variable is not of its setting's type.
pub fn environment(look_up: impl Fn(&str) -> Option<String>) -> Result<Vec<Given>> {
    let mut layer = Vec::new();
    for setting in settings::all() {
        // Both spellings of read-only are about.
        let also = (setting.key == "client.read_only").then_some("OPSROOM_READONLY");
        let names = [Some(setting.variable()), also.map(str::to_owned)];
        let found = names.into_iter().flatten().find_map(|n| look_up(&n).filter(|t| !t.is_empty()).map(|t| (n, t)));
        let Some((name, text)) = found else { continue };
        let value = setting.read(&text, &name)?;
        layer.push(Given { key: setting.key.clone(), value, origin: Origin::Variable(name) });
    }
    Ok(layer)
}

/// Flags as (name without dashes, text); names that are no setting's are left to others.
///
/// # Errors
/// `Invalid` when a text is not of its setting's type.
pub fn flags(given: &[(String, String)]) -> Result<Vec<Given>> {
    let mut layer = Vec::new();
    for (name, text) in given {
        let Some(setting) = settings::all().iter().find(|s| s.flag == *name) else { continue };
        let value = setting.read(text, &format!("--{name}"))?;
        layer.push(Given { key: setting.key.clone(), value, origin: Origin::Flag(name.clone()) });
    }
    Ok(layer)
}

/// # Errors
/// `Invalid` with the line, for what cannot be read, an unknown key or a wrong type.
pub fn file(path: &Path, text: &str) -> Result<Vec<Given>> {
    let at = |offset: usize| text[..offset.min(text.len())].bytes().filter(|b| *b == b'\n').count() + 1;
    let unreadable = |e: &toml::de::Error| {
        let line = e.span().map_or(1, |span| at(span.start));
        Fault::invalid(format!("{} line {line}: {}", path.display(), e.message()))
            .next("mend the line, or see `opsroom config show`")
    };
    let spans = DeTable::parse(text).map_err(|e| unreadable(&e))?;
    let values: Table = toml::from_str(text).map_err(|e| unreadable(&e))?;
    let mut leaves = Vec::new();
    walk(spans.get_ref(), &values, "", 0, &mut leaves);
    let mut layer = Vec::new();
    for (key, offset, value) in leaves {
        let line = at(offset);
        check(&key, &value, &format!("{} line {line}", path.display()))?;
        layer.push(Given { key, value, origin: Origin::File { path: path.to_owned(), line } });
    }
    Ok(layer)
}

/// Values with their dotted key and their offset. Sections are two floors deep, contexts three.
fn walk(spans: &DeTable<'_>, values: &Table, prefix: &str, depth: usize, leaves: &mut Vec<(String, usize, Value)>) {
    let entry = |name: &Spanned<std::borrow::Cow<'_, str>>| (name.get_ref().to_string(), name.span().start);
    for (name, node) in spans {
        let (name, offset) = entry(name);
        let Some(value) = values.get(&name) else { continue };
        let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match (node.get_ref(), value) {
            (DeValue::Table(spans), Value::Table(values)) if depth < 2 && !values.is_empty() => {
                walk(spans, values, &key, depth + 1, leaves);
            }
            (DeValue::Table(_), Value::Table(values)) if values.is_empty() => {}
            _ => leaves.push((key, offset, value.clone())),
        }
    }
}

fn check(key: &str, value: &Value, from: &str) -> Result<()> {
    if let Some(setting) = settings::find(key) {
        return if setting.takes(value) { Ok(()) } else { Err(setting.wrong(&value.to_string(), from)) };
    }
    let context = Table::try_from(Context::default()).unwrap_or_default();
    let of_context =
        key.strip_prefix("context.").and_then(|rest| rest.rsplit_once('.')).and_then(|(_, name)| context.get(name));
    match of_context {
        Some(default) if default.same_type(value) => Ok(()),
        Some(default) => Err(Fault::invalid(format!("{from}: {key} takes a {}, not {value}", default.type_str()))),
        None => {
            Err(Fault::invalid(format!("{from}: unknown key {key}")).next("see `opsroom config show` for all keys"))
        }
    }
}

/// The nested table again, for serde.
pub fn unflatten(merged: &Merged) -> Table {
    let mut root = Table::new();
    for (key, (value, _)) in merged {
        let mut parts: Vec<&str> = key.split('.').collect();
        // A context's name may hold dots itself.
        if parts.len() > 3 {
            let name = &key[parts[0].len() + 1..key.len() - parts[parts.len() - 1].len() - 1];
            parts = vec![parts[0], name, parts[parts.len() - 1]];
        }
        put(&mut root, &parts, value);
    }
    root
}

fn put(table: &mut Table, key: &[&str], value: &Value) {
    match key {
        [] => {}
        [name] => drop(table.insert((*name).to_owned(), value.clone())),
        [folder, rest @ ..] => {
            let inner = table.entry((*folder).to_owned()).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        file(Path::new("o.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn a_bad_file_names_its_line() {
        assert!(
            refusal("[agent]\n\nlisten = \"a\"\nlisten_on = 1\n")
                .starts_with("o.toml line 4: unknown key agent.listen_on")
        );
        assert!(refusal("[agent]\nlisten = 1\n").starts_with("o.toml line 2: agent.listen takes a text, not 1"));
        assert!(refusal("[agent]\nbody_bytes_max = -1").starts_with("o.toml line 2"));
        assert!(refusal("[agent]\nlisten = \n").starts_with("o.toml line 2"));
        assert!(refusal("listen = 1").starts_with("o.toml line 1: unknown key listen"));
        assert!(refusal("[context.prod]\nagnt = \"x\"").starts_with("o.toml line 2: unknown key context.prod.agnt"));
        assert!(
            refusal("[context.prod]\nread_only = 3")
                .starts_with("o.toml line 2: context.prod.read_only takes a boolean")
        );
    }

    #[test]
    fn the_stronger_layer_wins_and_says_so() {
        let mut merged = Merged::new();
        lay(&mut merged, defaults());
        lay(
            &mut merged,
            file(Path::new("o.toml"), "[agent]\nlisten = \"file\"\nbadge = \"file\"\nstore = \"file\"").unwrap(),
        );
        // A switch takes no number.
        let left_out = ["OPSROOM_AGENT_STORE", "OPSROOM_AGENT_EXEC"];
        let variables =
            |name: &str| (!left_out.contains(&name) && name.starts_with("OPSROOM_AGENT_")).then(|| "7".to_owned());
        lay(&mut merged, environment(variables).unwrap());
        lay(
            &mut merged,
            flags(&[("badge".to_owned(), "flag".to_owned()), ("other".to_owned(), "x".to_owned())]).unwrap(),
        );
        let shown = |key: &str| format!("{} {}", merged[key].0, merged[key].1);
        assert_eq!(shown("agent.store"), "\"file\" o.toml:4");
        assert_eq!(shown("agent.listen"), "\"7\" OPSROOM_AGENT_LISTEN");
        assert_eq!(shown("agent.body_bytes_max"), "7 OPSROOM_AGENT_BODY_BYTES_MAX");
        assert_eq!(shown("agent.badge"), "\"flag\" --badge");
        assert_eq!(shown("client.agent"), "\"\" default");
    }
}
