//! Everything that can happen to the room, and everything it can ask of the outside. All of it is plain data, so a session
//! can be recorded and played again.

use serde::{Deserialize, Serialize};

use super::export::Job;
use super::key::Key;
use super::model::Origin;
use super::model::data::{DataRow, VersionId};
use super::model::evals::Measured;
use super::model::{
    Artifact, Curve, Envelope, Experiment, Logged, Model, Outcome, Preview, Record, Run, Status, Verdict, Window,
};
use super::query::Query;
use super::remote::RequestId;
use super::session::Session;
use super::span::Span;
use super::views::SavedView;
use super::widget::Spot;
use crate::base::{Fault, Timestamp};
use crate::capability::datasets::Diff;
use crate::capability::datasets::profile::Profile;
use crate::capability::drift::Feature;
use crate::capability::fleet::{Fleet, Live};
use crate::capability::gates::Standing;
use crate::capability::monitoring::incident::Incident;
use crate::capability::rollout;
use crate::capability::tracking::compare::{Noises, Surroundings};
use crate::capability::tracking::{GroupBy, RunGroups};
use crate::capability::wire::IncidentView;

/// Something that happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Msg {
    Key(Key),
    Paste(String),
    /// The first mouse button; `spot` is what was drawn there.
    Click {
        x: u16,
        y: u16,
        spot: Option<Spot>,
    },
    /// The terminal came to the front, or went behind.
    Focus(bool),
    Wheel {
        down: bool,
    },
    Resize(u16, u16),
    /// Time passed.
    Tick,
    /// The terminal has been given a frame that shows the sheet of this number.
    Drawn(u64),
    Hint(Changed),
    Loaded(RequestId, Box<Result<Page, Fault>>),
    Performed(RequestId, Result<Outcome, Fault>),
    /// How a copy went: the way it took, or why not.
    Copied(Result<String, String>),
    /// Where the views were saved, or why not.
    Saved(Result<String, String>),
    /// What was written where, or why not.
    Exported(Result<String, String>),
    /// The stream of hints is open, alive, or broken with a cause.
    Events(Result<(), String>),
    /// Where the last session on this agent stood.
    Restore(Box<Session>),
    /// What came of something that was asked of the outside.
    Said(Result<String, String>),
    /// The agent of a context answers, and why nothing may be changed there; or why it does not.
    Entered(String, Result<Option<String>, Fault>),
    /// The process has been told to end.
    Terminate,
}

/// What may have changed elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Changed {
    Experiments,
    Run(String),
    Model(String),
    Data,
    Audit,
    Rollouts,
    Incidents,
    Hosts,
    Everything,
}

/// What to load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Want {
    Status,
    Experiments,
    Runs(RunsWant),
    RunGroups(GroupsWant),
    Run(String),
    /// Thinned histories of (run, metric) pairs, at most `points` each.
    Curves {
        of: Vec<(String, String)>,
        points: usize,
    },
    Artifacts {
        run: String,
        path: String,
    },
    Preview {
        run: String,
        path: String,
    },
    Models,
    /// What the gates say of a move.
    Gates {
        model: String,
        version: u32,
        stage: super::model::Stage,
    },
    Audit(AuditWant),
    Verify,
    /// The end of a log.
    Tail {
        run: String,
        path: String,
    },
    /// Logged models, by id.
    Logged(Vec<String>),
    /// These runs, by id, for a comparison.
    Compared(Vec<String>),
    /// What luck does to the metrics of these runs.
    Noise(Vec<String>),
    /// What captured ones among these runs stood on.
    Around(Vec<String>),
    /// All services at a glance; seconds.
    Fleet {
        window: u64,
        #[serde(default)]
        as_of: Option<Timestamp>,
    },
    /// All incidents.
    Incidents,
    /// One with what may have caused it.
    Incident(i64),
    /// A service over time.
    Live(super::screen::watch::Of),
    /// One column in the training data and now.
    Feature {
        of: super::screen::watch::Of,
        version: String,
        column: String,
    },
    /// What a window cost.
    Cost(crate::capability::cost::Asked),
    /// What is in place in the store, this folder and this machine.
    Readiness,
    Services {
        #[serde(default)]
        as_of: Option<Timestamp>,
    },
    /// One service in full, by name.
    Service {
        name: String,
        #[serde(default)]
        as_of: Option<Timestamp>,
    },
    Datasets,
    /// The training profile of a dataset's version.
    Profile(VersionId),
    DataDiff {
        from: VersionId,
        to: VersionId,
    },
    /// The registry as it stood at a moment.
    ModelsAt(Timestamp),
    /// The files of a version, with the digest of each if asked for.
    Card {
        model: String,
        version: u32,
        digests: bool,
    },
    /// Suites and their results.
    Measured,
    /// What a run was captured with, and what came of its repetition if there was one.
    Origin {
        run: String,
        repeated: bool,
    },
    /// Gates, waivers, approvals and decisions of all models.
    Standing,
}

/// A stretch of the list of runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunsWant {
    /// An experiment's id; `None` is all.
    pub experiment: Option<String>,
    pub filter: Query,
    pub order: RunOrder,
    pub descending: bool,
    /// Only runs that go on, or ended in it.
    pub window: Option<Span>,
    pub offset: usize,
    pub limit: usize,
    /// Deleted runs instead of active ones.
    pub deleted: bool,
    /// Only the runs of one group: what puts them together, and their value.
    pub within: Option<(GroupBy, Option<String>)>,
}

/// Runs put together, with mean and spread of these metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupsWant {
    pub experiment: Option<String>,
    pub filter: Query,
    pub window: Option<Span>,
    pub deleted: bool,
    pub by: GroupBy,
    pub metrics: Vec<String>,
}

/// By what runs are sorted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RunOrder {
    Name,
    Status,
    Started,
    User,
    Experiment,
    Duration,
    Step,
    Note,
    Metric(String),
    Param(String),
}

/// A stretch of the audit trail, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditWant {
    pub filter: Query,
    /// Only records in it.
    pub window: Option<Span>,
    /// As the trail stood then.
    #[serde(default)]
    pub until: Option<Timestamp>,
    pub offset: usize,
    pub limit: usize,
}

/// What was loaded: one for each [`Want`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Page {
    Status(Status),
    Experiments(Vec<Experiment>),
    Runs(Window<Run>),
    RunGroups(RunGroups),
    Run(Box<Run>),
    Curves(Vec<Curve>),
    Artifacts(Vec<Artifact>),
    Preview(Preview),
    Models(Vec<Model>),
    Gates(Box<crate::capability::gates::Decision>),
    Audit(Window<Record>),
    Verify(Verdict),
    Logged(Vec<Logged>),
    /// Those that could be had.
    Compared(Vec<Run>),
    Noise(Noises),
    Around(std::collections::BTreeMap<String, Surroundings>),
    Fleet(Box<Fleet>),
    Incidents(Vec<Incident>),
    Incident(Box<IncidentView>),
    Live(Box<Live>),
    Feature(Box<Feature>),
    Cost(Box<crate::capability::cost::CostReport>),
    Readiness(Box<crate::local::doctor::Report>),
    Services(Vec<rollout::Standing>),
    Service(Box<rollout::ServiceView>),
    Datasets(Vec<DataRow>),
    /// `None` for a version without a table.
    Profile(Box<Option<Profile>>),
    DataDiff(Box<Diff>),
    Card(Box<super::model::Card>),
    Measured(Box<Measured>),
    Origin(Box<Origin>),
    Standing(Box<Standing>),
}

/// What the room asks of the outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Effect {
    Load(RequestId, Want),
    Perform(RequestId, Envelope),
    Copy(String),
    SaveViews(Vec<SavedView>),
    Export(Box<Job>),
    /// The text of the focused pane, as it is drawn next.
    CopyPane,
    Mouse(bool),
    /// Asks for the agent of a context.
    Enter(String),
    /// The agent that was asked for takes the place of the one in use.
    Exchange(String),
    Theme(String),
    /// Something the person waited for, while the terminal is behind others.
    Notify(String),
    Redraw,
    Suspend,
    Quit,
}
