//! Settings: default < file < environment < flags, and where each value came from.

mod agent;
pub mod layers;
pub mod paths;
pub mod settings;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use agent::AgentSettings;
pub use layers::Origin;
pub use paths::Paths;

use crate::base::{Fault, fault::Result};
use crate::capability;

/// All settings of opsroom. Unknown keys were refused with their line before this is made.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    pub client: ClientSettings,
    pub agent: AgentSettings,
    #[serde(flatten)]
    pub rooms: capability::Settings,
    pub context: BTreeMap<String, Context>,
}

/// How own clients find their agent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientSettings {
    /// `http(s)://HOST:PORT`, `unix:PATH` or `ssh://HOST`. Empty: the context's, else the default store's.
    pub agent: String,
    /// Name of a context.
    pub context: String,
    /// File that holds the token; `OPSROOM_TOKEN` is stronger.
    pub token_file: PathBuf,
    /// Refuses everything that would change something.
    pub read_only: bool,
    /// Theme of the room. Empty: what suits the terminal.
    pub theme: String,
    /// `unicode` or `ascii`. Empty: what the locale can show.
    pub glyphs: String,
    /// `truecolor`, `256`, `16` or `mono`. Empty: what the terminal says.
    pub color: String,
    /// `on` or `off`. Empty: on, but off over SSH.
    pub mouse: String,
    /// `bell`, `osc9`, `osc777`, `osc99` or `off`.
    pub notify: String,
    /// `native`, `tmux`, `osc52` or `file`. Empty: the first that there is.
    pub clipboard: String,
}

/// An agent under a name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Context {
    pub agent: String,
    pub token_file: PathBuf,
    pub read_only: bool,
}

/// A configuration with the origin of every value.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub config: Config,
    pub values: layers::Merged,
    /// The file that was read, or would be.
    pub file: PathBuf,
    pub paths: Paths,
}

impl Loaded {
    /// Lays all layers. `flags` are (name without dashes, text). A file named by the caller has to exist.
    ///
    /// # Errors
    /// `Invalid` with file and line, variable or flag; `NotFound` for a named file that is not there.
    pub fn load(file: Option<&Path>, flags: &[(String, String)]) -> Result<Self> {
        let paths = Paths::from_env();
        let named = file.map(ToOwned::to_owned).or_else(|| std::env::var_os("OPSROOM_CONFIG").map(PathBuf::from));
        let path = named.clone().unwrap_or_else(|| paths.config_file());
        let mut values = layers::Merged::new();
        layers::lay(&mut values, layers::defaults());
        match std::fs::read_to_string(&path) {
            Ok(text) => layers::lay(&mut values, layers::file(&path, &text)?),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && named.is_none() => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(
                    Fault::not_found(format!("no configuration at {}", path.display())).next("give another --config")
                );
            }
            Err(e) => return Err(Fault::invalid(format!("cannot read {}", path.display())).why(e.to_string())),
        }
        layers::lay(&mut values, layers::environment(|name| std::env::var(name).ok())?);
        layers::lay(&mut values, layers::flags(flags)?);
        Self::of(values, path, paths)
    }

    /// The defaults alone: what is left to work with when the file is bad and someone is on call.
    ///
    /// # Errors
    /// `Bug`.
    pub fn defaults() -> Result<Self> {
        let paths = Paths::from_env();
        let mut values = layers::Merged::new();
        layers::lay(&mut values, layers::defaults());
        Self::of(values, paths.config_file(), paths)
    }

    fn of(mut values: layers::Merged, file: PathBuf, paths: Paths) -> Result<Self> {
        fill_in(&mut values, &paths);
        let config = layers::unflatten(&values)
            .try_into()
            .map_err(|e: toml::de::Error| Fault::invalid("settings").why(e.message()))?;
        Ok(Self { config, values, file, paths })
    }

    /// How an agent is to run here, with the rooms' settings.
    pub fn agent_settings(&self) -> AgentSettings {
        AgentSettings { rooms: self.config.rooms.clone(), ..self.config.agent.clone() }
    }

    pub fn is_default(&self, key: &str) -> bool {
        self.values.get(key).is_none_or(|(_, origin)| *origin == Origin::Default)
    }
}

/// What was left empty follows from the store's place.
fn fill_in(values: &mut layers::Merged, paths: &Paths) {
    let mut set = |key: &str, change: &dyn Fn(&str) -> String| {
        let Some((held, _)) = values.get_mut(key) else { return String::new() };
        let text = change(held.as_str().unwrap_or_default());
        *held = toml::Value::String(text.clone());
        text
    };
    let default_store = paths.default_store();
    let store = set("agent.store", &|given| {
        if given.is_empty() { default_store.display().to_string() } else { absolute(given) }
    });
    let mut fill = |key: &str, value: &Path| {
        set(key, &|given| if given.is_empty() { value.display().to_string() } else { given.to_owned() })
    };
    let beside = |ending: &str| match paths::store_file(&store) {
        Some(path) => paths::with_ending(&path, ending),
        None => paths.data.join(format!("postgres{ending}")),
    };
    let artifacts =
        if Path::new(&store) == default_store { paths.data.join("artifacts") } else { beside(".artifacts") };
    fill("agent.artifacts", &artifacts);
    fill("agent.audit_heads", &beside(".heads"));
    fill("agent.socket", &paths.socket(&store));
}

/// Others who look the store up may stand in another folder.
fn absolute(store: &str) -> String {
    let file = paths::store_file(store).and_then(|file| std::path::absolute(file).ok());
    file.map_or_else(|| store.to_owned(), |file| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_empty_follows_from_the_store() {
        let paths = Paths { data: "/d/opsroom".into(), ..Paths::from_env() };
        let mut values = layers::Merged::new();
        layers::lay(&mut values, layers::defaults());
        layers::lay(&mut values, layers::flags(&[("store".to_owned(), "sqlite:/x/y.db".to_owned())]).unwrap());
        let loaded = Loaded::of(values, "o.toml".into(), paths).unwrap();
        let agent = loaded.agent_settings();
        assert_eq!(agent.artifacts, "/x/y.db.artifacts");
        assert_eq!(agent.socket, PathBuf::from("/x/y.db.sock"));
        assert_eq!(agent.audit_heads, "/x/y.db.heads");
    }

    #[test]
    fn contexts_may_have_dots_in_their_names() {
        let mut values = layers::Merged::new();
        layers::lay(&mut values, layers::file(Path::new("o"), "[context.\"a.b\"]\nagent = \"unix:/x\"").unwrap());
        let config: Config = layers::unflatten(&values).try_into().unwrap();
        assert_eq!(config.context["a.b"].agent, "unix:/x");
    }
}
