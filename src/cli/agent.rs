//! `opsroom agent`: its flags are the settings of the agent and of the rooms, made from the table of settings.

use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches, Subcommand, parser::ValueSource};
use serde::Serialize;

use super::{Exit, Session, detach, print, status};
use crate::base::clock::Stopwatch;
use crate::base::{Fault, Kind, fault::Result};
use crate::config::settings;

/// Runs the agent in the foreground, or asks about the one that runs.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Agent {
    #[command(flatten)]
    pub flags: SettingFlags,
    /// Leave the terminal; another port is taken when the default one is in use
    #[arg(long, hide = true)]
    pub detached: bool,
    #[command(subcommand)]
    pub verb: Option<AgentVerb>,
}

impl Agent {
    /// The settings that were given as flags.
    pub fn settings(&self) -> &SettingFlags {
        match &self.verb {
            Some(AgentVerb::Migrate { flags }) => flags,
            _ => &self.flags,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum AgentVerb {
    /// How the agent does
    Status,
    /// Start one that outlives the terminal
    Start,
    /// Let it finish what it is doing and end
    Stop,
    /// Bring a PostgreSQL store to this version's layout
    Migrate {
        #[command(flatten)]
        flags: SettingFlags,
    },
}

/// Settings given as flags.
#[derive(Debug, Clone, Default)]
pub struct SettingFlags(pub Vec<(String, String)>);

fn offered() -> impl Iterator<Item = (&'static str, &'static settings::Setting)> {
    let here = |s: &&settings::Setting| !s.key.starts_with("client.");
    settings::all().iter().filter(here).map(|s| (s.flag.as_str(), s))
}

impl Args for SettingFlags {
    fn augment_args(command: clap::Command) -> clap::Command {
        let flag = |(name, setting): (&'static str, &'static settings::Setting)| {
            let help = format!("{} [env: {}]", setting.help, setting.variable());
            Arg::new(name).long(name).help(help).action(ArgAction::Set).value_name("VALUE")
        };
        command.args(offered().map(flag))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |(name, _): (&'static str, _)| {
            let text: &String = matches.get_one(name)?;
            (matches.value_source(name) == Some(ValueSource::CommandLine)).then(|| (name.to_owned(), text.clone()))
        };
        Ok(Self(offered().filter_map(given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[derive(Serialize)]
struct Ended {
    stopped: bool,
    address: String,
    pid: u32,
}

/// # Errors
/// `Unavailable` when no agent runs.
pub async fn run(session: &Session, agent: Agent) -> Result<Exit> {
    match agent.verb {
        Some(AgentVerb::Status) => status::run(session).await,
        Some(AgentVerb::Start) => start(session).await,
        Some(AgentVerb::Stop) => stop(session).await,
        // The agent itself is put together where everything is.
        Some(AgentVerb::Migrate { .. }) | None => Err(Fault::bug("the agent runs elsewhere")),
    }
}

async fn start(session: &Session) -> Result<Exit> {
    if let Ok(client) = session.running().await
        && client.status().await.is_ok()
    {
        return status::run(session).await;
    }
    session.check_writable()?;
    detach::start(&session.loaded).await?;
    status::run(session).await
}

/// How long a draining agent may take.
const PATIENCE: Duration = Duration::from_secs(20);

async fn stop(session: &Session) -> Result<Exit> {
    session.check_writable()?;
    let client = session.running().await?;
    let before = client.status().await?;
    client.stop().await?;
    let watch = Stopwatch::start();
    while !matches!(client.status().await, Err(Fault { kind: Kind::Unavailable, .. })) {
        if watch.elapsed() > PATIENCE {
            return Err(Fault::unavailable(format!("the agent (pid {}) is still finishing", before.pid))
                .next("look again with `opsroom agent status`"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let ended = Ended { stopped: true, address: before.address, pid: before.pid };
    print::answer(session.format, &ended, |s| {
        print::Page::default().line(format!("agent at {} stopped (pid {})", s.address, s.pid))
    })?;
    Ok(Exit::Done)
}
