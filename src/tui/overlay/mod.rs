//! What lies over a screen: the line that edits a filter, lists to pick from, the help, and the sheet that asks before a change.

pub mod editor;
pub mod explain;
pub mod help;
pub mod line;
pub mod picker;
pub mod prompt;
pub mod sheet;

use super::action::Action;
pub use editor::Editor;
pub use explain::Explained;
pub use line::Line;
pub use picker::Picker;
pub use prompt::Prompt;
pub use sheet::Sheet;

/// At most one overlay is open at a time.
#[derive(Debug, Clone)]
pub enum Overlay {
    Help {
        scroll: usize,
        /// Narrows it to the lines that fit.
        find: Line,
    },
    Picker(Picker),
    Sheet(Box<Sheet>),
    Prompt(Prompt),
    Editor(Box<Editor>),
    /// Where a number comes from.
    Explain(Explained),
    /// The filter of the list below, while it is being typed.
    Filter(Line),
}

/// What picking an item does.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    Do(Action),
    SortRuns(super::msg::RunOrder),
    Metric(String),
    Column(super::screen::runs::Column),
    Experiment(Option<super::model::Experiment>),
    Copy(String),
    GroupRuns(Option<crate::capability::tracking::GroupBy>),
    View(super::screen::runs::ViewChoice),
    Export(super::export::Form),
    /// A line of the palette.
    Command(String),
    Window(Option<super::span::Span>),
    /// The text of the focused pane.
    CopyPane,
    Go(super::state::View),
    /// Tell nobody about an incident for so many minutes.
    Silence(i64, u64),
}
