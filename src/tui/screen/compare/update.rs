//! What happens on the screen that compares runs.

use super::{CHART, CONFIG, METRICS, PANES};
use crate::base::Fault;
use crate::capability::tracking::compare::Better;
use crate::tui::action::Action;
use crate::tui::format;
use crate::tui::msg::{Effect, Page, Want};
use crate::tui::overlay::picker::Item;
use crate::tui::overlay::{Choice, Picker};
use crate::tui::query::Query;
use crate::tui::remote::RequestId;
use crate::tui::screen::{copy_list, give, list, open, registry};
use crate::tui::state::{State, View};

pub fn act(state: &mut State, action: Action, effects: &mut Vec<Effect>) {
    let page = usize::from(state.size.1 / 3);
    let compare = &mut state.compare;
    if compare.look.act(action) {
        return;
    }
    if let Some(pane) = list::next_pane(action, compare.pane, PANES) {
        compare.pane = pane;
        return;
    }
    let listed = if compare.pane == CONFIG { CONFIG } else { METRICS };
    let len = if listed == CONFIG { compare.settings().len() } else { compare.metrics().len() };
    if let Some(to) = list::moved(action, compare.cursors[listed], len, page) {
        compare.cursors[listed] = to;
        if listed == METRICS {
            compare.metric = None;
        }
        return;
    }
    match action {
        Action::ColPrev | Action::ColNext if compare.pane == CHART => {
            let at = compare.probe.unwrap_or(1.0) + if action == Action::ColNext { 0.02 } else { -0.02 };
            compare.probe = (at <= 1.0).then_some(at.max(0.0));
        }
        Action::ColPrev | Action::ColNext => {
            let last = compare.runs().len().saturating_sub(1);
            let right = action == Action::ColNext;
            compare.column = if right { (compare.column + 1).min(last) } else { compare.column.saturating_sub(1) };
            compare.steered = true;
        }
        Action::Base => take_base(state),
        Action::Relative => compare.relative = !compare.relative,
        Action::DiffOnly => {
            compare.only_differing = !compare.only_differing;
            compare.cursors = [0; PANES];
        }
        Action::Better => turn_better(state),
        Action::Metric => pick_metric(state),
        Action::Open => {
            if let Some(id) = compare.current().map(|r| r.id.clone()) {
                state.go(View::Run(id), effects);
            }
        }
        Action::PromoteSheet => promote(state, effects),
        Action::CopyMenu => pick_copy(state),
        _ => {}
    }
}

/// The run under the cursor becomes the base; the cursor goes to the first of the others.
fn take_base(state: &mut State) {
    let compare = &mut state.compare;
    compare.base = compare.current().map(|r| r.id.clone());
    compare.column = 1;
    compare.steered = false;
    compare.compute();
    compare.go_to_winner();
}

/// The registry's own sheet, for the version that came from the run under the cursor.
fn promote(state: &mut State, effects: &mut Vec<Effect>) {
    let Some((model, number)) = state.compare.version(&state.registry).map(|(m, v)| (m.to_owned(), v.number)) else {
        return;
    };
    let registry = &mut state.registry;
    registry.filter = Query::default();
    registry.filter_text.clear();
    registry.cursor = registry.shown().iter().position(|m| m.name == model).unwrap_or(0);
    registry.selected = Some(model);
    let at = registry.current().and_then(|m| m.versions.iter().position(|v| v.number == number));
    registry.version = at.unwrap_or(0);
    registry::act(state, Action::PromoteSheet, effects);
}

/// What the name says, then higher, then lower.
fn turn_better(state: &mut State) {
    let compare = &mut state.compare;
    let Some(key) = compare.metrics().get(compare.cursors[METRICS]).map(|m| m.key.clone()) else { return };
    let next = match compare.better.get(&key) {
        None => Some(Better::Higher),
        Some(Better::Higher) => Some(Better::Lower),
        Some(Better::Lower) => None,
    };
    let words = match next {
        Some(Better::Higher) => "higher is better",
        Some(Better::Lower) => "lower is better",
        None => "as its name says",
    };
    match next {
        Some(better) => drop(compare.better.insert(key.clone(), better)),
        None => drop(compare.better.remove(&key)),
    }
    compare.compute();
    state.say(format!("{}: {words}", format::clean(&key)));
}

pub fn set_filter(state: &mut State, text: &str, query: Query) {
    text.clone_into(&mut state.compare.filter_text);
    state.compare.filter = query;
    state.compare.cursors = [0; PANES];
}

pub fn demand(state: &mut State, effects: &mut Vec<Effect>) {
    let (now, frozen) = (state.now, state.frozen);
    let compare = &mut state.compare;
    let never = compare.rows.is_unasked() || (compare.rows.remote.at().is_some() && !compare.rows.was_asked());
    if never || (compare.rows.due(now) && !frozen) {
        effects.push(Effect::Load(compare.rows.ask(&mut state.ids, now), Want::Compared(compare.ids.clone())));
    }
    if compare.noise.asks(now, frozen) {
        effects.push(Effect::Load(compare.noise.ask(&mut state.ids, now), Want::Noise(compare.ids.clone())));
    }
    if compare.around.is_unasked() {
        effects.push(Effect::Load(compare.around.ask(&mut state.ids, now), Want::Around(compare.ids.clone())));
    }
    if let Some(key) = compare.charted_metric() {
        let runs = compare.rows.value().map_or(&[][..], Vec::as_slice);
        let of = runs.iter().filter_map(|r| r.metrics.get(&key).map(|m| (r.id.as_str(), key.as_str(), m)));
        effects.extend(compare.charts.demand(of, &mut state.ids, now).map(|(id, want)| Effect::Load(id, want)));
    }
    // To know which of the runs are registered.
    registry::demand(state, effects);
}

pub fn loaded(state: &mut State, id: RequestId, reply: &Result<Page, Fault>) {
    let (now, compare) = (state.now, &mut state.compare);
    compare.charts.take(id, reply);
    let rows =
        give(&mut compare.rows, id, reply, now, |p| if let Page::Compared(r) = p { Some(r.clone()) } else { None });
    let noise =
        give(&mut compare.noise, id, reply, now, |p| if let Page::Noise(n) = p { Some(n.clone()) } else { None });
    let around =
        give(&mut compare.around, id, reply, now, |p| if let Page::Around(a) = p { Some(a.clone()) } else { None });
    if rows || noise || around {
        compare.compute();
        compare.go_to_winner();
        compare.column = compare.column.min(compare.runs().len().saturating_sub(1));
        let lens = [compare.metrics().len(), usize::MAX, compare.settings().len()];
        for (cursor, len) in compare.cursors.iter_mut().zip(lens) {
            *cursor = (*cursor).min(len.saturating_sub(1));
        }
    }
}

fn pick_metric(state: &mut State) {
    let now = state.compare.charted_metric();
    let all = state.compare.result.iter().flat_map(|r| &r.metrics);
    let items = all.map(|m| Item::new(format::clean(&m.key), "", Choice::Metric(m.key.clone()))).collect();
    open(state, Picker::new("METRIC", items).at(|c| matches!(c, Choice::Metric(k) if Some(k) == now.as_ref())));
}

fn pick_copy(state: &mut State) {
    let compare = &state.compare;
    let base = compare.base.clone().unwrap_or_default();
    let command = format!("opsroom runs compare {} --base {base}", compare.ids.join(" "));
    let mut items = vec![
        Item::new("command line", "", Choice::Copy(command)),
        Item::new(format!("{} ids", compare.ids.len()), "", Choice::Copy(compare.ids.join("\n"))),
    ];
    items.extend(compare.result.as_ref().map(|r| Item::new("verdict", "", Choice::Copy(r.verdict.text.clone()))));
    items.extend(
        compare.current().map(|r| Item::new("id of this run", format::cut(&r.id, 12, "…"), Choice::Copy(r.id.clone()))),
    );
    open(state, copy_list(items));
}
