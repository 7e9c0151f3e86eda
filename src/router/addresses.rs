//! Addresses that services have of their own, beside their path at the router's: opened and closed as the table says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::state::State;
use super::worker::Own;

/// Between two looks at an address that could not be opened.
const PERIOD: Duration = Duration::from_secs(1);

/// Runs as long as the router takes requests.
pub async fn keep(state: Arc<State>, ways: Vec<mpsc::UnboundedSender<Own>>) {
    let mut open: BTreeMap<(String, String), JoinHandle<()>> = BTreeMap::new();
    loop {
        let table = state.table();
        let routes = table.table.routes.iter();
        let wanted: Vec<(String, String)> =
            routes.filter_map(|r| Some((r.listen.clone()?, r.service.clone()))).collect();
        open.retain(|key, task| {
            let stays = wanted.contains(key);
            if !stays {
                task.abort();
            }
            stays
        });
        let mut problems = Vec::new();
        for key in wanted {
            if open.contains_key(&key) {
                continue;
            }
            match TcpListener::bind(&key.0).await {
                Ok(listener) => {
                    let task = tokio::spawn(take(listener, key.1.as_str().into(), ways.clone()));
                    open.insert(key, task);
                }
                Err(e) => problems.push(format!("{} cannot have {}: {e}", key.1, key.0)),
            }
        }
        state.set_problems(problems);
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = state.stopped() => break,
        }
    }
    open.values().for_each(JoinHandle::abort);
}

/// Hands each connection to the next worker.
async fn take(listener: TcpListener, service: Arc<str>, ways: Vec<mpsc::UnboundedSender<Own>>) {
    for way in ways.iter().cycle() {
        match listener.accept().await.and_then(|(stream, _)| stream.into_std()) {
            // A worker that has ended takes none: the router is stopping.
            Ok(stream) => drop(way.send((stream, service.clone()))),
            Err(e) => {
                tracing::warn!("accept: {e}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}
