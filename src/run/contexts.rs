//! The agents that the room can change between: the contexts of the configuration, and the default store's.

use crate::base::fault::Result;
use crate::cli::{self, Session};
use crate::config::Loaded;
use crate::tui;

/// What the agent of the default store is called among contexts.
const DEFAULT: &str = "default";
pub const READ_ONLY: &str = "this session may only look";

/// What the agent in use is called: its context, else its address, else that it is the default store's.
pub fn name_of(loaded: &Loaded) -> String {
    let client = &loaded.config.client;
    [&client.agent, &client.context].into_iter().find(|n| !n.is_empty()).map_or(DEFAULT, String::as_str).to_owned()
}

/// The contexts as they are configured.
#[derive(Debug)]
pub struct Configured {
    loaded: Loaded,
    /// Asked for by flag or environment, so it holds on every agent.
    read_only: bool,
}

impl Configured {
    pub fn new(session: &Session) -> Self {
        Self { loaded: session.loaded.clone(), read_only: session.loaded.config.client.read_only }
    }

    async fn reach(&self, name: &str) -> Result<tui::Entered> {
        let mut loaded = self.loaded.clone();
        let client = &mut loaded.config.client;
        // A named agent would beat the context, and its token is for it alone.
        client.agent.clear();
        client.token_file.as_mut_os_string().clear();
        name.clone_into(&mut client.context);
        if name == DEFAULT {
            client.context.clear();
        }
        let only_looked_at = loaded.config.context.get(name).is_some_and(|c| c.read_only);
        let reached = cli::reach(&loaded, "tui", true).await?;
        reached.client.status().await?;
        Ok(tui::Entered {
            source: tui::source_of(reached.client.clone(), Box::new(reached)),
            read_only: (self.read_only || only_looked_at).then(|| READ_ONLY.to_owned()),
        })
    }
}

impl tui::Contexts for Configured {
    fn names(&self) -> Vec<String> {
        let configured = self.loaded.config.context.keys().cloned();
        configured.chain((!self.loaded.config.context.contains_key(DEFAULT)).then(|| DEFAULT.to_owned())).collect()
    }

    fn enter(&self, name: String) -> tui::Later<'_, Result<tui::Entered>> {
        Box::pin(async move { self.reach(&name).await })
    }
}
