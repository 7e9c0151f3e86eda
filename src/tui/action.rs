//! Everything a key can do, by name: one table for dispatch, footer, help and palette.

use serde::{Deserialize, Serialize};

/// Under which heading the help shows an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    Act,
    Move,
    Look,
    App,
}

macro_rules! actions {
    ($($variant:ident $name:literal $group:ident $short:literal $help:literal;)*) => {
        /// What a person can ask of the room.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Action { $($variant,)* }

        impl Action {
            pub const ALL: &[Action] = &[$(Action::$variant,)*];

            /// The name in `keymap.toml`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            pub fn group(self) -> Group {
                match self { $(Self::$variant => Group::$group,)* }
            }

            /// One or two words, for the footer.
            pub fn short(self) -> &'static str {
                match self { $(Self::$variant => $short,)* }
            }

            /// For the help and the palette.
            pub fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }
        }
    };
}

actions! {
    PromoteSheet "promote.sheet" Act "promote…" "change the stage of a version…";
    RollbackSheet "rollback.sheet" Act "roll back…" "bring the previous prod version back…";
    ArchiveSheet "archive.sheet" Act "archive…" "archive a version…";
    VerifyChain "verify.chain" Act "verify" "verify the audit chain";
    RegisterSheet "register.sheet" Act "register…" "register a run as a version of a model…";
    StopSheet "stop.sheet" Act "stop…" "stop runs that go on…";
    DeleteSheet "delete.sheet" Act "delete…" "delete runs…";
    RestoreSheet "restore.sheet" Act "restore…" "bring deleted runs back…";
    NoteEdit "note.edit" Act "note" "write the note of a run or version";
    TagEdit "tag.edit" Act "tag" "set or remove a tag of a run or version";
    AliasEdit "alias.edit" Act "alias" "point an alias at this version, or remove one";
    Undo "undo" Act "undo" "take the last change back";
    ExportMenu "export.menu" Look "export" "write the table or the chart to a file…";
    CopyMenu "copy.menu" Act "copy" "copy id, row, link or command…";
    ActionsMenu "actions.menu" Act "actions" "all actions here, and why not";
    Mark "mark" Act "mark" "mark or unmark the row";
    MarkRange "mark.range" Act "range" "mark from the last mark to here";
    MarkInvert "mark.invert" Act "invert" "invert the marks";

    RowNext "row.next" Move "down" "next row";
    RowPrev "row.prev" Move "up" "previous row";
    ColPrev "col.prev" Move "left" "previous column, cursor left";
    ColNext "col.next" Move "right" "next column, cursor right";
    Top "top" Move "top" "first row";
    Bottom "bottom" Move "bottom" "last row";
    HalfDown "half.down" Move "half down" "half a page down";
    HalfUp "half.up" Move "half up" "half a page up";
    PageDown "page.down" Move "page down" "a page down";
    PageUp "page.up" Move "page up" "a page up";
    PaneNext "pane.next" Move "pane" "next pane";
    PanePrev "pane.prev" Move "pane back" "previous pane";
    Open "open" Move "open" "open what the cursor is on";
    StepOut "step.out" Move "back" "one step out: overlay, filter, marks, place";
    PlaceLast "place.last" Move "last place" "the place before this one";
    PlaceFleet "place.fleet" Move "Fleet" "go to Fleet: incidents and services";
    PlaceLive "place.live" Move "Live" "go to Live: quality, drift and slices of a service";
    Incident "incident" Move "incident" "go to the incident of what the cursor is on";
    PlaceRuns "place.runs" Move "Runs" "go to Runs";
    PlaceRegistry "place.registry" Move "Registry" "go to the Registry";
    PlaceRollouts "place.rollouts" Move "Rollouts" "go to services and rollouts";
    PlaceAudit "place.audit" Move "Audit" "go to the Audit trail";
    PlaceCost "place.cost" Move "Cost" "go to Cost";
    PlaceReadiness "place.readiness" Move "Readiness" "go to Readiness: what is in place and what pays next";
    PlaceData "place.data" Move "Data" "go to Data & evals";

    Filter "filter" Look "filter" "filter this list";
    SortPick "sort.pick" Look "sort" "sort by a column…";
    SortReverse "sort.reverse" Look "reverse" "reverse the order";
    Columns "columns" Look "columns" "choose the columns…";
    CostBy "cost.by" Look "by" "rows of services, versions, slices or runs";
    GroupPick "group.pick" Look "group" "put runs together by experiment, parent or a param…";
    Views "views" Look "views" "saved views: show, save, forget…";
    ShowDeleted "show.deleted" Look "bin" "deleted runs instead of active ones, and back";
    Experiment "experiment" Look "experiment" "show one experiment or all…";
    Metric "metric" Look "metric" "choose the charted metric…";
    EmaLess "ema.less" Look "rougher" "less smoothing";
    EmaMore "ema.more" Look "smooth" "more smoothing";
    LogY "log.y" Look "log" "logarithmic axis on, off";
    Axis "axis" Look "axis" "x axis: step, time since start, clock";
    Compare "compare" Look "compare" "compare the marked runs";
    Base "base" Look "base" "measure against this run";
    Relative "relative" Look "relative" "differences in per cent on, off";
    DiffOnly "diff.only" Look "diff only" "only what differs on, off";
    Better "better" Look "better" "which way this metric is better";
    Multiples "charts.all" Look "all charts" "every metric in a small chart, or one";
    EvalsShow "evals.show" Look "data/evals" "suites and results, or datasets";
    ApproveSheet "approve.sheet" Act "approve…" "give your word for a version that waits for it…";
    WaiveSheet "waive.sheet" Act "waive…" "let a gate pass for a while, on your word…";
    StartSheet "start.sheet" Act "start…" "let a version answer a part of the callers…";
    WeightSheet "weight.set.sheet" Act "weight…" "set the candidate's share of callers…";
    HoldSheet "hold.sheet" Act "hold…" "hold the rollout at its weight, or resume it…";
    DropSheet "drop.sheet" Act "drop…" "take the candidate away from all callers…";
    ForbidSheet "forbid.sheet" Act "forbid…" "forbid a version to be rolled out…";
    Watch "watch" Act "watch" "follow the incident, or no longer";
    PostMortem "postmortem" Look "post-mortem" "write the draft of the post-mortem to a file";
    Ack "ack" Act "ack" "say that you look after the incident";
    Silence "silence" Act "silence" "tell nobody about the incident for a while…";
    Assign "assign" Act "owner" "give the incident to someone…";
    Arm "arm" Look "version" "look at the next version, or at all";
    DriftTest "drift.test" Look "test" "drift by psi, ks, js or w1";
    DataDiff "data.diff" Look "diff" "what changed between two versions, and back";
    PaneZoom "pane.zoom" Look "zoom" "the focused pane fills the screen";
    TimeWindow "time.window" Look "window" "look at a window of time…";
    TimeOut "time.out" Look "longer" "a longer window of time";
    TimeIn "time.in" Look "shorter" "a shorter window of time";
    Freeze "freeze" Look "freeze" "hold the screen still; data still arrives";
    Refresh "refresh" Look "refresh" "load again now";

    Diff "diff" Look "diff" "what differs, line by line";
    OpenLink "open.link" Move "link" "go to what this is about";
    AsOf "as.of" Look "as of" "this place as it stood at a moment…";
    PastBack "past.back" Look "earlier" "in the past: a minute earlier";
    PastForward "past.forward" Look "later" "in the past: a minute later";
    PastBackFar "past.back.far" Look "far earlier" "in the past: a quarter of an hour earlier";
    PastForwardFar "past.forward.far" Look "far later" "in the past: a quarter of an hour later";
    EventPrev "event.prev" Look "before" "in the past: to the change or alert before";
    EventNext "event.next" Look "after" "in the past: to the next change or alert";
    PastNow "now" Look "now" "in the past: back to now";

    Help "help" App "help" "keys of this screen";
    Palette "palette" App "palette" "find an action by name";
    MouseToggle "mouse.toggle" App "mouse" "mouse on, off";
    Redraw "redraw" App "redraw" "draw the whole screen again";
    Suspend "suspend" App "suspend" "back to the shell; fg returns";
    OutOrQuit "out.or.quit" App "quit" "out of this place; at the root, quit";
    QuitTwice "quit.twice" App "quit" "twice: quit at once";

    Confirm "confirm" Act "confirm" "do it";
    Cancel "cancel" Act "cancel" "change nothing";
    StagePrev "stage.prev" Look "choose" "what stands before this choice";
    StageNext "stage.next" Look "choose" "what stands after this choice";
    ReasonEdit "reason.edit" Act "edit reason" "write the reason";
    Reason1 "reason.1" Act "reason 1" "take the first reason";
    Reason2 "reason.2" Act "reason 2" "take the second reason";
    Reason3 "reason.3" Act "reason 3" "take the third reason";
    Reason4 "reason.4" Act "reason 4" "take the fourth reason";
    DryRun "dry.run" Act "dry-run" "ask what would happen";
    CopyCli "copy.cli" Act "copy as CLI" "copy the command line that does the same";
    TypeWord "type.word" Act "type the word" "type the version or number that the change needs";
}

impl Action {
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|a| a.name() == name)
    }

    /// Whether it opens a sheet that can change something on a server.
    pub fn opens_sheet(self) -> bool {
        matches!(
            self,
            Self::PromoteSheet
                | Self::RollbackSheet
                | Self::RegisterSheet
                | Self::StopSheet
                | Self::DeleteSheet
                | Self::RestoreSheet
                | Self::ArchiveSheet
                | Self::ApproveSheet
                | Self::WaiveSheet
                | Self::StartSheet
                | Self::WeightSheet
                | Self::HoldSheet
                | Self::DropSheet
                | Self::ForbidSheet
        )
    }

    /// Whether it leads to a change on a server, by a sheet or at once.
    pub fn changes(self) -> bool {
        self.opens_sheet()
            || matches!(
                self,
                Self::Ack
                    | Self::Silence
                    | Self::Assign
                    | Self::NoteEdit
                    | Self::TagEdit
                    | Self::AliasEdit
                    | Self::Undo
            )
    }
}
