//! `opsroom config`: every setting, its value, and where that came from.

use std::borrow::Cow;

use clap::Subcommand;
use serde::Serialize;

use super::print::{self, Page, Table};
use super::{Exit, Session};
use crate::base::fault::Result;
use crate::capability::training::environment::without_password;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Every key with its value and where it came from
    Show {
        /// Only keys that begin so
        prefix: Option<String>,
    },
    /// Where the files lie
    Path,
    /// A commented file with every key at its default
    Sample,
}

#[derive(Serialize)]
struct Value<'a> {
    value: Cow<'a, toml::Value>,
    origin: String,
}

/// # Errors
/// `Unavailable` when stdout cannot be written.
pub fn run(session: &Session, verb: &Verb) -> Result<Exit> {
    match verb {
        Verb::Show { prefix } => show(session, prefix.as_deref().unwrap_or_default())?,
        Verb::Path => path(session)?,
        Verb::Sample => print::out(crate::config::settings::SAMPLE.as_bytes())?,
    }
    Ok(Exit::Done)
}

fn show(session: &Session, prefix: &str) -> Result<()> {
    let chosen = session.loaded.values.iter().filter(|(key, _)| key.starts_with(prefix));
    let values: std::collections::BTreeMap<&str, Value<'_>> = chosen
        .map(|(key, (value, origin))| (key.as_str(), Value { value: public(key, value), origin: origin.to_string() }))
        .collect();
    print::answer(session.format, &values, |values| {
        let mut table = Table::new(&["KEY", "VALUE", "FROM"]);
        for (key, v) in values {
            table.row([(*key).to_owned(), v.value.to_string(), v.origin.clone()]);
        }
        table.into()
    })
}

/// What may be shown of a value: receivers carry keys in their addresses, stores passwords.
fn public<'a>(key: &str, value: &'a toml::Value) -> Cow<'a, toml::Value> {
    match (key, value) {
        ("agent.notify", toml::Value::Array(items)) if !items.is_empty() => {
            let kinds = items.iter().filter_map(|i| i.as_str()?.split(':').next());
            Cow::Owned(toml::Value::Array(kinds.map(|kind| format!("{kind}:…").into()).collect()))
        }
        ("agent.otlp_headers", toml::Value::Array(items)) if !items.is_empty() => {
            let names = items.iter().filter_map(|i| i.as_str()?.split('=').next());
            Cow::Owned(toml::Value::Array(names.map(|name| format!("{name}=…").into()).collect()))
        }
        ("agent.heartbeat_url", toml::Value::String(url)) if !url.is_empty() => Cow::Owned("…".into()),
        ("agent.store", toml::Value::String(url)) => {
            without_password(url).map_or(Cow::Borrowed(value), |shown| Cow::Owned(shown.into()))
        }
        _ => Cow::Borrowed(value),
    }
}

fn path(session: &Session) -> Result<()> {
    let paths = &session.loaded.paths;
    let places = [
        ("config", session.loaded.file.clone()),
        ("data", paths.data.clone()),
        ("store", session.loaded.config.agent.store.clone().into()),
        ("artifacts", session.loaded.config.agent.artifacts.clone().into()),
        ("state", paths.state.clone()),
        ("log", paths.log()),
        ("cache", paths.cache.clone()),
    ];
    let places: serde_json::Map<String, serde_json::Value> =
        places.into_iter().map(|(name, path)| (name.to_owned(), path.display().to_string().into())).collect();
    print::answer(session.format, &places, |places| {
        let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
        Page::default().pairs(places.iter().map(|(name, path)| (name.as_str(), text(path))))
    })
}
