//! What every handler of the agent shares.

use std::sync::Arc;

use crate::base::Timestamp;
use crate::capability::Ctx;
use crate::config::AgentSettings;

/// The agent's state, shared by all handlers.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    ctx: Ctx,
    settings: AgentSettings,
    started: Timestamp,
    address: String,
    stop: tokio::sync::watch::Sender<bool>,
}

impl App {
    /// `address` is where it listens, `http://HOST:PORT`.
    pub fn new(ctx: Ctx, settings: AgentSettings, address: String) -> Self {
        let started = ctx.clock.now();
        Self(Arc::new(Inner { ctx, settings, started, address, stop: tokio::sync::watch::channel(false).0 }))
    }

    pub fn ctx(&self) -> &Ctx {
        &self.0.ctx
    }

    pub fn settings(&self) -> &AgentSettings {
        &self.0.settings
    }

    pub fn started(&self) -> Timestamp {
        self.0.started
    }

    pub fn address(&self) -> &str {
        &self.0.address
    }

    /// The store's address without secrets.
    pub fn store_shown(&self) -> String {
        self.0.settings.store.parse::<crate::db::StoreUrl>().map_or_else(|_| String::new(), |url| url.to_string())
    }

    pub fn now(&self) -> Timestamp {
        self.0.ctx.clock.now()
    }

    /// Asks the agent to drain and end.
    pub fn stop(&self) {
        self.0.stop.send_replace(true);
    }

    /// Resolves when the agent is asked to end.
    pub async fn stopped(&self) {
        let mut asked = self.0.stop.subscribe();
        // The sender lives as long as this does.
        let _ = asked.wait_for(|stop| *stop).await;
    }
}
