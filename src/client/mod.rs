//! The typed client of the agent: what the room, the command line and the demo go through, always.

mod calls;
mod transport;

pub use calls::Events;
pub use transport::{Address, Client};
