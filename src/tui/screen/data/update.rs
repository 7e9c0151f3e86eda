//! What happens on the screen of the data.

use super::{Data, PANES, PROFILE, READERS, Reader, VERSIONS, evals};
use crate::base::Fault;
use crate::tui::action::Action;
use crate::tui::model::data::DataRow;
use crate::tui::msg::{Effect, Page, Want};
use crate::tui::overlay::picker::Item;
use crate::tui::overlay::{Choice, Picker};
use crate::tui::query::Query;
use crate::tui::remote::{RequestId, Slot};
use crate::tui::screen::{give, list, open, registry};
use crate::tui::state::{State, View};

/// Lines that a pane of prose may be scrolled down; drawing stops at its end.
const LINES_MAX: usize = 10_000;

pub fn act(state: &mut State, action: Action, effects: &mut Vec<Effect>) {
    let page = usize::from(state.size.1 / 3);
    let data = &mut state.data;
    if let Some(pane) = list::next_pane(action, data.pane, PANES) {
        data.pane = pane;
        return;
    }
    if action == Action::EvalsShow {
        data.shows_evals = !data.shows_evals;
        data.pane = VERSIONS;
        return demand(state, effects);
    }
    if data.shows_evals {
        return act_on_evals(state, action, page, effects);
    }
    if move_cursor(data, action, page) {
        return;
    }
    match action {
        Action::ColPrev | Action::ColNext => turn_table(data, action == Action::ColNext),
        Action::Mark => mark(data),
        Action::DataDiff => toggle_diff(data),
        Action::Open => enter(state, effects),
        Action::CopyMenu => pick_copy(state),
        _ => {}
    }
}

/// Enter goes down from suites to results, to figures, to slices, and from there to the version in the registry.
fn act_on_evals(state: &mut State, action: Action, page: usize, effects: &mut Vec<Effect>) {
    if evals::moved(state, action, page) {
        return;
    }
    let data = &mut state.data;
    match action {
        Action::Open if data.pane < READERS => data.pane += 1,
        Action::Open => {
            if let Some((model, version)) = data.evals.current(&data.filter).map(|r| (r.model.clone(), r.version)) {
                registry::go_to(state, &model, Some(version), effects);
            }
        }
        Action::CopyMenu => {
            let Some(r) = data.evals.current(&data.filter) else { return };
            let again = format!("opsroom eval run {} {} {}", r.suite, r.model, r.version);
            let items = vec![
                Item::new("result", format!("#{}", r.id), Choice::Copy(r.id.to_string())),
                Item::new("command line: run it", again.clone(), Choice::Copy(again)),
                Item::new("digest of what was evaluated", "", Choice::Copy(r.subject.clone())),
                Item::new("digest of the data", "", Choice::Copy(r.data_digest.clone())),
            ];
            open(state, Picker::new("COPY", items));
        }
        _ => {}
    }
}

fn move_cursor(data: &mut Data, action: Action, page: usize) -> bool {
    let focus = data.pane;
    let len = match focus {
        VERSIONS => data.shown().len(),
        READERS => data.readers().len(),
        _ => LINES_MAX,
    };
    let cursor = if focus == VERSIONS { data.cursor } else { data.cursors[focus] };
    let Some(to) = list::moved(action, cursor, len, page) else { return false };
    if focus == VERSIONS {
        if to != data.cursor {
            data.cursors = [0; PANES];
            data.table = 0;
        }
        data.cursor = to;
        data.selected = data.current().map(DataRow::id);
    } else {
        data.cursors[focus] = to;
    }
    true
}

/// Left and right walk through the tables of a version.
fn turn_table(data: &mut Data, right: bool) {
    let tables = match (&data.between, data.diff.value(), data.profile.value()) {
        (Some(_), Some(diff), _) => diff.tables.len(),
        (None, _, Some(Some(profile))) => profile.tables.len(),
        _ => 0,
    };
    let last = tables.saturating_sub(1);
    data.table = if right { (data.table + 1).min(last) } else { data.table.saturating_sub(1) };
    data.cursors[PROFILE] = 0;
}

fn mark(data: &mut Data) {
    let Some(here) = data.current().and_then(DataRow::version) else { return };
    if let Some(at) = data.marks.iter().position(|m| *m == here) {
        data.marks.remove(at);
        return;
    }
    if data.marks.len() == 2 {
        data.marks.remove(0);
    }
    data.marks.push(here);
}

fn toggle_diff(data: &mut Data) {
    data.table = 0;
    data.cursors = [0; PANES];
    data.diff = Slot::default();
    data.between = if data.between.is_some() { None } else { data.pair().ok() };
    if data.between.is_some() {
        data.pane = PROFILE;
    }
}

fn enter(state: &mut State, effects: &mut Vec<Effect>) {
    let data = &mut state.data;
    match data.pane {
        VERSIONS => data.pane = PROFILE,
        READERS => match data.readers().get(data.cursors[READERS]) {
            Some(Reader::Run(run)) => {
                let id = run.run.to_string();
                state.go(View::Run(id), effects);
            }
            Some(Reader::Model(used)) => {
                let (model, version) = (used.model.clone(), used.version);
                registry::go_to(state, &model, Some(version), effects);
            }
            None => state.say("no run and no model has read it yet"),
        },
        _ => data.pane = READERS,
    }
}

/// Closes the comparison, else takes the marks away; whether there was any.
pub fn clear(data: &mut Data) -> bool {
    if data.between.take().is_some() {
        data.diff = Slot::default();
        data.table = 0;
        data.cursors = [0; PANES];
        return true;
    }
    !std::mem::take(&mut data.marks).is_empty()
}

pub fn set_filter(state: &mut State, text: &str, query: Query) {
    text.clone_into(&mut state.data.filter_text);
    state.data.filter = query;
    follow(&mut state.data);
}

pub fn demand(state: &mut State, effects: &mut Vec<Effect>) {
    if state.data.shows_evals {
        return evals::demand(state, effects);
    }
    let (now, frozen, moving) = (state.now, state.frozen, state.is_moving());
    let (data, ids) = (&mut state.data, &mut state.ids);
    if data.rows.asks(now, frozen) {
        effects.push(Effect::Load(data.rows.ask(ids, now), Want::Datasets));
    }
    if let Some((from, to)) = data.between.clone()
        && (data.diff.is_unasked() || data.diff.due(now))
    {
        effects.push(Effect::Load(data.diff.ask(ids, now), Want::DataDiff { from, to }));
    }
    // What follows the cursor is asked for once it rests. A version never changes: its profile is asked for once.
    let Some(here) = data.current().and_then(DataRow::version).filter(|_| !moving) else { return };
    if data.profile_of.as_ref() != Some(&here) {
        data.profile = Slot::default();
        data.profile_of = Some(here.clone());
    }
    if data.profile.is_unasked() || (data.profile.due(now) && data.profile.value().is_none()) {
        effects.push(Effect::Load(data.profile.ask(ids, now), Want::Profile(here)));
    }
}

pub fn loaded(state: &mut State, id: RequestId, reply: &Result<Page, Fault>) {
    let (now, data) = (state.now, &mut state.data);
    if give(&mut data.rows, id, reply, now, |p| if let Page::Datasets(d) = p { Some(d.clone()) } else { None }) {
        follow(data);
    }
    give(&mut data.profile, id, reply, now, |p| if let Page::Profile(x) = p { Some((**x).clone()) } else { None });
    evals::loaded(&mut data.evals, id, reply, now);
    give(&mut data.diff, id, reply, now, |p| if let Page::DataDiff(d) = p { Some((**d).clone()) } else { None });
}

/// Keeps the cursor on the selected row when rows came or went.
fn follow(data: &mut Data) {
    let shown = data.shown();
    let found = data.selected.as_ref().and_then(|id| shown.iter().position(|r| r.id() == *id));
    let cursor = found.unwrap_or(data.cursor).min(shown.len().saturating_sub(1));
    let selected = shown.get(cursor).map(|r| r.id());
    data.cursor = cursor;
    data.selected = selected;
}

fn pick_copy(state: &mut State) {
    let Some(row) = state.data.current() else { return };
    let mut items = vec![Item::new("digest", "", Choice::Copy(row.digest().to_owned()))];
    if let Some(version) = row.version() {
        items.insert(0, Item::new("version", version.to_string(), Choice::Copy(version.to_string())));
        items.extend(["show", "profile", "checkout", "verify"].map(|verb| {
            let line = format!("opsroom data {verb} {version}");
            Item::new(format!("command line: {verb}"), line.clone(), Choice::Copy(line))
        }));
    }
    items.extend(row.doc().map(|d| Item::new("source path", "", Choice::Copy(d.source.clone()))));
    if let Some((from, to)) = &state.data.between {
        let line = format!("opsroom data diff {from} {to}");
        items.push(Item::new("command line: diff", line.clone(), Choice::Copy(line)));
    }
    open(state, Picker::new("COPY", items));
}
