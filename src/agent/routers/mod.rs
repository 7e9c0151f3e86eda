//! The agent's router: started or taken over, sent the newest table, and asked for what it counted. It is a process of its
//! own and serves on when the agent ends; the next agent finds it by its folder.

mod link;
mod tap;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use super::App;
use super::monitors::{QUIET, Woken, woken_by};
use super::targets::{self, TrafficTarget};
use crate::base::{Fault, Kind, fault::Result};
use crate::capability::access::Role;
use crate::capability::audit::{Via, Who};
use crate::capability::rollout::link::{Intent, RouterStatus, Windows, Wish};
use crate::capability::rollout::{self, Command as Rollouts, RouteTable};
use crate::capability::wire::TapCounts;
use crate::capability::{Actor, Command, Envelope, Hint, perform};
use crate::db::Source;
pub use link::Link;

/// Between two takings of counts, while there are any.
const PERIOD: Duration = Duration::from_secs(1);
/// Where it takes requests unless the settings say otherwise.
const LISTEN: &str = "127.0.0.1:6280";
/// How long a new router may take until it answers.
const PATIENCE: Duration = Duration::from_secs(10);

/// The folder of this store's router.
pub fn folder(app: &App) -> PathBuf {
    let socket = &app.settings().socket;
    socket.with_extension("router")
}

/// Runs as long as the agent.
pub async fn keep(app: App) {
    let mut hints = app.ctx().hints.listen();
    let folder = folder(&app);
    tokio::spawn(tap::keep(app.clone(), Link::to(&folder)));
    let mut routers = Routers {
        link: Link::to(&folder),
        folder,
        after: 0,
        router: String::new(),
        kept: HashSet::new(),
        told: String::new(),
    };
    loop {
        let done = tokio::select! {
            done = routers.tend(&app) => done,
            () = app.stopped() => break,
        };
        match &done {
            Ok(_) => routers.told.clear(),
            // Once a cause, not once a second.
            Err(fault) if fault.to_string() != routers.told => {
                routers.told = fault.to_string();
                tracing::warn!("router: {fault}");
            }
            Err(_) => {}
        }
        let rest = async {
            match done {
                Ok(Round::NoRouter) => tokio::time::sleep(QUIET).await,
                // It says when there is something to take; one of an earlier program cannot, and is asked.
                Ok(Round::Done) => {
                    let soonest = tokio::time::sleep(PERIOD);
                    drop(routers.link.news(routers.after).await);
                    soonest.await;
                }
                Err(_) => tokio::time::sleep(PERIOD).await,
            }
        };
        // A way back does not wait.
        let wanted = |h: &Hint| matches!(h, Hint::Rollouts | Hint::Everything);
        if woken_by(&app, &mut hints, rest, Duration::ZERO, wanted).await == Woken::End {
            break;
        }
    }
    if app.ends_all() && routers.link.status().await.is_ok() {
        // What it counted since is taken first.
        if let Err(fault) = targets::record(&app, &mut routers).await {
            tracing::warn!("router: {fault}");
        }
        if let Err(fault) = routers.link.stop().await {
            tracing::warn!("router: {fault}");
        }
    }
}

/// How a round went.
enum Round {
    /// Nothing is routed.
    NoRouter,
    Done,
}

struct Routers {
    link: Link,
    folder: PathBuf,
    /// The newest batch of counts that was recorded.
    after: i64,
    /// Whose batches these are.
    router: String,
    /// Routers of another program that did not hand over.
    kept: HashSet<String>,
    /// The trouble that was told of last.
    told: String,
}

impl Routers {
    /// One round: it runs, it serves by the newest table, its counts are in the store.
    async fn tend(&mut self, app: &App) -> Result<Round> {
        let mut table = rollout::route_table(Source::Pool(app.ctx().db.read())).await?;
        let wanted = !table.routes.is_empty() || !app.settings().router.is_empty();
        let status = match self.link.status().await {
            Ok(status) => status,
            Err(_) if !wanted => return Ok(Round::NoRouter),
            Err(_) => {
                let listen = if app.settings().router.is_empty() { LISTEN } else { &app.settings().router };
                self.after = 0;
                start(&self.folder, listen, &self.link).await?
            }
        };
        let tap = TapCounts { kept: status.events_kept, dropped: status.events_dropped, unreadable: 0 };
        let status = self.replaced(status).await;
        app.set_router(status.address.clone(), tap);
        if self.replay(app).await? {
            table = rollout::route_table(Source::Pool(app.ctx().db.read())).await?;
        }
        if status.generation > table.generation {
            // It went on without us: what the store says now has to be newer than that.
            let mut tx = app.ctx().db.begin().await?;
            rollout::raise_generation(&mut tx, status.generation + 1).await?;
            drop(tx.commit().await?);
            table = rollout::route_table(Source::Pool(app.ctx().db.read())).await?;
        }
        if table.generation != status.generation {
            self.apply(&table).await?;
        }
        app.set_served(table.generation);
        targets::record(app, self).await.map(|()| Round::Done)
    }

    /// A router of another program hands over to this one; where it does not, it goes on as it is.
    async fn replaced(&mut self, status: RouterStatus) -> RouterStatus {
        if status.build == crate::router::build() || self.kept.contains(&status.id) {
            return status;
        }
        let program = match std::env::current_exe() {
            Ok(program) if program.exists() => program,
            _ => return status,
        };
        let after = if self.router == status.id { self.after } else { 0 };
        match self.link.upgrade(&crate::router::Upgrade { program, after }).await {
            Ok(next) => {
                tracing::info!("router {} has taken over from {}", next.pid, status.pid);
                next
            }
            Err(fault) => {
                tracing::warn!("{fault}");
                self.kept.insert(status.id.clone());
                status
            }
        }
    }

    /// Does once more, with its record, what somebody decided at the router while no agent could be asked; whether there
    /// was anything.
    async fn replay(&self, app: &App) -> Result<bool> {
        let intents = self.link.intents().await?;
        for intent in &intents {
            match redo(app, intent).await {
                Ok(()) => {}
                // It holds no more, such as a rollout that has ended: the refusal stands in the trail.
                Err(fault) if !matches!(fault.kind, Kind::Unavailable | Kind::Bug) => {
                    tracing::warn!("intent {} of {}: {fault}", intent.id, intent.who);
                }
                Err(fault) => return Err(fault),
            }
            self.link.forget(&intent.id).await?;
        }
        Ok(!intents.is_empty())
    }
}

impl TrafficTarget for Routers {
    async fn apply(&mut self, table: &RouteTable) -> Result<()> {
        self.link.put_table(table).await.map(drop)
    }

    async fn counts(&mut self) -> Result<Windows> {
        let batch = self.link.windows(self.after).await?;
        if batch.router != self.router {
            // Another process counts from the beginning.
            (self.router, self.after) = (batch.router.clone(), 0);
        }
        Ok(batch)
    }

    fn settle(&mut self, sequence: i64) {
        self.after = sequence;
    }
}

async fn redo(app: &App, intent: &Intent) -> Result<()> {
    // The socket is its owner's alone, so the name is as good as by the agent's own socket.
    let who = Who { name: intent.who.clone(), verified: true, via: Via::Cli };
    let actor = Actor { who, role: Role::Operator, can_give_reason: true };
    let service = intent.service.clone();
    let command = match intent.what {
        Wish::Drop => Rollouts::DropRollout { service },
        Wish::Rollback => Rollouts::Rollback { service, to: None },
    };
    let reason = format!("{} (at the router, {})", intent.reason, intent.at);
    let envelope =
        Envelope { idempotency_key: Some(intent.id.clone()), ..Envelope::new(Command::Rollouts(command), reason) };
    perform(app.ctx(), &actor, envelope).await.map(drop)
}

/// Starts a router that outlives this process.
async fn start(folder: &Path, listen: &str, link: &Link) -> Result<RouterStatus> {
    use std::os::unix::fs::DirBuilderExt;
    let problem = |e: std::io::Error| Fault::unavailable("the router cannot be started").why(e.to_string());
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(problem)?;
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("router.log")).map_err(problem)?;
    let program = std::env::current_exe().map_err(problem)?;
    let mut child = std::process::Command::new(program)
        .args(["router", "--detached", "--listen", listen, "--folder"])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(problem)?;
    let began = crate::base::clock::Stopwatch::start();
    while began.elapsed() < PATIENCE {
        if let Ok(status) = link.status().await {
            tracing::info!("router listening on {}", status.address);
            // It is nobody's child from now on, but its end must not leave a corpse while we run.
            std::thread::spawn(move || child.wait());
            return Ok(status);
        }
        if let Ok(Some(ended)) = child.try_wait() {
            let log = std::fs::read_to_string(folder.join("router.log")).unwrap_or_default();
            let last = log.lines().last().unwrap_or_default().to_owned();
            return Err(Fault::unavailable("the router did not start")
                .why(format!("{ended}: {last}"))
                .next("choose another address with --router"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(Fault::unavailable("the router does not answer").next(format!("see {}", folder.join("router.log").display())))
}
