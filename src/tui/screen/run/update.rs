//! What happens on the screen of one run.

use super::{ARTIFACTS, CHART, CONSOLE, LOGS, METRICS, MODELS, ORIGIN, PANES, PARAMS, RunDetail, SHARED, TAGS};
use crate::base::Fault;
use crate::capability::training::GRADE_TAG;
use crate::tui::action::Action;
use crate::tui::format;
use crate::tui::msg::{Effect, Page, Want};
use crate::tui::overlay::picker::Item;
use crate::tui::overlay::{Choice, Picker};
use crate::tui::query::Query;
use crate::tui::remote::RequestId;
use crate::tui::screen::{copy_list, give, list, open};
use crate::tui::state::State;

pub fn act(state: &mut State, action: Action, effects: &mut Vec<Effect>) {
    let page = usize::from(state.size.1 / 2);
    let run = &mut state.run;
    if run.look.act(action) {
        return;
    }
    if let Some(pane) = next_pane(run, action) {
        run.pane = pane;
        if SHARED.contains(&pane) {
            run.shared = pane;
        }
        return;
    }
    if run.pane == ARTIFACTS && run.preview_path.is_some() && matches!(action, Action::ColPrev | Action::ColNext) {
        let by = if action == Action::ColNext { 1 } else { -1 };
        run.preview_column = run.preview_column.saturating_add_signed(by).min(COLUMNS_MAX);
        return;
    }
    if run.pane == CHART && matches!(action, Action::ColPrev | Action::ColNext) {
        let at = run.probe.unwrap_or(1.0) + if action == Action::ColNext { 0.02 } else { -0.02 };
        run.probe = (at <= 1.0).then_some(at.max(0.0));
        return;
    }
    // With the chart in focus the rows still walk through the metrics.
    let listed = if run.pane == CHART { METRICS } else { run.pane };
    let at = run.cursors[listed].min(run.len_of(listed).saturating_sub(1));
    if let Some(to) = list::moved(action, at, run.len_of(listed), page) {
        // At its last line a console follows what is printed.
        let follows = listed == CONSOLE && to + 1 >= run.len_of(listed);
        run.cursors[listed] = if follows { usize::MAX } else { to };
        if listed == METRICS {
            run.metric = None;
        }
        return;
    }
    match action {
        Action::Open => enter(state),
        Action::Mark => mark(run),
        Action::Multiples => {
            run.multiples = !run.multiples;
            run.pane = CHART;
        }
        Action::Metric => pick_metric(state),
        Action::CopyMenu => pick_copy(state),
        Action::OpenLink => {
            let id = run.id.clone();
            super::super::registry::go_to_run(state, &id, effects);
        }
        _ => demand(state, effects),
    }
}

/// More columns than any table has.
const COLUMNS_MAX: usize = 10_000;

/// The next pane that holds something.
fn next_pane(run: &RunDetail, action: Action) -> Option<usize> {
    let mut pane = list::next_pane(action, run.pane, PANES)?;
    while !run.has(pane) {
        pane = list::next_pane(action, pane, PANES)?;
    }
    Some(pane)
}

/// Puts the metric under the cursor into the chart beside others, or takes it out.
fn mark(run: &mut RunDetail) {
    let Some(key) = run.metrics().get(run.cursors[METRICS]).map(|(k, _)| (*k).clone()) else { return };
    if !run.marks.remove(&key) {
        run.marks.insert(key);
    }
    run.cursors[METRICS] = (run.cursors[METRICS] + 1).min(run.metrics().len().saturating_sub(1));
}

/// Enter: a metric goes to the chart, a directory opens or closes, a file is shown.
fn enter(state: &mut State) {
    let run = &mut state.run;
    match run.pane {
        METRICS => run.pane = CHART,
        CHART => run.multiples = false,
        ARTIFACTS if run.preview_path.take().is_some() => run.cursors[ARTIFACTS] = 0,
        ARTIFACTS => {
            let Some(entry) = run.tree().get(run.cursors[ARTIFACTS]).map(|(_, a)| (*a).clone()) else { return };
            if !entry.is_dir {
                run.preview_path = Some(entry.path);
                run.preview_column = 0;
                run.cursors[ARTIFACTS] = 0;
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
    state.run.cursors[CONSOLE] = usize::MAX;
}

/// Tiles that may be on screen before and after the cursor.
const TILES_MAX: usize = 40;

pub fn demand(state: &mut State, effects: &mut Vec<Effect>) {
    let (now, frozen) = (state.now, state.frozen);
    let ids = &mut state.ids;
    let run = &mut state.run;
    let never = run.row.is_unasked() || (run.row.remote.at().is_some() && !run.row.was_asked());
    if never || (run.row.due(now) && !frozen) {
        effects.push(Effect::Load(run.row.ask(ids, now), Want::Run(run.id.clone())));
    }
    // The folder of logs is looked into even while it is shut, because the console may be there.
    let root = run.listings.get("").map_or(&[][..], Vec::as_slice);
    let logs: Vec<String> =
        LOGS.into_iter().filter(|l| root.iter().any(|a| a.is_dir && a.path == *l)).map(str::to_owned).collect();
    let missing = run.open_dirs.iter().chain(&logs).find(|d| !run.listings.contains_key(*d)).cloned();
    if let (Some(path), None) = (missing, &run.listing_path) {
        run.listing_path = Some(path.clone());
        effects.push(Effect::Load(run.listing.ask(ids, now), Want::Artifacts { run: run.id.clone(), path }));
    }
    if let Some(path) = run.preview_path.clone().filter(|_| run.preview.is_unasked()) {
        effects.push(Effect::Load(run.preview.ask(ids, now), Want::Preview { run: run.id.clone(), path }));
    }
    if let Some(path) = run.console_path().filter(|_| run.shared == CONSOLE)
        && run.console.asks(now, frozen)
    {
        let want = Want::Tail { run: run.id.clone(), path: path.to_owned() };
        effects.push(Effect::Load(run.console.ask(ids, now), want));
    }
    let repeated = run.row.value().map(|row| row.tags.contains_key(GRADE_TAG));
    if let (true, Some(repeated)) = (run.shared == ORIGIN && (run.origin.is_unasked() || run.origin.due(now)), repeated)
    {
        effects.push(Effect::Load(run.origin.ask(ids, now), Want::Origin { run: run.id.clone(), repeated }));
    }
    let Some(row) = run.row.value() else { return };
    if run.shared == MODELS && !row.models.is_empty() && run.models.is_unasked() {
        effects.push(Effect::Load(run.models.ask(ids, now), Want::Logged(row.models.clone())));
    }
    let Some(row) = run.row.value() else { return };
    let id = row.id.clone();
    let mut charted = run.charted();
    // What is on the chart needs no second, smaller copy.
    let small = |k: &String, count: u64| count > 1 && !charted.contains(k) && run.charts.get(&id, k).is_none();
    let metrics: Vec<_> = row.metrics.iter().filter(|(k, m)| small(k, m.count)).map(|(k, m)| (k.clone(), *m)).collect();
    let of = metrics.iter().take(200).map(|(k, m)| (id.as_str(), k.as_str(), m));
    effects.extend(run.sparks.demand(of, ids, now).map(|(id, want)| Effect::Load(id, want)));
    if run.multiples {
        let near = run.metrics().into_iter().skip(run.cursors[METRICS].saturating_sub(TILES_MAX)).take(2 * TILES_MAX);
        charted.extend(near.map(|(k, _)| k.clone()));
    }
    let of = charted.iter().filter_map(|key| row.metrics.get(key).map(|m| (id.as_str(), key.as_str(), m)));
    effects.extend(run.charts.demand(of, ids, now).map(|(id, want)| Effect::Load(id, want)));
}

pub fn loaded(state: &mut State, id: RequestId, reply: &Result<Page, Fault>) {
    let (now, run) = (state.now, &mut state.run);
    if give(&mut run.row, id, reply, now, |p| if let Page::Run(r) = p { Some((**r).clone()) } else { None })
        && run.row.value().is_some_and(crate::tui::model::Run::is_live)
    {
        run.console.touch();
    }
    give(&mut run.origin, id, reply, now, |p| if let Page::Origin(o) = p { Some((**o).clone()) } else { None });
    give(&mut run.models, id, reply, now, |p| if let Page::Logged(m) = p { Some(m.clone()) } else { None });
    give(&mut run.console, id, reply, now, |p| if let Page::Preview(v) = p { Some(v.clone()) } else { None });
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
    open(state, copy_list(items));
}
