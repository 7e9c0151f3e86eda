//! The control room in the terminal: one owner of state, one channel of messages, one table of keys.
//!
//! [`update::update`] is pure and the only place where the [`state::State`] changes; [`view::view`] only draws it; what
//! talks to the outside comes back as a message. Colours stand in [`theme`] alone, keys in `config/keymap.toml` alone.

pub mod action;
pub mod ask;
mod dispatch;
mod effect;
pub mod export;
pub mod format;
pub mod glyph;
pub mod key;
pub mod keymap;
pub mod model;
pub mod msg;
pub mod overlay;
pub mod query;
pub mod remote;
mod run;
pub mod screen;
pub mod small;
mod source;
pub mod state;
mod terminal;
pub mod theme;
pub mod undo;
pub mod update;
pub mod view;
pub mod views;
pub mod widget;
pub mod wire;

use std::sync::Arc;

pub use effect::{Hear, Later, Source};
pub use run::{Options, run_on};

use crate::client::Client;

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
