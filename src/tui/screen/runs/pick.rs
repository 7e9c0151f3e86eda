//! Lists to pick from on the screen of runs: an order, groups, columns, a metric, an experiment, what to copy.

use super::Column;
use super::columns;
use super::groups::FAMILIES;
use crate::capability::tracking::GroupBy;
use crate::tui::format;
use crate::tui::model::Run;
use crate::tui::overlay::picker::Item;
use crate::tui::overlay::{Choice, Picker};
use crate::tui::screen::{copy_list, open};
use crate::tui::state::State;

pub(super) fn order(state: &mut State) {
    let shown = state.runs.shown_columns();
    let mut columns: Vec<Column> = shown.clone();
    columns.extend(columns::FIXED.into_iter().filter(|c| !shown.contains(c)));
    columns.extend(columns::metrics(state.runs.rows()).into_iter().map(Column::Metric).filter(|c| !shown.contains(c)));
    columns.extend(columns::params(state.runs.rows()).into_iter().map(Column::Param).filter(|c| !shown.contains(c)));
    let items = columns
        .iter()
        .map(|c| {
            let order = c.order();
            let now = if order == state.runs.order { "now" } else { "" };
            Item::new(c.label(), now, Choice::SortRuns(order))
        })
        .collect();
    let order = state.runs.order.clone();
    open(state, Picker::new("SORT BY", items).at(|c| *c == Choice::SortRuns(order.clone())));
}

pub(super) fn group(state: &mut State) {
    let now = state.runs.grouped.by.clone();
    let params =
        columns::params(state.runs.rows()).into_iter().map(|k| (format!("param  {k}"), Some(GroupBy::Param(k))));
    let fixed = [
        ("one by one".to_owned(), None),
        ("experiment".to_owned(), Some(GroupBy::Experiment)),
        ("parent run".to_owned(), Some(GroupBy::Parent)),
    ];
    let rows = state.runs.rows();
    let there = |tag: &str| rows.iter().any(|r| r.tags.contains_key(tag));
    let families = FAMILIES.into_iter().filter(|(tag, _)| there(tag));
    let families: Vec<_> = families.map(|(tag, name)| (name.to_owned(), Some(GroupBy::Tag(tag.to_owned())))).collect();
    let item = |(label, by): (String, Option<GroupBy>)| {
        Item::new(format::clean(&label), if by == now { "now" } else { "" }, Choice::GroupRuns(by))
    };
    let items = fixed.into_iter().chain(families).chain(params).map(item).collect();
    let at = now.clone();
    open(state, Picker::new("GROUP RUNS BY", items).at(|c| *c == Choice::GroupRuns(at.clone())));
}

pub(super) fn columns(state: &mut State) {
    let shown = state.runs.shown_columns();
    let rows = state.runs.rows();
    let metrics = columns::metrics(rows).into_iter().map(Column::Metric);
    let params = columns::params(rows).into_iter().map(Column::Param);
    let items = columns::FIXED
        .into_iter()
        .chain(metrics)
        .chain(params)
        .map(|c| Item { checked: Some(shown.contains(&c)), ..Item::new(c.label(), "", Choice::Column(c)) })
        .collect();
    open(state, Picker { stays: true, ..Picker::new("COLUMNS", items) });
}

pub(super) fn metric(state: &mut State) {
    let now = state.runs.charted_metric();
    let items = columns::metrics(state.runs.rows())
        .into_iter()
        .map(|k| Item::new(format::clean(&k), "", Choice::Metric(k)))
        .collect();
    open(state, Picker::new("METRIC", items).at(|c| matches!(c, Choice::Metric(k) if Some(k) == now.as_ref())));
}

pub(super) fn experiment(state: &mut State) {
    let all = std::iter::once(Item::new("all experiments", "", Choice::Experiment(None)));
    let experiments = state.runs.experiments.value().cloned().unwrap_or_default();
    let items = all
        .chain(
            experiments
                .into_iter()
                .map(|e| Item::new(format::clean(&e.name), e.id.clone(), Choice::Experiment(Some(e)))),
        )
        .collect();
    let now = state.runs.experiment.clone();
    open(state, Picker::new("EXPERIMENT", items).at(|c| *c == Choice::Experiment(now.clone())));
}

pub(super) fn copy(state: &mut State) {
    let Some(run) = state.runs.current() else { return };
    let marked: Vec<&str> = state.runs.marks.iter().map(String::as_str).collect();
    let mut items = vec![
        Item::new("run id", format::cut(&run.id, 12, "…"), Choice::Copy(run.id.clone())),
        Item::new("name", "", Choice::Copy(run.name.clone())),
        Item::new("command line", "", Choice::Copy(format!("opsroom runs show {}", run.id))),
        Item::new("row as tab-separated text", "", Choice::Copy(tsv(run))),
    ];
    if !marked.is_empty() {
        items.insert(0, Item::new(format!("{} marked ids", marked.len()), "", Choice::Copy(marked.join("\n"))));
    }
    open(state, copy_list(items));
}

fn tsv(run: &Run) -> String {
    let mut cells = vec![
        run.id.clone(),
        run.name.clone(),
        run.experiment.clone(),
        format!("{:?}", run.status).to_lowercase(),
        run.started.to_string(),
    ];
    cells.extend(run.metrics.iter().map(|(k, m)| format!("{k}={}", m.value)));
    cells.extend(run.params.iter().map(|(k, v)| format!("{k}={v}")));
    cells.join("\t")
}
