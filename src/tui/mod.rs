//! The control room in the terminal: one owner of state, one channel of messages, one table of keys.
//!
//! [`update::update`] is pure and the only place where the [`state::State`] changes; [`view::view`] only draws it; what
//! talks to the outside comes back as a message. Colours stand in [`theme`] alone, keys in `config/keymap.toml` alone.

pub mod action;
pub mod ask;
mod clipboard;
mod dispatch;
mod effect;
pub mod export;
pub mod format;
pub mod fuzzy;
pub mod glyph;
pub mod key;
pub mod keymap;
pub mod model;
mod mouse;
pub mod msg;
pub mod nav;
mod notice;
pub mod overlay;
pub mod past;
mod prepare;
mod probe;
pub mod query;
pub mod remote;
mod run;
pub mod screen;
pub mod session;
pub mod small;
mod source;
pub mod span;
pub mod state;
mod terminal;
pub mod theme;
pub mod undo;
pub mod update;
pub mod verb;
pub mod view;
pub mod views;
pub mod widget;
pub mod wire;

use std::sync::Arc;

pub use clipboard::Clipboard;
pub use effect::{Contexts, Entered, Hear, Later, Source};
pub use notice::Notice;
pub use prepare::Options;
pub use run::run_on;

use crate::client::Client;

/// What an agent shows, told by a client. `keep` lives as long as it: a tunnel, for one.
pub fn source_of(client: Client, keep: Box<dyn std::any::Any + Send + Sync>) -> Arc<dyn Source> {
    Arc::new(source::Agent::keeping(client, keep))
}

/// Opens the room on an agent and stays until the person leaves.
///
/// # Errors
/// There is no terminal, or it cannot be written to.
pub async fn run(client: Client, options: Options) -> anyhow::Result<()> {
    run_on(source_on(client), options).await
}

/// What the room shows and does, as an agent answers it.
pub fn source_on(client: Client) -> Arc<dyn Source> {
    Arc::new(source::Agent::new(client))
}
