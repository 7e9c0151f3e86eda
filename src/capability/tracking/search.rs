//! Finding runs, experiments and logged models: filter, order and page over the documents in memory.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::filter::{Entity, Filter, Op, OrderBy};
use super::types::{DatasetInput, Experiment, Lifecycle, LoggedModel};
use super::writer::Tracking;
use crate::base::id::ExperimentId;

/// Which of active and deleted things to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum View {
    #[default]
    ActiveOnly,
    DeletedOnly,
    All,
}

impl View {
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "ACTIVE_ONLY" => Some(Self::ActiveOnly),
            "DELETED_ONLY" => Some(Self::DeletedOnly),
            "ALL" => Some(Self::All),
            _ => None,
        }
    }

    pub fn shows(self, lifecycle: Lifecycle) -> bool {
        match self {
            Self::ActiveOnly => lifecycle == Lifecycle::Active,
            Self::DeletedOnly => lifecycle == Lifecycle::Deleted,
            Self::All => true,
        }
    }
}

/// What to look for, and which page of it.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// `None`: in all experiments.
    pub experiments: Option<Vec<ExperimentId>>,
    pub filter: Filter,
    /// In the room's own language, beside the filter; only runs are asked in it.
    pub search: super::query::Query,
    /// Only runs that go on or ended since, milliseconds since 1970.
    pub since_ms: Option<i64>,
    pub view: View,
    pub order_by: Vec<OrderBy>,
    pub offset: usize,
    pub limit: usize,
}

/// A dataset by its name, and by its digest where that matters.
pub type Dataset = (String, Option<String>);

/// A page, and how many matched in all.
#[derive(Debug, Clone)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub matched: usize,
}

impl<T> Page<T> {
    /// The offset of the next page, if there is one.
    pub fn next(&self, query: &Query) -> Option<usize> {
        let end = query.offset + self.items.len();
        (!self.items.is_empty() && end < self.matched).then_some(end)
    }
}

/// A dataset that runs of an experiment read, and in which role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DatasetSummary {
    pub experiment_id: ExperimentId,
    pub name: String,
    pub digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}

/// Datasets that one answer may name.
pub const DATASET_SUMMARIES_MAX: usize = 1000;

impl Tracking {
    pub fn search_experiments(&self, query: &Query) -> Page<Arc<Experiment>> {
        let found = self.read(|state| {
            let wanted = |e: &&Arc<Experiment>| query.view.shows(e.lifecycle) && experiment_matches(e, &query.filter);
            state.experiments().filter(wanted).cloned().collect()
        });
        let natural =
            |a: &Arc<Experiment>, b: &Arc<Experiment>| b.created.cmp(&a.created).then_with(|| b.id.cmp(&a.id));
        page(found, query, |e, _, by| experiment_sort_key(e, by), natural)
    }

    /// The datasets that active runs of these experiments read, each once for a context; at most
    /// [`DATASET_SUMMARIES_MAX`].
    pub fn dataset_summaries(&self, experiments: &[ExperimentId]) -> Vec<DatasetSummary> {
        let summaries: BTreeSet<DatasetSummary> = self.read(|state| {
            let runs =
                experiments.iter().flat_map(|id| state.runs_of(*id)).filter(|r| r.lifecycle == Lifecycle::Active);
            let inputs = runs.flat_map(|run| run.inputs.iter().map(move |input| (run.experiment, input)));
            let summary = |(experiment_id, input): (ExperimentId, &DatasetInput)| DatasetSummary {
                experiment_id,
                name: input.name.clone(),
                digest: input.digest.clone(),
                context: input.context().map(ToOwned::to_owned),
            };
            inputs.map(summary).collect()
        });
        summaries.into_iter().take(DATASET_SUMMARIES_MAX).collect()
    }

    /// `datasets` narrows metric conditions to metrics on one of them; `order_on` does the same for each order.
    pub fn search_models(
        &self,
        query: &Query,
        datasets: &[Dataset],
        order_on: &[Option<Dataset>],
    ) -> Page<Arc<LoggedModel>> {
        let found = self.read(|state| {
            let here = |m: &LoggedModel| query.experiments.as_ref().is_none_or(|ids| ids.contains(&m.experiment));
            let wanted = |m: &&Arc<LoggedModel>| {
                here(m) && query.view.shows(m.lifecycle) && model_matches(m, &query.filter, datasets)
            };
            state.models().filter(wanted).cloned().collect()
        });
        let natural =
            |a: &Arc<LoggedModel>, b: &Arc<LoggedModel>| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id));
        let on = |nth: usize| order_on.get(nth).and_then(Option::as_ref).map_or(&[][..], std::slice::from_ref);
        page(found, query, |m, nth, by| model_sort_key(m, by, on(nth)), natural)
    }
}

/// A value to sort by. What is missing comes last in both directions, NaN just before it.
#[derive(Debug, Clone, PartialEq)]
pub enum SortKey {
    Number(f64),
    Text(String),
    Missing,
}

pub(super) fn compare(a: &SortKey, b: &SortKey, ascending: bool) -> Ordering {
    let rank = |k: &SortKey| match k {
        SortKey::Number(n) if n.is_nan() => 1,
        SortKey::Missing => 2,
        _ => 0,
    };
    rank(a).cmp(&rank(b)).then_with(|| {
        let order = match (a, b) {
            (SortKey::Number(a), SortKey::Number(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
            (SortKey::Text(a), SortKey::Text(b)) => a.cmp(b),
            _ => Ordering::Equal,
        };
        if ascending { order } else { order.reverse() }
    })
}

/// Sorts no more than the page needs: a selection first, then the page alone. `key` gets the place of the order, too.
pub fn page<T>(
    found: Vec<Arc<T>>,
    query: &Query,
    key: impl Fn(&T, usize, &OrderBy) -> SortKey,
    natural: impl Fn(&Arc<T>, &Arc<T>) -> Ordering,
) -> Page<Arc<T>> {
    let matched = found.len();
    let end = query.offset.saturating_add(query.limit).min(matched);
    if query.offset >= end {
        return Page { items: Vec::new(), matched };
    }
    let keys = |item: &T| query.order_by.iter().enumerate().map(|(nth, by)| key(item, nth, by)).collect();
    let mut keyed: Vec<(Vec<SortKey>, Arc<T>)> = found.into_iter().map(|item| (keys(&item), item)).collect();
    let order = |a: &(Vec<SortKey>, Arc<T>), b: &(Vec<SortKey>, Arc<T>)| {
        let by_keys = a.0.iter().zip(&b.0).zip(&query.order_by).map(|((a, b), by)| compare(a, b, by.ascending));
        by_keys.fold(Ordering::Equal, Ordering::then).then_with(|| natural(&a.1, &b.1))
    };
    if end < matched {
        keyed.select_nth_unstable_by(end - 1, order);
        keyed.truncate(end);
    }
    keyed.sort_unstable_by(order);
    Page { items: keyed.drain(query.offset..).map(|(_, item)| item).collect(), matched }
}

fn experiment_matches(e: &Experiment, filter: &Filter) -> bool {
    filter.conditions.iter().all(|c| match (c.entity, c.key.as_str()) {
        (Entity::Tag, key) => c.matches_text(e.tags.get(key).map(String::as_str)),
        (_, "name") => c.matches_text(Some(&e.name)),
        (_, "experiment_id") => c.matches_text(Some(&e.id.to_string())),
        (_, "creation_time") => c.matches_integer(Some(e.created.millis())),
        (_, "last_update_time") => c.matches_integer(Some(e.updated.millis())),
        _ => false,
    })
}

#[allow(clippy::cast_precision_loss)] // as above
fn experiment_sort_key(e: &Experiment, by: &OrderBy) -> SortKey {
    match by.key.as_str() {
        "name" => SortKey::Text(e.name.clone()),
        "experiment_id" => SortKey::Number(e.id.0 as f64),
        "creation_time" => SortKey::Number(e.created.0 as f64),
        "last_update_time" => SortKey::Number(e.updated.0 as f64),
        _ => SortKey::Missing,
    }
}

fn on_dataset(dataset: Option<&(String, String)>, wanted: &[Dataset]) -> bool {
    wanted.is_empty()
        || dataset.is_some_and(|(name, digest)| {
            wanted.iter().any(|(n, d)| n == name && d.as_ref().is_none_or(|d| d == digest))
        })
}

fn model_matches(m: &LoggedModel, filter: &Filter, datasets: &[Dataset]) -> bool {
    let narrowed = datasets.is_empty()
        || filter.conditions.iter().any(|c| c.entity == Entity::Metric)
        || m.metrics.iter().any(|k| on_dataset(k.dataset.as_ref(), datasets));
    narrowed
        && filter.conditions.iter().all(|c| match (c.entity, c.key.as_str()) {
            (Entity::Metric, key) => {
                let mut values =
                    m.metrics.iter().filter(|k| k.key.as_str() == key && on_dataset(k.dataset.as_ref(), datasets));
                if c.op == Op::IsNull {
                    values.next().is_none()
                } else {
                    values.any(|k| c.matches_number(Some(k.value)))
                }
            }
            (Entity::Param, key) => c.matches_text(m.params.get(key).map(String::as_str)),
            (Entity::Tag, key) => c.matches_text(m.tags.get(key).map(String::as_str)),
            (_, "name") => c.matches_text(Some(&m.name)),
            (_, "model_id") => c.matches_text(Some(&m.id.to_string())),
            (_, "model_type") => c.matches_text(Some(&m.model_type)),
            (_, "status") => {
                // Clients write both `READY` and `LOGGED_MODEL_READY`.
                let name = m.status.name();
                let short = name.strip_prefix("LOGGED_MODEL_").unwrap_or(name);
                let negative = matches!(c.op, Op::Ne | Op::NotIn);
                let (long, short) = (c.matches_text(Some(name)), c.matches_text(Some(short)));
                if negative { long && short } else { long || short }
            }
            (_, "source_run_id") => c.matches_text(m.source_run.as_deref()),
            (_, "creation_timestamp") => c.matches_integer(Some(m.created.millis())),
            (_, "last_updated_timestamp") => c.matches_integer(Some(m.updated.millis())),
            _ => false,
        })
}

#[allow(clippy::cast_precision_loss)] // as above
fn model_sort_key(m: &LoggedModel, by: &OrderBy, datasets: &[Dataset]) -> SortKey {
    match (by.entity, by.key.as_str()) {
        (Entity::Metric, key) => {
            let newest = m
                .metrics
                .iter()
                .filter(|k| k.key.as_str() == key && on_dataset(k.dataset.as_ref(), datasets))
                .max_by_key(|k| (k.timestamp, k.step));
            newest.map_or(SortKey::Missing, |k| SortKey::Number(k.value))
        }
        (_, "name") => SortKey::Text(m.name.clone()),
        (_, "model_id") => SortKey::Text(m.id.to_string()),
        (_, "model_type") => SortKey::Text(m.model_type.clone()),
        (_, "status") => SortKey::Text(m.status.name().to_owned()),
        (_, "creation_timestamp") => SortKey::Number(m.created.0 as f64),
        (_, "last_updated_timestamp") => SortKey::Number(m.updated.0 as f64),
        _ => SortKey::Missing,
    }
}
