//! Model servers that the agent starts: each version of a service with a launch command gets a process of its own, which
//! outlives the agent. What is wanted is read from the store, what runs from the kernel, so a restart adopts what it finds.

mod process;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use super::App;
use super::monitors::{QUIET, SETTLE, Woken, woken_by};
use crate::base::{Fault, Timestamp, fault::Result};
use crate::capability::rollout::{self, Server, ServerState, Standing};
use crate::capability::{Hint, registry};
use crate::db::Source;
use process::Process;

/// While a server runs or is to be stopped. One that is wanted anew gives a hint.
const PERIOD: Duration = Duration::from_secs(1);
/// Callers of a version that is wanted no more are let go before its server is stopped.
const DRAIN_US: i64 = 5_000_000;
/// Between two starts: doubled with each attempt.
const PAUSE_US: i64 = 1_000_000;
const PAUSE_DOUBLINGS_MAX: u32 = 6;
/// A server that stayed ready for so long has proved itself.
const PROVED_US: i64 = 60_000_000;

type Key = (String, u32);

/// Runs as long as the agent.
pub async fn keep(app: App) {
    let mut hints = app.ctx().hints.listen();
    let mut supervisor = Supervisor { folder: folder(&app), unwanted: HashMap::new(), known: None };
    loop {
        let watches = supervisor.tend(&app).await.unwrap_or_else(|fault| {
            tracing::warn!("model servers: {fault}");
            true
        });
        let period = tokio::time::sleep(if watches { PERIOD } else { QUIET });
        let wanted = |h: &Hint| matches!(h, Hint::Rollouts | Hint::Everything);
        match woken_by(&app, &mut hints, period, SETTLE, wanted).await {
            Woken::Hint => supervisor.known = None,
            Woken::Else => {}
            Woken::End => break,
        }
    }
    if app.ends_all()
        && let Err(fault) = supervisor.stop_all(&app).await
    {
        tracing::warn!("model servers: {fault}");
    }
}

/// Where logs and fetched artifacts lie.
fn folder(app: &App) -> PathBuf {
    app.settings().socket.with_extension("servers")
}

struct Supervisor {
    folder: PathBuf,
    /// Since when each server that still runs is wanted no more.
    unwanted: HashMap<Key, Timestamp>,
    /// What the store said last; read anew after each hint, and now and then.
    known: Option<Known>,
}

struct Known {
    at: Timestamp,
    services: Vec<Standing>,
    servers: HashMap<Key, Server>,
}

impl Known {
    async fn read(app: &App) -> Result<Self> {
        let source = || Source::Pool(app.ctx().db.read());
        let at = app.now();
        let services = rollout::services(source()).await?;
        let servers = rollout::servers(source()).await?;
        let servers = servers.into_iter().map(|s| ((s.service.clone(), s.version), s)).collect();
        Ok(Self { at, services, servers })
    }
}

impl Supervisor {
    /// One round: what is wanted runs or is about to, what is not is stopped. Whether there is anything to watch.
    async fn tend(&mut self, app: &App) -> Result<bool> {
        let known = match self.known.take() {
            Some(known) if app.now() < known.at.plus(QUIET) => known,
            _ => Known::read(app).await?,
        };
        let mut wanted = Vec::new();
        for standing in &known.services {
            for version in standing.wanted_servers() {
                let key = (standing.service.name.clone(), version);
                self.unwanted.remove(&key);
                let before = known.servers.get(&key);
                if let Some(server) = self.serve(app, standing, version, before).await?
                    && before != Some(&server)
                {
                    keep_server(app, &server, before).await?;
                }
                wanted.push(key);
            }
        }
        for (key, server) in known.servers.iter().filter(|(key, _)| !wanted.contains(key)) {
            let since = *self.unwanted.entry(key.clone()).or_insert_with(|| app.now());
            if app.now().0 - since.0 >= DRAIN_US {
                Process::of(server).stop().await;
                forget(app, server).await?;
                self.unwanted.remove(key);
            }
        }
        let watches = !wanted.is_empty() || !known.servers.is_empty();
        self.known = Some(known);
        Ok(watches)
    }

    /// How the server of a version stands after this round; `None` while nothing can be said.
    async fn serve(
        &self,
        app: &App,
        standing: &Standing,
        version: u32,
        before: Option<&Server>,
    ) -> Result<Option<Server>> {
        let Some(launch) = &standing.service.launch else { return Ok(None) };
        let now = app.now();
        let mut server = before.cloned().unwrap_or_else(|| self.fresh(standing, version, now));
        if !app.settings().exec {
            "the agent may not run programs: agent.exec is off".clone_into(&mut server.why);
            server.attempts = server.attempts.max(rollout::server::ATTEMPTS_MAX);
            return Ok(Some(server));
        }
        let process = Process::of(&server);
        if server.pid != 0 && process.lives() {
            return Ok(Some(self.look_at(server, launch, &process, now).await));
        }
        if server.state != ServerState::Waiting {
            if server.pid != 0 {
                server.why = format!("it ended: {}", process::last_line(&server.log));
            }
            server = Server { state: ServerState::Waiting, pid: 0, since: now, ..server };
        }
        let pause = PAUSE_US << server.attempts.min(PAUSE_DOUBLINGS_MAX);
        if server.attempts > 0 && now.0 - server.since.0 < pause {
            return Ok(Some(server));
        }
        Ok(Some(self.start(app, standing, server, now).await))
    }

    fn fresh(&self, standing: &Standing, version: u32, now: Timestamp) -> Server {
        let name = &standing.service.name;
        Server {
            service: name.clone(),
            version,
            url: String::new(),
            state: ServerState::Waiting,
            pid: 0,
            pid_began: 0,
            command: Vec::new(),
            since: now,
            ready_at: None,
            attempts: 0,
            why: String::new(),
            log: self.folder.join(format!("{name}.v{version}.log")).display().to_string(),
        }
    }

    /// A process that lives: is it ready, does it keep to its bounds?
    async fn look_at(&self, server: Server, launch: &rollout::Launch, process: &Process, now: Timestamp) -> Server {
        let over = launch.memory_mib.map(|most| (process.memory_mib(), most)).filter(|(used, most)| used > most);
        if let Some((used, most)) = over {
            process.stop().await;
            let why = format!("it used {used} MiB, {most} are allowed");
            return Server {
                state: ServerState::Waiting,
                pid: 0,
                since: now,
                attempts: server.attempts + 1,
                why,
                ..server
            };
        }
        let age = now.0 - server.since.0;
        match server.state {
            ServerState::Ready if server.attempts > 0 && age > PROVED_US => Server { attempts: 0, ..server },
            ServerState::Ready => server,
            _ if process::is_ready(&server.url, &launch.ready).await => {
                tracing::info!("{} v{} is ready at {}", server.service, server.version, server.url);
                let ready_at = server.ready_at.or(Some(now));
                Server { state: ServerState::Ready, since: now, ready_at, why: String::new(), ..server }
            }
            _ if age > i64::try_from(launch.ready_seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000) => {
                process.stop().await;
                let why = format!("{} did not answer within {} s", launch.ready, launch.ready_seconds);
                Server { state: ServerState::Waiting, pid: 0, since: now, why, ..server }
            }
            _ => server,
        }
    }

    async fn start(&self, app: &App, standing: &Standing, server: Server, now: Timestamp) -> Server {
        let attempts = server.attempts + 1;
        match self.started(app, standing, &server).await {
            Ok((process, command, url)) => Server {
                state: ServerState::Starting,
                pid: process.pid,
                pid_began: process.began,
                since: now,
                command,
                url,
                attempts,
                ..server
            },
            Err(fault) => Server { since: now, attempts, why: fault.to_string(), ..server },
        }
    }

    async fn started(&self, app: &App, standing: &Standing, server: &Server) -> Result<(Process, Vec<String>, String)> {
        let service = &standing.service;
        let launch = service.launch.as_ref().ok_or_else(|| Fault::bug("no launch command"))?;
        let port = process::port(&server.url)?;
        let artifact = if launch.command.iter().any(|word| word.contains("{artifact}")) {
            artifact(app, &service.model, server.version, &self.folder).await?
        } else {
            String::new()
        };
        let fill = |word: &String| {
            let word = word.replace("{artifact}", &artifact).replace("{port}", &port.to_string());
            word.replace("{model}", &service.model).replace("{version}", &server.version.to_string())
        };
        let command: Vec<String> = launch.command.iter().map(fill).collect();
        let process = Process::start(&command, &server.log)?;
        Ok((process, command, format!("http://127.0.0.1:{port}")))
    }

    async fn stop_all(&self, app: &App) -> Result<()> {
        for server in rollout::servers(Source::Pool(app.ctx().db.read())).await? {
            Process::of(&server).stop().await;
            let stopped = Server { state: ServerState::Waiting, pid: 0, attempts: 0, ready_at: None, ..server };
            keep_server(app, &stopped, None).await?;
        }
        Ok(())
    }
}

/// The folder of a version's artifact on this machine.
async fn artifact(app: &App, model: &str, version: u32, folder: &std::path::Path) -> Result<String> {
    let view = registry::model(Source::Pool(app.ctx().db.read()), model, None).await?;
    let found = view.version(version).ok_or_else(|| registry::missing_version(model, version))?;
    let frozen = found.doc.artifact.as_ref().ok_or_else(|| {
        Fault::invalid(format!("the artifact of {model} v{version} is not kept here"))
            .why(format!("it lies at {}", found.doc.source))
            .next("write the launch command without {artifact}, or register the version from files")
    })?;
    let blobs = app.ctx().artifacts.blobs();
    let path = match blobs.root() {
        Some(root) => root.join(&frozen.path),
        None => fetched(blobs, &frozen.path, &frozen.digest, folder).await?,
    };
    if !path.exists() {
        return Err(Fault::not_found(format!("the artifact of {model} v{version} is missing"))
            .why(format!("nothing lies at {}", path.display()))
            .next("restore the artifacts of the last backup"));
    }
    Ok(path.display().to_string())
}

/// Copies an artifact out of an object store, once.
async fn fetched(
    blobs: &crate::db::blobs::Blobs,
    path: &str,
    digest: &str,
    folder: &std::path::Path,
) -> Result<PathBuf> {
    let problem = |e: std::io::Error| Fault::unavailable("the artifact cannot be copied here").why(e.to_string());
    let to = folder.join("artifacts").join(digest.trim_start_matches("blake3:"));
    if to.is_dir() {
        return Ok(to);
    }
    let coming = to.with_extension("coming");
    for (file, _) in blobs.tree(path).await? {
        let below = file.strip_prefix(path).unwrap_or(&file).trim_start_matches('/').to_owned();
        let at = coming.join(below);
        std::fs::create_dir_all(at.parent().unwrap_or(&coming)).map_err(problem)?;
        std::fs::write(&at, blobs.read(&file).await?).map_err(problem)?;
    }
    std::fs::rename(&coming, &to).map_err(problem)?;
    Ok(to)
}

/// Routers hear of an address when it begins to answer.
async fn keep_server(app: &App, server: &Server, before: Option<&Server>) -> Result<()> {
    let address = |s: &Server| s.was_ready().then(|| s.url.clone());
    let reroutes = before.and_then(address) != address(server);
    let mut tx = app.ctx().db.begin().await?;
    rollout::put_server(&mut tx, server, reroutes).await?;
    drop(tx.commit().await?);
    app.ctx().hints.give(Hint::Rollouts);
    Ok(())
}

async fn forget(app: &App, server: &Server) -> Result<()> {
    let mut tx = app.ctx().db.begin().await?;
    rollout::remove_server(&mut tx, server).await?;
    drop(tx.commit().await?);
    app.ctx().hints.give(Hint::Rollouts);
    Ok(())
}
