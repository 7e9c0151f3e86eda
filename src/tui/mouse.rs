//! What a click does: it focuses, chooses a row, sorts by a title, or stands for a key. It never confirms anything.

use ratatui::layout::Position;

use super::action::Action;
use super::msg::Effect;
use super::state::State;
use super::widget::Spot;
use super::{dispatch, screen};

/// Rows that one notch of the wheel moves by.
const WHEEL_ROWS: usize = 3;

pub fn click(state: &mut State, at: Position, spot: Option<Spot>, effects: &mut Vec<Effect>) {
    // What lies over a screen is left to keys alone: a click must not confirm, nor close what is being written.
    if state.overlay.is_some() {
        return;
    }
    screen::focus_at(state, at);
    match spot {
        None => {}
        Some(Spot::Row(by)) => {
            let step = if by > 0 { Action::RowNext } else { Action::RowPrev };
            (0..by.unsigned_abs().min(1_000)).for_each(|_| dispatch::act(state, step, effects));
        }
        Some(Spot::Column(title)) => screen::sort_by_title(state, &title),
        Some(Spot::Action(action)) => dispatch::act(state, action, effects),
    }
}

pub fn wheel(state: &mut State, down: bool, effects: &mut Vec<Effect>) {
    if state.sheet().is_none() {
        let step = if down { Action::RowNext } else { Action::RowPrev };
        (0..WHEEL_ROWS).for_each(|_| dispatch::act(state, step, effects));
    }
}
