//! What the words of the room's filter and its orders mean for a run.

use super::filter::{Entity, OrderBy};
use super::query::{Held, Query};
use super::search::SortKey;
use super::state::State;
use super::types::{Run, RunStatus, Text};

/// The words by which people call how a run stands.
pub const STATUS_WORDS: [(&str, RunStatus); 5] = [
    ("live", RunStatus::Running),
    ("queued", RunStatus::Scheduled),
    ("done", RunStatus::Finished),
    ("failed", RunStatus::Failed),
    ("killed", RunStatus::Killed),
];

/// Orders of our own beside `MLflow`'s.
const OWN_ORDERS: [&str; 4] = ["duration", "step", "experiment_name", "note"];

/// The tag that `MLflow`'s clients keep notes in.
const NOTE: &str = "mlflow.note.content";

/// Whether a run holds it.
pub(super) fn holds(state: &State, run: &Run, query: &Query) -> bool {
    query.matches(|field| held(state, run, field))
}

/// What a run holds for a field: an attribute, or a key of metrics, params or tags. A key without its kind is looked for in
/// that order.
fn held(state: &State, run: &Run, field: Option<&str>) -> Held {
    let text = |t: &str| Held::Text(t.to_owned());
    let or_missing = |t: Option<&Text>| t.map_or(Held::Missing, |t| text(t.as_str()));
    match field {
        None | Some("name") => text(&run.name),
        Some("state" | "status") => {
            text(STATUS_WORDS.iter().find(|(_, s)| *s == run.status).map_or("", |(word, _)| word))
        }
        Some("user") => text(run.user.as_str()),
        Some("id") => Held::Text(run.id.to_string()),
        Some("experiment") => text(experiment_name(state, run)),
        Some("note") => or_missing(run.tags.get(NOTE)),
        Some("step") => step(run).map_or(Held::Missing, Held::Number),
        Some("dur") => seconds(run).map_or(Held::Missing, Held::Number),
        Some("tag") => Held::Text(run.tags.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ")),
        Some(field) => match field.split_once('.') {
            Some(("metrics", key)) => metric(run, key).map_or(Held::Missing, Held::Number),
            Some(("params", key)) => or_missing(run.params.get(key)),
            Some(("tags", key)) => or_missing(run.tags.get(key)),
            _ => match metric(run, field) {
                Some(value) => Held::Number(value),
                None => or_missing(run.params.get(field).or_else(|| run.tags.get(field))),
            },
        },
    }
}

fn metric(run: &Run, key: &str) -> Option<f64> {
    run.metrics.get(key).map(|m| m.value)
}

/// The furthest step of any metric.
fn step(run: &Run) -> Option<f64> {
    run.metrics.iter().map(|(_, m)| m.step).max().map(|s| s as f64)
}

fn seconds(run: &Run) -> Option<f64> {
    run.end_ms.map(|end| (end - run.start_ms) as f64 / 1e3)
}

fn experiment_name<'a>(state: &'a State, run: &Run) -> &'a str {
    state.experiment(run.experiment).map_or("", |e| e.name.as_str())
}

/// One of our own orders, such as `duration DESC`; `None` leaves the text to `MLflow`'s grammar.
pub(super) fn own_order(text: &str) -> Option<OrderBy> {
    let (name, way) = text.split_once(' ').unwrap_or((text, "ASC"));
    let key = OWN_ORDERS.into_iter().find(|o| *o == name)?;
    Some(OrderBy {
        entity: Entity::Attribute,
        key: key.to_owned(),
        ascending: !way.trim().eq_ignore_ascii_case("DESC"),
    })
}

/// By what a run stands in one of our own orders; `None` for those of `MLflow`.
pub(super) fn own_sort_key(state: &State, run: &Run, by: &OrderBy) -> Option<SortKey> {
    let number = |n: Option<f64>| n.map_or(SortKey::Missing, SortKey::Number);
    if by.entity != Entity::Attribute {
        return None;
    }
    Some(match by.key.as_str() {
        // A run that goes on has no length yet; it is the longest of all.
        "duration" => SortKey::Number(seconds(run).unwrap_or(f64::MAX)),
        "step" => number(step(run)),
        "experiment_name" => SortKey::Text(experiment_name(state, run).to_owned()),
        "note" => run.tags.get(NOTE).map_or(SortKey::Missing, |t| SortKey::Text(t.as_str().to_owned())),
        _ => return None,
    })
}
