//! Finding the agent: named by address or context, else by the lock of the default store, else started.

use std::path::Path;

use super::{detach, ssh};
use crate::base::{Fault, fault::Result};
use crate::client::{Address, Client, locate};
use crate::config::paths::store_file;
use crate::config::{Context, Loaded};

/// A client, and what has to live as long as it.
pub struct Reached {
    pub client: Client,
    _tunnel: Option<ssh::Tunnel>,
}

/// The context in use.
///
/// # Errors
/// `Invalid` when it is not configured.
pub fn context(loaded: &Loaded) -> Result<Option<&Context>> {
    let name = &loaded.config.client.context;
    if name.is_empty() {
        return Ok(None);
    }
    let known = &loaded.config.context;
    known.get(name).map(Some).ok_or_else(|| {
        let names: Vec<&str> = known.keys().map(String::as_str).collect();
        let there =
            if names.is_empty() { "there is none".to_owned() } else { format!("there are {}", names.join(", ")) };
        Fault::invalid(format!("no context named {name}"))
            .why(there)
            .next(format!("write [context.{name}] with agent = \"…\" into {}", loaded.file.display()))
    })
}

/// Reaches the agent. `via` is how the person came. With `start`, one is started when none was named and none answers.
///
/// # Errors
/// `Unavailable`, `Invalid` for an address, a context or a token file.
pub async fn reach(loaded: &Loaded, via: &'static str, start: bool) -> Result<Reached> {
    let context = context(loaded)?;
    let token = token(loaded, context)?;
    // A named agent beats a context that stands in the file; a context named together with it still gives the token.
    let client = &loaded.config.client;
    let named = [client.agent.as_str(), context.map_or("", |c| c.agent.as_str())].into_iter().find(|a| !a.is_empty());
    if let Some(named) = named {
        return match named.parse()? {
            Address::Ssh(host) => {
                let tunnel = ssh::Tunnel::open(&host, &loaded.paths).await?;
                let client = Client::new(Address::Unix(tunnel.socket().to_owned()), token, via)?;
                Ok(Reached { client, _tunnel: Some(tunnel) })
            }
            address => Ok(Reached { client: Client::new(address, token, via)?, _tunnel: None }),
        };
    }
    let found = match default_address(loaded) {
        Some(address) => Some(Client::new(address, token.clone(), via)?),
        None => None,
    };
    let client = match found {
        Some(client) if !start || client.status().await.is_ok() => client,
        _ if start => Client::new(detach::start(loaded).await?, token, via)?,
        _ => return Err(none(loaded)),
    };
    Ok(Reached { client, _tunnel: None })
}

/// Where the agent of the default store answers, if it says so.
pub fn default_address(loaded: &Loaded) -> Option<Address> {
    let agent = &loaded.config.agent;
    match store_file(&agent.store) {
        Some(file) => locate::holder_of(&file).map(|holder| locate::address_of(&holder)),
        // A database server's lock names its holder in the database; its socket's place is agreed upon.
        None => agent.socket.exists().then(|| Address::Unix(agent.socket.clone())),
    }
}

fn none(loaded: &Loaded) -> Fault {
    Fault::unavailable("no agent runs")
        .why(format!("no one holds the store {}", shown(&loaded.config.agent.store)))
        .next("start one with `opsroom agent`, or name another with --agent")
}

fn shown(store: &str) -> &str {
    if store.contains("://") { "on the database server" } else { store }
}

/// The token that this user's calls carry.
///
/// # Errors
/// `Invalid` for a token file that cannot be read.
pub fn own_token(loaded: &Loaded) -> Result<Option<String>> {
    token(loaded, context(loaded)?)
}

fn token(loaded: &Loaded, context: Option<&Context>) -> Result<Option<String>> {
    if let Some(token) = std::env::var("OPSROOM_TOKEN").ok().filter(|t| !t.trim().is_empty()) {
        return Ok(Some(token.trim().to_owned()));
    }
    let files = [loaded.config.client.token_file.as_path(), context.map_or(Path::new(""), |c| c.token_file.as_path())];
    let Some(file) = files.into_iter().find(|f| !f.as_os_str().is_empty()) else { return Ok(None) };
    let text = std::fs::read_to_string(file).map_err(|e| {
        Fault::invalid(format!("cannot read the token file {}", file.display()))
            .why(e.to_string())
            .next("see `opsroom token create`")
    })?;
    Ok(Some(text.trim().to_owned()))
}
