//! What happens on the screen of one run.

use super::{ARTIFACTS, CHART, METRICS, PANES, PARAMS, TAGS};
use crate::base::Fault;
use crate::tui::action::Action;
use crate::tui::format;
use crate::tui::msg::{Effect, Page, Want};
use crate::tui::overlay::picker::Item;
use crate::tui::overlay::{Choice, Picker};
use crate::tui::query::Query;
use crate::tui::remote::RequestId;
use crate::tui::screen::{give, list, open};
use crate::tui::state::State;

pub fn act(state: &mut State, action: Action, effects: &mut Vec<Effect>) {
    let page = usize::from(state.size.1 / 2);
    let run = &mut state.run;
    if run.look.act(action) {
        return;
    }
    if let Some(pane) = list::next_pane(action, run.pane, PANES) {
        run.pane = pane;
        return;
    }
    if run.pane == CHART && matches!(action, Action::ColPrev | Action::ColNext) {
        let at = run.probe.unwrap_or(1.0) + if action == Action::ColNext { 0.02 } else { -0.02 };
        run.probe = (at <= 1.0).then_some(at.max(0.0));
        return;
    }
    // With the chart in focus the rows still walk through the metrics.
    let listed = if run.pane == CHART { METRICS } else { run.pane };
    if let Some(to) = list::moved(action, run.cursors[listed], run.len_of(listed), page) {
        run.cursors[listed] = to;
        if listed == METRICS {
            run.metric = None;
        }
        return;
    }
    match action {
        Action::Open => enter(state),
        Action::Metric => pick_metric(state),
        Action::CopyMenu => pick_copy(state),
        _ => demand(state, effects),
    }
}

/// Enter: a metric goes to the chart, a directory opens or closes, a file is shown.
fn enter(state: &mut State) {
    let run = &mut state.run;
    match run.pane {
        METRICS => run.pane = CHART,
        ARTIFACTS if run.preview_path.take().is_some() => run.cursors[ARTIFACTS] = 0,
        ARTIFACTS => {
            let Some(entry) = run.tree().get(run.cursors[ARTIFACTS]).map(|(_, a)| (*a).clone()) else { return };
            if !entry.is_dir {
                run.preview_path = Some(entry.path);
                run.preview = crate::tui::remote::Slot::default();
            } else if let Some(at) = run.open_dirs.iter().position(|d| *d == entry.path) {
                run.open_dirs.remove(at);
            } else {
                run.open_dirs.push(entry.path);
            }
        }
        _ => {}
    }
}

pub fn set_filter(state: &mut State, text: &str, query: Query) {
    text.clone_into(&mut state.run.filter_text);
    state.run.filter = query;
    state.run.cursors = [0; PANES];
}

pub fn demand(state: &mut State, effects: &mut Vec<Effect>) {
    let (now, frozen) = (state.now, state.frozen);
    let ids = &mut state.ids;
    let run = &mut state.run;
    let never = run.row.is_unasked() || (run.row.remote.at().is_some() && !run.row.was_asked());
    if never || (run.row.due(now) && !frozen) {
        effects.push(Effect::Load(run.row.ask(ids, now), Want::Run(run.id.clone())));
    }
    let missing = run.open_dirs.iter().find(|d| !run.listings.contains_key(*d)).cloned();
    if let (Some(path), None) = (missing, &run.listing_path) {
        run.listing_path = Some(path.clone());
        effects.push(Effect::Load(run.listing.ask(ids, now), Want::Artifacts { run: run.id.clone(), path }));
    }
    if let Some(path) = run.preview_path.clone().filter(|_| run.preview.is_unasked()) {
        effects.push(Effect::Load(run.preview.ask(ids, now), Want::Preview { run: run.id.clone(), path }));
    }
    let Some(row) = run.row.value() else { return };
    let id = row.id.clone();
    let metrics: Vec<_> = row.metrics.iter().map(|(k, m)| (k.clone(), *m)).filter(|(_, m)| m.count > 1).collect();
    let of = metrics.iter().take(200).map(|(k, m)| (id.as_str(), k.as_str(), m));
    effects.extend(run.sparks.demand(of, ids, now).map(|(id, want)| Effect::Load(id, want)));
    let charted = run.charted();
    let of = charted.iter().filter_map(|key| row.metrics.get(key).map(|m| (id.as_str(), key.as_str(), m)));
    effects.extend(run.charts.demand(of, ids, now).map(|(id, want)| Effect::Load(id, want)));
}

pub fn loaded(state: &mut State, id: RequestId, reply: &Result<Page, Fault>) {
    let (now, run) = (state.now, &mut state.run);
    give(&mut run.row, id, reply, now, |p| if let Page::Run(r) = p { Some((**r).clone()) } else { None });
    give(&mut run.preview, id, reply, now, |p| if let Page::Preview(v) = p { Some(v.clone()) } else { None });
    run.sparks.take(id, reply);
    run.charts.take(id, reply);
    if give(&mut run.listing, id, reply, now, |p| if let Page::Artifacts(a) = p { Some(a.clone()) } else { None })
        && let Some(path) = run.listing_path.take()
    {
        run.listings.insert(path, run.listing.value().cloned().unwrap_or_default());
    }
}

fn pick_metric(state: &mut State) {
    let now = state.run.charted_metric();
    let items = state
        .run
        .metrics()
        .into_iter()
        .map(|(k, m)| Item::new(format::clean(k), format::number(m.value), Choice::Metric(k.clone())))
        .collect();
    open(state, Picker::new("METRIC", items).at(|c| matches!(c, Choice::Metric(k) if Some(k) == now.as_ref())));
}

fn pick_copy(state: &mut State) {
    let run = &state.run;
    let mut items = vec![
        Item::new("run id", "", Choice::Copy(run.id.clone())),
        Item::new("command line", "", Choice::Copy(format!("opsroom runs show {}", run.id))),
    ];
    let cursor = run.cursors[run.pane];
    let line = match run.pane {
        METRICS => run.metrics().get(cursor).map(|(k, m)| format!("{k}\t{}", m.value)),
        PARAMS => run.params().get(cursor).map(|(k, v)| format!("{k}\t{v}")),
        TAGS => run.facts().get(cursor).map(|(k, v)| format!("{k}\t{v}")),
        ARTIFACTS => run.tree().get(cursor).map(|(_, a)| a.path.clone()),
        _ => None,
    };
    items.extend(line.map(|l| Item::new("this row", format::cut(&format::clean(&l), 24, "…"), Choice::Copy(l))));
    if let Some(row) = run.row.value() {
        items.push(Item::new("artifact location", "", Choice::Copy(row.artifact_uri.clone())));
    }
    open(state, Picker::new("COPY", items));
}
