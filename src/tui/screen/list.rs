//! Moving a cursor through a list, the same way on every screen.

use crate::tui::action::Action;

/// Where the cursor goes; `None` for actions that do not move it.
pub fn moved(action: Action, cursor: usize, len: usize, page: usize) -> Option<usize> {
    let last = len.saturating_sub(1);
    let page = page.max(1);
    Some(match action {
        Action::RowNext => (cursor + 1).min(last),
        Action::RowPrev => cursor.saturating_sub(1),
        Action::HalfDown => (cursor + page / 2).min(last),
        Action::HalfUp => cursor.saturating_sub(page / 2),
        Action::PageDown => (cursor + page).min(last),
        Action::PageUp => cursor.saturating_sub(page),
        Action::Top => 0,
        Action::Bottom => last,
        _ => return None,
    })
}

/// The next of `count` panes.
pub fn next_pane(action: Action, pane: usize, count: usize) -> Option<usize> {
    match action {
        Action::PaneNext => Some((pane + 1) % count),
        Action::PanePrev => Some((pane + count - 1) % count),
        _ => None,
    }
}
