//! Where everything is put together: the only place that knows the agent and its clients at once.

mod contexts;
mod demo;
mod open;
mod restore;
mod router;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tracing::level_filters::LevelFilter;

use crate::base::{Fault, fault::Result};
use crate::cli::plain::{Place, Saying};
use crate::cli::{self, Agent, AgentVerb, Arguments, Exit, Format, Session, Verb};
use crate::client::Client;
use crate::config::{AgentSettings, Loaded};
use crate::db::{Db, StoreUrl, migrate};
use crate::tui::state::View;
use crate::{agent, tui};

/// A detached agent ends after this long without requests, unless the settings say otherwise, seconds.
const DETACHED_IDLE_SECONDS: u64 = 8 * 3600;

/// Parses, runs, and answers with the exit code.
pub fn main() -> ExitCode {
    let arguments = cli::parse();
    start_log(&arguments);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return cli::report(&Fault::bug("no runtime").why(e.to_string())),
    };
    let ended = runtime.block_on(run(arguments));
    // What still reads from a terminal or a pipe must not hold the process.
    runtime.shutdown_background();
    match ended {
        Ok(exit) => exit.code(),
        Err(fault) => cli::report(&fault),
    }
}

/// Clients say only what went wrong; an agent also what it does. `OPSROOM_LOG` (error, warn, info, debug) says otherwise.
fn start_log(arguments: &Arguments) {
    let agent = matches!(&arguments.verb, Some(Verb::Router(_) | Verb::Agent(Agent { verb: None, .. })));
    let usual = if agent { LevelFilter::INFO } else { LevelFilter::ERROR };
    let level = std::env::var("OPSROOM_LOG").ok().and_then(|l| l.parse().ok()).unwrap_or(usual);
    // Without colours: the crate is built without them, and asking for them on a terminal would panic.
    tracing_subscriber::fmt().with_max_level(level).with_ansi(false).with_writer(std::io::stderr).init();
}

async fn run(arguments: Arguments) -> Result<Exit> {
    let Arguments { global, verb } = arguments;
    if let Some(Verb::InSession(it)) = &verb {
        return Err(crate::local::run::in_session(&it.command));
    }
    let mut flags = global.flags();
    if let Some(Verb::Agent(agent)) = &verb {
        flags.extend(agent.settings().0.clone());
    }
    if let Some(Verb::Restore(restore)) = &verb {
        flags.extend(restore.flags());
    }
    let loaded = match Loaded::load(global.config.as_deref(), &flags) {
        // Whoever is on call gets the room, whatever stands in the file.
        Err(fault) if verb.is_none() => {
            cli::report(&fault);
            eprintln!("opsroom: the room opens with the defaults");
            Loaded::defaults()?
        }
        loaded => loaded?,
    };
    match verb {
        Some(Verb::Agent(Agent { verb: None, detached, .. })) => serve(&loaded, detached).await,
        Some(Verb::Agent(Agent { verb: Some(AgentVerb::Migrate { .. }), .. })) => bring_up_to_date(&loaded).await,
        Some(Verb::Router(it)) => router::run(&it).await,
        Some(Verb::Demo(demo)) => demo::run(&Session::new(loaded, &global)?, &demo).await,
        Some(Verb::Restore(restore)) => restore::run(&Session::new(loaded, &global)?, &restore).await,
        Some(Verb::Open { path }) => open::run(&Session::new(loaded, &global)?, &path).await,
        Some(verb) => match verb.place() {
            Ok(place) => {
                let (place, saying) = place?;
                show(&Session::new(loaded, &global)?, place, &saying).await
            }
            Err(verb) => cli::run(&Session::new(loaded, &global)?, *verb).await,
        },
        None => {
            // The room goes on until it is left; so do its sentences where a person reads them.
            let session = Session::new(loaded, &global)?;
            if session.format == Format::Table && !is_dumb() && check_terminal().is_ok() {
                return room(&session, Place::Overview).await;
            }
            let follow = session.format != Format::Json && std::io::stdout().is_terminal();
            cli::plain::say(&session, Place::Overview, &Saying { follow, ..Saying::default() }).await
        }
    }
}

/// A terminal that cannot move its cursor.
fn is_dumb() -> bool {
    std::env::var("TERM").is_ok_and(|t| t == "dumb")
}

/// A place of the room: drawn where there is a terminal that can, else in sentences.
async fn show(session: &Session, place: Place, saying: &Saying) -> Result<Exit> {
    if session.format != Format::Table || saying.follow || is_dumb() || check_terminal().is_err() {
        return cli::plain::say(session, place, saying).await;
    }
    room(session, place).await
}

/// The control room on the agent that is found, or started.
async fn room(session: &Session, place: Place) -> Result<Exit> {
    let reached = cli::reach(&session.loaded, "tui", true).await?;
    let place = place.found(&reached.client).await?;
    let contexts: Arc<dyn tui::Contexts> = Arc::new(contexts::Configured::new(session));
    let options = tui::Options { contexts: Some(contexts), place: view_of(place), ..room_options(session) };
    open_room(reached.client.clone(), options).await
}

/// Where the room opens.
fn view_of(place: Place) -> Option<View> {
    match place {
        Place::Overview => None,
        Place::Compare(ids) => Some(View::Compare(ids)),
        Place::Fleet => Some(View::Fleet),
        Place::Incident(id) => Some(View::Incident(id)),
        Place::Live(_) => Some(View::Live),
        Place::Runs => Some(View::Runs),
        Place::Run(id) => Some(View::Run(id)),
        Place::Registry { .. } => Some(View::Registry),
        Place::Audit(_) => Some(View::Audit),
    }
}

fn check_terminal() -> Result<()> {
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        return Ok(());
    }
    Err(Fault::invalid("the control room needs a terminal")
        .why("stdin or stdout is not one")
        .next("use a verb: `opsroom runs list`, `opsroom status`, or see `opsroom --help`"))
}

fn room_options(session: &Session) -> tui::Options {
    let client = &session.loaded.config.client;
    let given = |text: &String| Some(text.clone()).filter(|t| !t.is_empty());
    tui::Options {
        theme: given(&client.theme),
        glyphs: given(&client.glyphs),
        read_only: session.read_only().then(|| contexts::READ_ONLY.to_owned()),
        color: given(&client.color),
        mouse: given(&client.mouse),
        notify: given(&client.notify),
        clipboard: given(&client.clipboard),
        context: contexts::name_of(&session.loaded),
        contexts: None,
        config: Some(session.loaded.paths.config.clone()),
        state: Some(session.loaded.paths.state.clone()),
        place: None,
    }
}

async fn open_room(client: Client, options: tui::Options) -> Result<Exit> {
    let ended = tui::run(client, options).await;
    ended.map_err(|e| Fault::unavailable("the room ended").why(format!("{e:#}")))?;
    Ok(Exit::Done)
}

/// The agent in the foreground, until it is asked to end.
async fn serve(loaded: &Loaded, detached: bool) -> Result<Exit> {
    // The store, its artifacts and its keys are the owner's alone.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let mut settings = loaded.agent_settings();
    if detached {
        // Out of the terminal's session: closing it must not end the agent.
        let _ = rustix::process::setsid();
        if settings.idle_exit_seconds == 0 && loaded.is_default("agent.idle_exit_seconds") {
            settings.idle_exit_seconds = DETACHED_IDLE_SECONDS;
        }
        if loaded.is_default("agent.listen") {
            settings.listen = free_or_another(&settings.listen);
        }
    }
    if !settings.join.is_empty() {
        return join(loaded, settings).await;
    }
    let agent = start(settings).await?;
    let mut stdout = std::io::stdout();
    let ready = format!("agent listening on {}\nagent socket unix:{}\n", agent.address(), agent.socket().display());
    // Whoever started it may have closed the pipe; that is no reason not to serve.
    let _ = stdout.write_all(ready.as_bytes()).and_then(|()| stdout.flush());
    agent.run().await;
    Ok(Exit::Done)
}

/// An edge in the foreground, until it is asked to end.
async fn join(loaded: &Loaded, settings: AgentSettings) -> Result<Exit> {
    let given = Some(settings.token.clone()).filter(|t| !t.is_empty());
    let token = match given {
        Some(token) => Some(token),
        None => cli::own_token(loaded)?,
    };
    let url = settings.join.clone();
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(Fault::invalid(format!("not an agent's address: {url:?}")).next("write http://HOST:PORT"));
    }
    let problem = |e: std::io::Error| Fault::bug("cannot wait for signals").why(e.to_string());
    let mut terminate = signal(SignalKind::terminate()).map_err(problem)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(problem)?;
    let stopped = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let host = agent::host::name(&settings.host);
    println!("edge {host} of {url}");
    let join = agent::host::edge::Join { url, token, host, folder: loaded.paths.state.join("edge") };
    agent::host::edge::run(join, stopped).await?;
    Ok(Exit::Done)
}

/// Starts the agent so that it drains on SIGTERM and SIGINT.
async fn start(settings: AgentSettings) -> Result<agent::Agent> {
    let problem = |e: std::io::Error| Fault::bug("cannot wait for signals").why(e.to_string());
    let mut terminate = signal(SignalKind::terminate()).map_err(problem)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(problem)?;
    let agent = agent::start(settings).await?;
    let app = agent.app().clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => app.stop(),
            _ = interrupt.recv() => app.stop_all(),
        }
    });
    Ok(agent)
}

/// The address if no one listens there, else any port of the same host.
fn free_or_another(listen: &str) -> String {
    let Some((host, _)) = listen.rsplit_once(':') else { return listen.to_owned() };
    if std::net::TcpListener::bind(listen).is_ok() {
        return listen.to_owned();
    }
    tracing::warn!("{listen} is in use; the agent listens on another port");
    format!("{host}:0")
}

async fn bring_up_to_date(loaded: &Loaded) -> Result<Exit> {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let url: StoreUrl = loaded.agent_settings().store.parse()?;
    let lock = crate::db::lock::StoreLock::take(&url).await?;
    let db = Db::open(&url).await?;
    migrate::bring_up_to_date(&db, &url, true).await?;
    db.close().await;
    drop(lock);
    eprintln!("opsroom: {url} has this version's layout");
    Ok(Exit::Done)
}
