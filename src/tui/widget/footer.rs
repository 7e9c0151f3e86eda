//! The last line: the keys that matter here, out of the keymap.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Look, Spot, put_all};
use crate::tui::action::Action;
use crate::tui::format;
use crate::tui::overlay::Overlay;
use crate::tui::state::{State, View};
use crate::tui::theme::Token;

/// Keys that cannot be used now stay, dim. While something is typed no key of the screen means what it says there.
pub fn footer(look: &Look<'_>, buf: &mut Buffer, line: Rect, state: &State) {
    if !matches!(state.overlay, None | Some(Overlay::Sheet(_))) {
        return while_typing(look, buf, line, state);
    }
    let contexts = state.contexts();
    let mut x = line.x + 1;
    let wanted = actions(state);
    // Where only one of them has room it is the one that explains the others.
    let (ends, reserve): (&[Action], u16) =
        if line.width >= 100 { (&[Action::Palette, Action::Help], 22) } else { (&[Action::Help], 8) };
    for (i, action) in wanted.iter().chain(ends).enumerate() {
        let Some(key) = state.keys.keys_of(&contexts, *action).into_iter().next() else { continue };
        let at_end = i >= wanted.len();
        let text_width =
            u16::try_from(format::width(&look.spell(&key)) + 1 + format::width(&look.spell(action.short())))
                .unwrap_or(u16::MAX);
        let limit = if at_end { line.right() } else { line.right().saturating_sub(reserve) };
        if x + text_width > limit {
            continue;
        }
        let enabled = state.sheet().is_some() || state.why_not(*action).is_none();
        let (key_token, token) = if enabled { (Token::Accent, Token::Text) } else { (Token::Unknown, Token::Unknown) };
        look.zones.add(Rect::new(x, line.y, text_width, 1), Spot::Action(*action));
        x += put_all(look, buf, x, line.y, text_width + 2, &[(&key, key_token), (" ", token), (action.short(), token)])
            + 2;
    }
}

/// A filter is typed into the line above the list and has no place of its own to say how it ends.
fn while_typing(look: &Look<'_>, buf: &mut Buffer, line: Rect, state: &State) {
    if let Some(Overlay::Filter(_)) = state.overlay {
        let pieces = [
            ("↵", Token::Accent),
            (" keep the filter  ", Token::Text),
            ("Esc", Token::Accent),
            (" take it away", Token::Text),
        ];
        put_all(look, buf, line.x + 1, line.y, line.width.saturating_sub(2), &pieces);
    }
}

#[allow(clippy::too_many_lines)] // one table, a line an action
fn actions(state: &State) -> Vec<Action> {
    use Action as A;
    if let Some(Overlay::Sheet(sheet)) = &state.overlay {
        let mut actions = vec![A::Confirm, A::Cancel, A::ReasonEdit, A::DryRun, A::CopyCli];
        if sheet.ask.ways.len() > 1 {
            actions.push(A::StageNext);
        }
        if sheet.ask.way().word.is_some() {
            actions.insert(1, A::TypeWord);
        }
        if crate::tui::ask::waive::of_sheet(sheet).is_some() {
            actions.insert(2, A::WaiveSheet);
        }
        return actions;
    }
    if state.in_past().is_some() {
        return vec![
            A::PastNow,
            A::AsOf,
            A::PastBack,
            A::PastForward,
            A::EventPrev,
            A::EventNext,
            A::PaneNext,
            A::Open,
            A::Filter,
        ];
    }
    match state.nav.here() {
        View::Fleet => vec![
            A::Open,
            A::Incident,
            A::Ack,
            A::Silence,
            A::RollbackSheet,
            A::PaneNext,
            A::Filter,
            A::TimeWindow,
            A::AsOf,
            A::PaneZoom,
        ],
        View::Incident(_) => vec![
            A::PaneNext,
            A::RollbackSheet,
            A::DropSheet,
            A::Ack,
            A::Assign,
            A::NoteEdit,
            A::Silence,
            A::Arm,
            A::Open,
            A::PaneZoom,
            A::Watch,
            A::PostMortem,
            A::StepOut,
        ],
        View::Recovery(_) => {
            vec![A::Undo, A::ForbidSheet, A::RollbackSheet, A::CopyMenu, A::ExportMenu, A::TimeWindow, A::StepOut]
        }
        View::Live => vec![
            A::PaneNext,
            A::Open,
            A::Arm,
            A::Metric,
            A::TimeWindow,
            A::DriftTest,
            A::RollbackSheet,
            A::DropSheet,
            A::AsOf,
            A::ExportMenu,
            A::PaneZoom,
        ],
        View::Runs => {
            vec![
                A::Open,
                A::Mark,
                A::Compare,
                A::Filter,
                A::SortPick,
                A::Columns,
                A::Experiment,
                A::Metric,
                A::EmaMore,
                A::LogY,
                A::PaneNext,
                A::PaneZoom,
                A::CopyMenu,
            ]
        }
        View::Run(_) => vec![
            A::StepOut,
            A::PaneNext,
            A::Open,
            A::Mark,
            A::Multiples,
            A::Metric,
            A::EmaMore,
            A::LogY,
            A::Axis,
            A::PaneZoom,
            A::Filter,
            A::CopyMenu,
        ],
        View::Compare(_) => vec![
            A::StepOut,
            A::PaneNext,
            A::Base,
            A::Metric,
            A::Relative,
            A::DiffOnly,
            A::EmaMore,
            A::LogY,
            A::PromoteSheet,
            A::RegisterSheet,
            A::Open,
            A::Filter,
            A::PaneZoom,
        ],
        View::Registry => {
            vec![
                A::Open,
                A::Diff,
                A::PromoteSheet,
                A::RollbackSheet,
                A::ApproveSheet,
                A::WaiveSheet,
                A::AsOf,
                A::OpenLink,
                A::CopyMenu,
                A::Mark,
                A::Filter,
                A::PaneNext,
                A::PaneZoom,
            ]
        }
        View::Data => {
            vec![
                A::Open,
                A::Mark,
                A::DataDiff,
                A::EvalsShow,
                A::PaneNext,
                A::ColNext,
                A::Filter,
                A::PaneZoom,
                A::CopyMenu,
            ]
        }
        View::Cost => vec![
            A::CostBy,
            A::StopSheet,
            A::Open,
            A::TimeWindow,
            A::PaneNext,
            A::ExportMenu,
            A::CopyMenu,
            A::Filter,
            A::PaneZoom,
        ],
        View::Readiness => vec![A::RowNext, A::CopyMenu, A::PaneNext, A::Refresh, A::Filter, A::PaneZoom],
        View::Rollouts => vec![
            A::StartSheet,
            A::WeightSheet,
            A::HoldSheet,
            A::DropSheet,
            A::PromoteSheet,
            A::RollbackSheet,
            A::ForbidSheet,
            A::AsOf,
            A::PaneNext,
            A::Filter,
            A::PaneZoom,
        ],
        View::Versus { .. } => vec![A::StepOut, A::RowNext, A::Diff, A::PromoteSheet, A::CopyMenu],
        View::Audit => vec![
            A::Filter,
            A::Open,
            A::Diff,
            A::OpenLink,
            A::VerifyChain,
            A::ExportMenu,
            A::CopyMenu,
            A::PaneNext,
            A::PaneZoom,
        ],
    }
}
