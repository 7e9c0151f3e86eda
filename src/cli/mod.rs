//! The command line: the tree of verbs, one file a noun. It holds no rule: it asks and tells the agent through the
//! client, and prints.

mod agent;
mod apply;
mod apply_cost;
mod artifact;
mod audit;
mod audit_evidence;
mod backup;
mod carry;
mod change;
mod compare;
mod config;
mod connect;
mod cost;
mod data;
mod data_diff;
mod data_show;
mod demo;
mod detach;
mod doctor;
mod erase;
mod eval;
mod exit;
mod experiment;
mod export;
mod export_all;
mod gate;
mod gate_report;
mod gc;
mod guide;
mod handover;
mod hosts;
pub mod import;
mod incident;
mod init;
mod model;
mod model_change;
pub mod plain;
mod postmortem;
mod predictions;
mod print;
mod push;
mod quality;
mod router;
mod run;
mod runs;
mod runs_change;
mod select;
mod service;
mod session;
mod ssh;
mod status;
mod times;
mod token;
mod undo;
pub mod verbs;

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

pub use agent::{Agent, AgentVerb};
pub use backup::{Bar, Restore, tell_restored};
pub use connect::{Reached, own_token, reach};
pub use demo::{Demo, DemoVerb};
pub use exit::{Exit, report};
pub use print::Format;
pub use router::Router;
pub use session::Session;

use crate::base::{Fault, fault::Result};

/// `opsroom …`
#[derive(Debug, Parser)]
#[command(
    name = "opsroom",
    version,
    about = "A terminal control room for models in production",
    after_help = "Without a verb, opsroom opens the control room.\n\nExit codes: 0 done, 1 a fault of opsroom, 2 usage or \
                  invalid input, 3 refused by a gate or an interlock, 4 not found, 5 agent or store unavailable, \
                  6 not allowed, 7 conflict, 8 inconclusive, 9 a check found a difference."
)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// What every verb takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "For every verb")]
pub struct Global {
    /// Agent to talk to: http(s)://HOST:PORT, unix:PATH or ssh://HOST [env: OPSROOM_AGENT]
    #[arg(long, global = true, value_name = "URL")]
    agent: Option<String>,
    /// Name of the [context.NAME] to use [env: OPSROOM_CONTEXT]
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,
    /// File that holds the token; OPSROOM_TOKEN is stronger [env: OPSROOM_TOKEN_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<String>,
    /// Refuse everything that would change something [env: OPSROOM_READ_ONLY]
    #[arg(long, global = true)]
    read_only: bool,
    /// Theme of the room [env: OPSROOM_THEME]
    #[arg(long, value_name = "NAME")]
    theme: Option<String>,
    /// Signs of the room: unicode or ascii [env: OPSROOM_GLYPHS]
    #[arg(long, value_name = "KIND")]
    glyphs: Option<String>,
    /// Colours of the room: truecolor, 256, 16 or mono [env: OPSROOM_COLOR]
    #[arg(long, value_name = "DEPTH")]
    color: Option<String>,
    /// Configuration file [env: OPSROOM_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// One JSON document on stdout, nothing else
    #[arg(long, global = true)]
    json: bool,
    /// A screen in sentences; of a verb, a line a row, fields separated by tabs, no heading
    #[arg(long, global = true, conflicts_with = "json")]
    plain: bool,
}

impl Global {
    /// Those flags that are settings: name without dashes, and text.
    pub fn flags(&self) -> Vec<(String, String)> {
        let given = [
            ("agent", &self.agent),
            ("context", &self.context),
            ("token-file", &self.token_file),
            ("theme", &self.theme),
            ("glyphs", &self.glyphs),
            ("color", &self.color),
        ];
        let mut flags: Vec<_> = given.into_iter().filter_map(|(name, v)| Some((name.to_owned(), v.clone()?))).collect();
        if self.read_only {
            flags.push(("read-only".to_owned(), "true".to_owned()));
        }
        flags
    }

    pub fn format(&self) -> Format {
        match (self.json, self.plain) {
            (true, _) => Format::Json,
            (_, true) => Format::Plain,
            _ => Format::Table,
        }
    }
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    Fleet(plain::Fleet),
    /// The screen of runs; with a verb look at runs, compare, export, tag and delete them
    Runs(runs::Runs),
    /// Experiments, which hold runs
    #[command(subcommand)]
    Experiment(experiment::Verb),
    /// Files that runs have logged
    #[command(subcommand)]
    Artifact(artifact::Verb),
    /// The model registry
    #[command(subcommand)]
    Model(model::Verb),
    /// Move a model version to another stage
    Promote(model_change::Promote),
    /// Run eval suites against versions, and look at results
    #[command(subcommand)]
    Eval(eval::Verb),
    /// Gates: what a version has to pass on its way into a stage
    #[command(subcommand)]
    Gate(gate::Verb),
    /// Give your word for a version that waits for it
    Approve(gate::Approve),
    /// Make what a TOML file says: eval suites and gates
    Apply(apply::Apply),
    /// The screen of the registry: models by stages, and their versions
    Registry(plain::Registry),
    /// The audit trail: who did what, when and why
    Audit(audit::Audit),
    /// Data versions: add, list, show, compare, check out, verify, profile
    #[command(subcommand)]
    Data(data::Verb),
    /// Run a command under capture, so that it can be repeated
    Run(run::Run),
    /// Run a captured run once more and compare, bit by bit
    Rerun(run::Rerun),
    #[command(hide = true)]
    InSession(run::InSession),
    /// Access tokens
    #[command(subcommand)]
    Token(token::Verb),
    /// Run the agent in the foreground, or ask about the one that runs
    Agent(Agent),
    Router(Router),
    /// Services: who answers which callers
    #[command(subcommand)]
    Service(service::Service),
    /// Bring a new version to a service's callers, a share at a time
    #[command(subcommand)]
    Rollout(service::RolloutVerb),
    Rollback(service::Rollback),
    Deployed(service::Deployed),
    Forbid(service::OfVersion),
    /// Allow a forbidden version again
    Allow(service::OfVersion),
    /// Take what another tool wrote into the store
    #[command(subcommand)]
    Import(import::Verb),
    /// A read-only room over an mlruns folder, an mlflow.db or a wandb folder; nothing is written there
    Open {
        path: PathBuf,
    },
    /// The whole story on bundled real data, in a store of its own
    Demo(Demo),
    /// Back store and artifacts up while they are written to
    Backup(backup::Backup),
    /// Fill an empty store from a backup
    Restore(Restore),
    /// The control room at a place; with --plain in sentences
    Room(plain::Room),
    /// How the agent does, and who it takes you for
    Status,
    /// What models said in production
    #[command(subcommand)]
    Predictions(predictions::Predictions),
    /// What turned out to be true
    #[command(subcommand)]
    Labels(predictions::Labels),
    Quality(quality::Quality),
    Drift(quality::Drift),
    Cost(cost::Cost),
    Incident(incident::Of),
    Handover(handover::Handover),
    Undo(undo::Undo),
    Hosts(hosts::Hosts),
    Gc(gc::Gc),
    Export(export_all::ExportAll),
    Erase(erase::Erase),
    Doctor(doctor::Doctor),
    Init(init::Init),
    /// Settings, and where each value came from
    #[command(subcommand)]
    Config(config::Verb),
    /// What to set so that a client logs here
    #[command(subcommand)]
    Connect(guide::Connect),
    /// A completion script for a shell
    Completions {
        shell: clap_complete::Shell,
    },
    /// The manual page; with --dir, one for every verb
    Man {
        #[arg(long, value_name = "FOLDER")]
        dir: Option<PathBuf>,
    },
}

impl Verb {
    /// The screen that it stands for, if it is one and no verb of its own.
    ///
    /// # Errors
    /// `Invalid` for words that the place does not take, and otherwise the verb itself.
    pub fn place(self) -> std::result::Result<Result<(plain::Place, plain::Saying)>, Box<Self>> {
        match self {
            Self::Runs(runs::Runs { verb: None, saying }) => Ok(Ok((plain::Place::Runs, saying))),
            Self::Audit(audit::Audit { verb: None, saying }) => Ok(Ok((plain::Place::Audit(None), saying))),
            Self::Registry(registry) => Ok(Ok(registry.place())),
            Self::Fleet(fleet) => Ok(Ok((plain::Place::Fleet, fleet.saying))),
            Self::Incident(of) if of.alone().is_some() => {
                Ok(Ok((plain::Place::Incident(of.alone().unwrap_or_default()), plain::Saying::default())))
            }
            Self::Room(room) => Ok(room.place()),
            verb => Err(Box::new(verb)),
        }
    }
}

/// Parses the command line; usage errors end the process with 2.
pub fn parse() -> Arguments {
    Arguments::parse()
}

pub(crate) fn tree() -> clap::Command {
    Arguments::command()
}

/// Performs a verb that needs nothing but the client.
///
/// # Errors
/// What was refused or failed, for [`report`].
pub async fn run(session: &Session, verb: Verb) -> Result<Exit> {
    match verb {
        Verb::Runs(runs::Runs { verb: Some(verb), .. }) => runs::run(session, verb).await,
        Verb::Experiment(verb) => experiment::run(session, verb).await,
        Verb::Artifact(verb) => artifact::run(session, verb).await,
        Verb::Model(verb) => model::run(session, verb).await,
        Verb::Promote(promote) => model_change::promote(session, promote).await,
        Verb::Eval(verb) => eval::run(session, verb).await,
        Verb::Gate(verb) => gate::run(session, verb).await,
        Verb::Approve(approve) => gate::approve(session, approve).await,
        Verb::Apply(apply) => apply::apply(session, apply).await,
        Verb::Audit(audit::Audit { verb: Some(verb), .. }) => audit::run(session, verb).await,
        Verb::Token(verb) => token::run(session, verb).await,
        Verb::Run(it) => run::run(session, it).await,
        Verb::Rerun(it) => run::rerun(session, it).await,
        Verb::InSession(it) => Err(crate::local::run::in_session(&it.command)),
        Verb::Data(verb) => data::run(session, verb).await,
        Verb::Agent(agent) => agent::run(session, agent).await,
        Verb::Backup(backup) => backup::make(session, &backup).await,
        Verb::Status => status::run(session).await,
        Verb::Predictions(verb) => predictions::predictions(session, verb).await,
        Verb::Labels(verb) => predictions::labels(session, verb).await,
        Verb::Quality(asked) => quality::quality(session, asked).await,
        Verb::Drift(asked) => quality::drift(session, asked).await,
        Verb::Cost(asked) => cost::run(session, asked).await,
        Verb::Incident(of) => incident::run(session, of).await,
        Verb::Handover(handover) => handover::run(session, &handover).await,
        Verb::Undo(it) => undo::run(session, it).await,
        Verb::Hosts(it) => hosts::run(session, it).await,
        Verb::Gc(it) => gc::run(session, it).await,
        Verb::Export(it) => export_all::run(session, it).await,
        Verb::Erase(it) => erase::run(session, it).await,
        Verb::Doctor(doctor) => doctor::run(session, &doctor).await,
        Verb::Init(init) => init::run(session, &init),
        Verb::Import(verb) => import::run(session, verb).await,
        // Those need an agent or a room of their own.
        Verb::Demo(_)
        | Verb::Router(_)
        | Verb::Open { .. }
        | Verb::Restore(_)
        | Verb::Runs(_)
        | Verb::Audit(_)
        | Verb::Fleet(_)
        | Verb::Registry(_)
        | Verb::Room(_) => Err(Fault::bug("this verb runs elsewhere")),
        Verb::Config(verb) => config::run(session, &verb),
        Verb::Connect(to) => guide::connect(session, &to).await,
        Verb::Service(verb) => service::service(session, verb).await,
        Verb::Rollout(verb) => service::rollout(session, verb).await,
        Verb::Rollback(it) => service::roll_back(session, it).await,
        Verb::Deployed(it) => service::deployed(session, it).await,
        Verb::Forbid(it) => service::forbid(session, it, true).await,
        Verb::Allow(it) => service::forbid(session, it, false).await,
        Verb::Completions { shell } => guide::completions(shell),
        Verb::Man { dir } => guide::man(dir.as_deref()),
    }
}
