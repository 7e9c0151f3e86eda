//! The typed client of the agent: what the room, the command line and the demo go through, always.

mod calls;
mod cost;
mod data;
mod evals;
mod export;
mod hosts;
mod incidents;
mod keeping;
pub mod locate;
mod mirrored;
mod monitoring;
mod services;
mod stop;
mod training;
mod transport;
mod wandb;

pub use calls::Events;
pub use stop::stop_tags;
pub use transport::{Address, Client};

use futures::Stream;
use tokio::io::AsyncReadExt;

const PIECE_BYTES: usize = 256 << 10;

/// A file in pieces, for the body of a request.
pub fn pieces(file: tokio::fs::File) -> impl Stream<Item = std::io::Result<bytes::Bytes>> {
    futures::stream::try_unfold(file, |mut file| async move {
        let mut piece = bytes::BytesMut::with_capacity(PIECE_BYTES);
        let read = file.read_buf(&mut piece).await?;
        Ok((read > 0).then(|| (piece.freeze(), file)))
    })
}
