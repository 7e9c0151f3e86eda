//! Hints as server-sent events.

use std::convert::Infallible;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt};
use tokio_stream::wrappers::BroadcastStream;

use super::super::App;
use crate::capability::Hint;

pub(super) async fn events(State(app): State<App>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let hints = BroadcastStream::new(app.ctx().hints.listen()).map(|hint| {
        // Who fell behind reads everything again.
        let hint = hint.unwrap_or(Hint::Everything);
        Ok(Event::default().json_data(&hint).unwrap_or_default())
    });
    // The first event says that the line stands.
    let first = futures::stream::once(async { Ok(Event::default().json_data(Hint::Everything).unwrap_or_default()) });
    // Someone is looking for as long as the line stands.
    let busy = app.busy();
    let until_stop = first.chain(hints).take_until(async move { app.stopped().await }).inspect(move |_| _ = &busy);
    Sse::new(until_stop).keep_alive(KeepAlive::default())
}
