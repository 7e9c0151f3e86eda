//! Starting and ending an agent: the lock, the store, the listeners, the monitors.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;

use super::{App, auth, mlflow, monitors, native, telemetry, wandb};
use crate::base::{Clock, Fault, Holder, clock::SystemClock, fault::Result};
use crate::capability::monitoring::counters::Counters;
use crate::capability::tracking::{Artifacts, Tracking};
use crate::capability::{Ctx, Hints};
use crate::config::AgentSettings;
use crate::db::blobs::Blobs;
use crate::db::lock::StoreLock;
use crate::db::{Db, StoreUrl, migrate};

/// How long open requests may take to end once the agent was asked to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// An agent that is serving.
pub struct Agent {
    app: App,
    address: String,
    socket: PathBuf,
    db: Db,
    tasks: Vec<JoinHandle<()>>,
    // Given up last, when nothing writes any more.
    lock: StoreLock,
}

/// Starts an agent. When this returns, it answers.
///
/// # Errors
/// `Unavailable` when another agent holds the store, or store, folder or address cannot be had; `Refused` for a
/// store from a newer opsroom or on a network file system.
pub async fn start(settings: AgentSettings) -> Result<Agent> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let url: StoreUrl = settings.store.parse()?;
    let mut lock = StoreLock::take(&url).await?;
    let db = Db::open(&url).await?;
    if settings.passing {
        db.need_not_last().await?;
    }
    migrate::bring_up_to_date(&db, &url, false).await?;
    let hints = Hints::default();
    let tracking = Tracking::open(db.clone(), hints.clone()).await?;
    tracking.ensure_default(clock.now()).await?;
    let artifacts = Artifacts::open(&db, Blobs::open(&settings.artifacts)?).await?;
    let rooms = Arc::new(settings.rooms.clone());
    let counters = Counters::open(db.clone(), Some(artifacts.blobs().clone())).await?;
    let hours = crate::capability::cost::Hours::default();
    let gathered = crate::capability::rollout::judge::Gathered::default();
    let ctx = Ctx {
        db: db.clone(),
        clock: clock.clone(),
        hints,
        tracking,
        artifacts,
        counters,
        hours,
        gathered,
        settings: rooms,
    };

    let tcp = listen(&settings.listen).await?;
    let address = tcp.as_ref().map_or_else(String::new, |(_, address)| address.clone());
    let socket = settings.socket.clone();
    let unix = bind_socket(&socket)?;

    let holder = Holder {
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        pid: std::process::id(),
        address: address.clone(),
        socket: Some(socket.display().to_string()),
        since: clock.now(),
    };
    lock.announce(&holder).await?;
    let app = App::new(ctx, settings, address.clone());
    let router = router(app.clone());
    let mut tasks = vec![serve_unix(unix, router.clone(), app.clone())];
    tasks.extend(tcp.map(|(listener, _)| serve_tcp(listener, router, app.clone())));
    tasks.extend(monitors::start(&app)?);
    tasks.extend(telemetry::start(&app)?);
    Ok(Agent { app, address, socket, db, tasks, lock })
}

/// The listener and its address, `http://HOST:PORT`. An agent for one client only, on its socket, listens nowhere.
async fn listen(on: &str) -> Result<Option<(TcpListener, String)>> {
    if on.is_empty() {
        return Ok(None);
    }
    let listener = TcpListener::bind(on).await.map_err(|e| {
        Fault::unavailable(format!("cannot listen on {on}"))
            .why(e.to_string())
            .next("choose another address with --listen, port 0 picks a free one")
    })?;
    let address = listener.local_addr().map_err(|e| Fault::bug("no address").why(e.to_string()))?;
    Ok(Some((listener, format!("http://{address}"))))
}

/// Every route of the agent behind the one check of who is calling.
pub fn router(app: App) -> Router {
    Router::new()
        .merge(native::routes())
        .merge(mlflow::routes())
        .merge(telemetry::routes())
        .merge(wandb::routes())
        .layer(axum::middleware::from_fn_with_state(app.clone(), auth::identify))
        .with_state(app)
}

impl Agent {
    /// `http://HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub fn app(&self) -> &App {
        &self.app
    }

    /// Waits until the agent was asked to stop, drains, folds, and gives the store up.
    pub async fn run(self) {
        self.app.stopped().await;
        let drained = tokio::time::timeout(DRAIN, futures::future::join_all(self.tasks)).await;
        if drained.is_err() {
            tracing::warn!("some requests did not end within {} s and were cut off", DRAIN.as_secs());
        }
        if let Err(fault) = self.app.ctx().tracking.fold().await {
            tracing::warn!("last fold: {fault}; the journal keeps what was acknowledged");
        }
        let ctx = self.app.ctx();
        if let Err(fault) = ctx.counters.fold(ctx.clock.now()).await {
            tracing::warn!("last fold of counters: {fault}; the journal keeps what was acknowledged");
        }
        self.db.close().await;
        if let Err(e) = std::fs::remove_file(&self.socket) {
            tracing::debug!("socket: {e}");
        }
        drop(self.lock);
    }
}

fn serve_tcp(listener: TcpListener, router: Router, app: App) -> JoinHandle<()> {
    tokio::spawn(async move {
        let service = router.into_make_service_with_connect_info::<auth::Peer>();
        let stop = async move { app.stopped().await };
        if let Err(e) = axum::serve(auth::Prompt(listener), service).with_graceful_shutdown(stop).await {
            tracing::error!("listener: {e}");
        }
    })
}

fn serve_unix(listener: UnixListener, router: Router, app: App) -> JoinHandle<()> {
    tokio::spawn(async move {
        let service = router.into_make_service_with_connect_info::<auth::Peer>();
        let stop = async move { app.stopped().await };
        if let Err(e) = axum::serve(listener, service).with_graceful_shutdown(stop).await {
            tracing::error!("socket: {e}");
        }
    })
}

/// The socket is for its owner alone. What an agent left behind when it was killed is removed: the store's lock says
/// that it is gone.
fn bind_socket(path: &Path) -> Result<UnixListener> {
    let problem = |e: std::io::Error| {
        Fault::unavailable(format!("cannot open the socket {}", path.display()))
            .why(e.to_string())
            .next("choose another place with --socket")
    };
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(problem)?;
    }
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(problem(e)),
        _ => {}
    }
    // Made with mode 0600 from its first moment: no one slips in between bind and chmod.
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let bound = UnixListener::bind(path);
    rustix::process::umask(before);
    bound.map_err(problem)
}
