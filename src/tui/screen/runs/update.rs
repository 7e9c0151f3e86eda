//! What happens on the screen of runs.

use super::groups::GROUP_ROWS;
use super::{Brief, CHART, CHARTED_MAX, DETAIL, Grouped, Line, Runs, WINDOW, filter, pick};
use crate::base::Fault;
use crate::capability::tracking::GroupBy;
use crate::tui::action::Action;
use crate::tui::model::{Experiment, Latest, Run};
use crate::tui::msg::{Effect, GroupsWant, Page, RunOrder, RunsWant, Want};
use crate::tui::query::Query;
use crate::tui::remote::RequestId;
use crate::tui::screen::{give, list};
use crate::tui::span::Span;
use crate::tui::state::{State, View};

pub fn act(state: &mut State, action: Action, effects: &mut Vec<Effect>) {
    let page = super::view::table_rows(state);
    let runs = &mut state.runs;
    if runs.look.act(action) {
        return;
    }
    if let Some(pane) = list::next_pane(action, runs.pane, 3) {
        runs.pane = pane;
        return;
    }
    if runs.pane == DETAIL
        && let Some(to) = list::moved(action, runs.detail_scroll, usize::MAX, 10)
    {
        runs.detail_scroll = to.min(10_000);
        return;
    }
    if let Some(to) = list::moved(action, runs.cursor, runs.len(), page) {
        runs.cursor = to;
        select(runs);
        runs.detail_scroll = 0;
        return;
    }
    match action {
        Action::ColPrev | Action::ColNext if runs.pane == CHART => probe(runs, action == Action::ColNext),
        Action::Open | Action::ColPrev | Action::ColNext if runs.group_here().is_some() => {
            if let Some(value) = runs.group_here().map(|g| g.value.clone()) {
                let is_open = runs.grouped.open.contains_key(&value);
                if action == Action::Open || is_open == (action == Action::ColPrev) {
                    runs.grouped.toggle(&value);
                }
            }
        }
        Action::GroupPick => pick::group(state),
        Action::Views => super::saved::pick(state),
        Action::ShowDeleted => {
            runs.deleted = !runs.deleted;
            runs.marks.clear();
            runs.cursor = 0;
            runs.selected = None;
            runs.reload();
        }
        Action::Open => {
            if let Some(id) = runs.current().map(|r| r.id.clone()) {
                state.go(View::Run(id), effects);
            }
        }
        Action::Compare => {
            let ids = runs.compared();
            state.go(View::Compare(ids), effects);
        }
        Action::Mark if runs.group_here().is_some() => {
            let value = runs.group_here().and_then(|g| g.value.clone());
            if mark_group(runs, &value) {
                remember_marked(runs);
            } else {
                state.say("open the group first (Enter): its runs are not loaded");
            }
        }
        Action::Mark => {
            mark(runs);
            remember_marked(runs);
        }
        Action::MarkRange => {
            mark_range(runs);
            remember_marked(runs);
        }
        Action::MarkInvert => {
            let inverted = runs.rows().iter().filter(|r| !runs.marks.contains(&r.id)).map(|r| r.id.clone()).collect();
            runs.marks = inverted;
            remember_marked(runs);
        }
        Action::SortReverse => {
            runs.descending = !runs.descending;
            reload(state);
        }
        Action::SortPick => pick::order(state),
        Action::Columns => pick::columns(state),
        Action::Metric => pick::metric(state),
        Action::Experiment => pick::experiment(state),
        Action::CopyMenu => pick::copy(state),
        _ => {}
    }
}

/// Moves the reading line on the chart.
fn probe(runs: &mut Runs, right: bool) {
    let at = runs.probe.unwrap_or(1.0) + if right { 0.02 } else { -0.02 };
    runs.probe = (at <= 1.0).then_some(at.max(0.0));
}

/// Remembers what the cursor is on, so that it stays under it when lines move.
fn select(runs: &mut Runs) {
    runs.selected = runs.current().map(|r| r.id.clone());
    runs.grouped.selected = runs.group_here().map(|g| g.value.clone());
}

/// On the line of a group: its loaded runs, all of them or none.
#[allow(clippy::ref_option)] // the key of a group as the map holds it
fn mark_group(runs: &mut Runs, value: &Option<String>) -> bool {
    let ids: Vec<String> = runs.rows_of_group(value).iter().map(|r| r.id.clone()).collect();
    if ids.iter().all(|id| runs.marks.contains(id)) {
        ids.iter().for_each(|id| {
            runs.marks.remove(id);
        });
    } else {
        runs.marks.extend(ids.iter().cloned());
    }
    !ids.is_empty()
}

fn mark(runs: &mut Runs) {
    let Some(id) = runs.current().map(|r| r.id.clone()) else { return };
    if !runs.marks.remove(&id) {
        runs.marks.insert(id);
    }
    runs.range_from = Some(runs.cursor);
    runs.cursor = (runs.cursor + 1).min(runs.len().saturating_sub(1));
    select(runs);
}

fn mark_range(runs: &mut Runs) {
    let from = runs.range_from.unwrap_or(runs.cursor);
    let (low, high) = (from.min(runs.cursor), from.max(runs.cursor));
    let ids: Vec<String> = (low..=high).filter_map(|i| runs.run_at(i)).map(|r| r.id.clone()).collect();
    runs.marks.extend(ids);
    runs.range_from = Some(runs.cursor);
}

pub fn set_filter(state: &mut State, text: &str, query: Query) {
    text.clone_into(&mut state.runs.filter_text);
    if state.runs.filter != query {
        state.runs.filter = query;
        state.runs.cursor = 0;
        state.runs.selected = None;
        reload(state);
    }
}

pub fn sort_by(state: &mut State, order: RunOrder) {
    let runs = &mut state.runs;
    if runs.order == order {
        runs.descending = !runs.descending;
    } else {
        // A metric is usually wanted lowest first when it is a loss, and the newest run first.
        runs.descending = match &order {
            RunOrder::Started => true,
            RunOrder::Metric(key) => !["loss", "error", "rmse", "mae"].iter().any(|w| key.to_lowercase().contains(w)),
            _ => false,
        };
        runs.order = order;
    }
    runs.cursor = 0;
    runs.selected = None;
    reload(state);
}

/// Sorts as it was said, whatever the order was before.
pub fn set_order(state: &mut State, order: RunOrder, descending: bool) {
    let runs = &mut state.runs;
    (runs.order, runs.descending) = (order, descending);
    runs.cursor = 0;
    runs.selected = None;
    reload(state);
}

pub fn show_experiment(state: &mut State, experiment: Option<Experiment>) {
    let runs = &mut state.runs;
    runs.experiment = experiment;
    runs.marks.clear();
    runs.columns = None;
    runs.metric = None;
    runs.cursor = 0;
    runs.selected = None;
    reload(state);
}

/// The question changed: what is under way no longer counts.
fn reload(state: &mut State) {
    state.runs.reload();
}

/// Puts runs together, or with `None` shows them one by one.
pub fn group_by(state: &mut State, by: Option<GroupBy>) {
    let runs = &mut state.runs;
    runs.grouped.put_together(by);
    runs.cursor = 0;
    runs.selected = None;
}

/// Asks for the rows around the cursor, for the experiments, and for the curves of what is on screen.
pub fn demand(state: &mut State, effects: &mut Vec<Effect>) {
    let (now, frozen) = (state.now, state.frozen);
    let height = super::view::table_rows(state);
    let runs = &mut state.runs;
    if runs.experiments.asks(now, frozen) {
        effects.push(Effect::Load(runs.experiments.ask(&mut state.ids, now), Want::Experiments));
    }
    let outside = !runs.is_grouped()
        && runs.page.value().is_some_and(|w| {
            let (first, last) = (runs.cursor.saturating_sub(height), (runs.cursor + height).min(w.total));
            first < w.offset || last > w.offset + w.rows.len() && w.offset + w.rows.len() < w.total
        });
    let wanted = runs.page.asks(now, frozen) || (outside && !runs.page.is_waiting());
    if wanted {
        let offset = if runs.is_grouped() { 0 } else { runs.cursor.saturating_sub(WINDOW / 2) };
        let want = RunsWant { offset, limit: WINDOW, ..question(runs, state.window) };
        effects.push(Effect::Load(runs.page.ask(&mut state.ids, now), Want::Runs(want)));
    }
    groups(state, effects);
    curves(state, height, effects);
}

/// What is asked of the agent, for a page that the caller fills in.
pub fn question(runs: &Runs, window: Option<Span>) -> RunsWant {
    RunsWant {
        experiment: runs.experiment.as_ref().map(|e| e.id.clone()),
        filter: filter::resolve(&runs.filter),
        order: runs.order.clone(),
        descending: runs.descending,
        window,
        offset: 0,
        limit: 0,
        deleted: runs.deleted,
        within: None,
    }
}

/// The groups, and the runs of those that are open.
fn groups(state: &mut State, effects: &mut Vec<Effect>) {
    let (now, frozen) = (state.now, state.frozen);
    let runs = &mut state.runs;
    let Some(by) = runs.grouped.by.clone() else { return };
    let want = question(runs, state.window);
    let metrics: Vec<String> = runs.shown_metrics();
    let Grouped { groups, open, .. } = &mut runs.grouped;
    // The metrics are known from the page of runs, so the groups wait for it.
    if runs.page.value().is_some() && groups.asks(now, frozen) {
        let RunsWant { experiment, filter, window, deleted, .. } = want.clone();
        let asked = GroupsWant { experiment, filter, window, deleted, by: by.clone(), metrics };
        effects.push(Effect::Load(groups.ask(&mut state.ids, now), Want::RunGroups(asked)));
    }
    for (value, slot) in open {
        if slot.asks(now, frozen) {
            let within = Some((by.clone(), value.clone()));
            let want = RunsWant { limit: GROUP_ROWS, within, ..want.clone() };
            effects.push(Effect::Load(slot.ask(&mut state.ids, now), Want::Runs(want)));
        }
    }
}

fn curves(state: &mut State, height: usize, effects: &mut Vec<Effect>) {
    let runs = &mut state.runs;
    let Some(key) = runs.charted_metric() else { return };
    let with_metric = |r: &'_ Run| r.metrics.get(&key).is_some_and(|m| m.count > 1);
    let (from, to) = (runs.cursor.saturating_sub(height), runs.cursor + height);
    let near: Vec<(String, Latest)> = runs
        .runs_on(from..to + 1)
        .into_iter()
        .filter(|r| with_metric(r))
        .filter_map(|r| r.metrics.get(&key).map(|m| (r.id.clone(), *m)))
        .collect();
    let near = near.iter().map(|(id, m)| (id.as_str(), key.as_str(), m));
    effects.extend(runs.sparks.demand(near, &mut state.ids, state.now).map(|(id, want)| Effect::Load(id, want)));
    // What follows the cursor is asked for once it rests.
    if state.is_moving() {
        return;
    }
    let runs = &mut state.runs;
    let charted: Vec<Run> = runs.charted().into_iter().take(CHARTED_MAX).cloned().collect();
    let on_chart = charted.iter().filter_map(|r| r.metrics.get(&key).map(|m| (r.id.as_str(), key.as_str(), m)));
    effects.extend(runs.charts.demand(on_chart, &mut state.ids, state.now).map(|(id, want)| Effect::Load(id, want)));
}

pub fn loaded(state: &mut State, id: RequestId, reply: &Result<Page, Fault>) {
    let (now, runs) = (state.now, &mut state.runs);
    give(&mut runs.experiments, id, reply, now, |p| if let Page::Experiments(e) = p { Some(e.clone()) } else { None });
    runs.sparks.take(id, reply);
    runs.charts.take(id, reply);
    let groups = |p: &Page| if let Page::RunGroups(g) = p { Some(g.clone()) } else { None };
    let rows = |p: &Page| if let Page::Runs(w) = p { Some(w.clone()) } else { None };
    let mut mine = give(&mut runs.grouped.groups, id, reply, now, groups);
    for slot in runs.grouped.open.values_mut() {
        mine |= give(slot, id, reply, now, rows);
    }
    if !mine && !give(&mut runs.page, id, reply, now, |p| if let Page::Runs(w) = p { Some(w.clone()) } else { None }) {
        return;
    }
    follow(runs);
}

/// Keeps the cursor on the selected run when rows above it came or went.
fn follow(runs: &mut Runs) {
    let Some(window) = runs.page.value() else { return };
    if runs.is_grouped() {
        return follow_group(runs);
    }
    let found =
        runs.selected.as_ref().and_then(|id| window.rows.iter().position(|r| r.id == *id)).map(|i| i + window.offset);
    runs.cursor = found.unwrap_or(runs.cursor).min(window.total.saturating_sub(1));
    runs.selected = runs.current().map(|r| r.id.clone());
    remember_marked(runs);
}

/// The same where runs are in groups: on the run, else on the group.
fn follow_group(runs: &mut Runs) {
    let lines = runs.lines();
    let run = |l: &Line<'_>| matches!(l, Line::Run(r) if Some(&r.id) == runs.selected.as_ref());
    let group =
        |l: &Line<'_>| matches!(l, Line::Group { group, .. } if runs.grouped.selected.as_ref() == Some(&group.value));
    let found = lines.iter().position(run).or_else(|| lines.iter().position(group));
    let cursor = found.unwrap_or(runs.cursor).min(lines.len().saturating_sub(1));
    runs.cursor = cursor;
    select(runs);
    remember_marked(runs);
}

/// Keeps what is known of marked runs, for when they scroll out of what is loaded.
fn remember_marked(runs: &mut Runs) {
    let marked: Vec<Brief> = runs.loaded_rows().filter(|r| runs.marks.contains(&r.id)).map(Brief::of).collect();
    runs.marked.extend(marked.into_iter().map(|b| (b.id.clone(), b)));
    let Runs { marked, marks, .. } = runs;
    marked.retain(|id, _| marks.contains(id));
}

/// What an action is about: the marked runs, else the one under the cursor.
pub fn targets(runs: &Runs) -> Vec<String> {
    if runs.marks.is_empty() {
        return runs.current().map(|r| r.id.clone()).into_iter().collect();
    }
    runs.marks.iter().cloned().collect()
}
