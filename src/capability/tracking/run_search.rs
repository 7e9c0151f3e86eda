//! Finding runs: a scan of columns first, of documents only where a column cannot answer.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::columns::{Column, Columns};
use super::filter::{Condition, Entity, OrderBy};
use super::question;
use super::search::{Page, Query, SortKey, compare};
use super::state::State;
use super::types::{Run, Text};
use super::writer::Tracking;
use crate::base::id::ExperimentId;

impl Tracking {
    pub fn search_runs(&self, query: &Query) -> Page<Arc<Run>> {
        self.read(|state| {
            let matching = Matching::new(state, query);
            let mut found: Vec<(SortKey, u32)> = matching
                .places()
                .filter(|place| matching.holds(*place))
                .map(|place| (matching.first_key(place), place))
                .collect();
            let matched = found.len();
            let end = query.offset.saturating_add(query.limit).min(matched);
            if query.offset >= end {
                return Page { items: Vec::new(), matched };
            }
            // A selection first, then the page alone: no more is sorted than is shown.
            if end < matched {
                found.select_nth_unstable_by(end - 1, |a, b| matching.order(a, b));
                found.truncate(end);
            }
            if query.offset > 0 {
                found.select_nth_unstable_by(query.offset, |a, b| matching.order(a, b));
                found.drain(..query.offset);
            }
            found.sort_unstable_by(|a, b| matching.order(a, b));
            let items = found.into_iter().map(|(_, place)| state.runs()[place as usize].clone()).collect();
            Page { items, matched }
        })
    }

    /// Every run that a question matches, in no order and on no page.
    pub fn matching_runs(&self, query: &Query) -> Vec<Arc<Run>> {
        self.read(|state| {
            let matching = Matching::new(state, query);
            let found = matching.places().filter(|place| matching.holds(*place));
            found.map(|place| state.runs()[place as usize].clone()).collect()
        })
    }
}

/// A query made ready for one scan.
struct Matching<'a> {
    state: &'a State,
    columns: &'a Columns,
    query: &'a Query,
    /// Conditions that a column answers; `None`: no run has this metric.
    by_column: Vec<(&'a Condition, Option<&'a Column>)>,
    /// Conditions that need the document.
    by_document: Vec<&'a Condition>,
    /// The column of the first order, when it is a metric's.
    first: Option<&'a Column>,
}

impl<'a> Matching<'a> {
    fn new(state: &'a State, query: &'a Query) -> Self {
        let columns = state.columns();
        let (metric, other): (Vec<&Condition>, Vec<&Condition>) =
            query.filter.conditions.iter().partition(|c| c.entity == Entity::Metric);
        let first =
            query.order_by.first().filter(|by| by.entity == Entity::Metric).and_then(|by| columns.metric(&by.key));
        Self {
            state,
            columns,
            query,
            by_column: metric.into_iter().map(|c| (c, columns.metric(&c.key))).collect(),
            by_document: other,
            first,
        }
    }

    /// Where the runs of the asked experiments stand.
    fn places(&self) -> Box<dyn Iterator<Item = u32> + 'a> {
        match &self.query.experiments {
            Some(ids) => {
                let ids: BTreeSet<ExperimentId> = ids.iter().copied().collect();
                let state = self.state;
                Box::new(ids.into_iter().flat_map(move |id| state.places_of(id).iter().copied()))
            }
            None => Box::new(0..u32::try_from(self.state.runs().len()).unwrap_or(u32::MAX)),
        }
    }

    fn run(&self, place: u32) -> &'a Run {
        &self.state.runs()[place as usize]
    }

    fn holds(&self, place: u32) -> bool {
        self.query.view.shows(self.columns.head(place).lifecycle)
            && self.by_column.iter().all(|(c, column)| c.matches_number(column.and_then(|col| col.get(place))))
            && (self.by_document.is_empty() || {
                let run = self.run(place);
                self.by_document.iter().all(|c| matches(run, c))
            })
            && self.query.since_ms.is_none_or(|since| self.run(place).end_ms.is_none_or(|end| end >= since))
            && (self.query.search.is_empty() || question::holds(self.state, self.run(place), &self.query.search))
    }

    fn first_key(&self, place: u32) -> SortKey {
        match (self.query.order_by.first(), self.first) {
            (None, _) => SortKey::Missing,
            (Some(_), Some(column)) => column.get(place).map_or(SortKey::Missing, SortKey::Number),
            (Some(by), None) => self.key(place, by),
        }
    }

    fn key(&self, place: u32, by: &OrderBy) -> SortKey {
        let run = self.run(place);
        question::own_sort_key(self.state, run, by).unwrap_or_else(|| sort_key(run, by))
    }

    /// By the first order; further orders are looked up only for those that tie; then newest first.
    fn order(&self, a: &(SortKey, u32), b: &(SortKey, u32)) -> Ordering {
        let first = self.query.order_by.first().map_or(Ordering::Equal, |by| compare(&a.0, &b.0, by.ascending));
        first
            .then_with(|| {
                let further = self.query.order_by.iter().skip(1);
                further
                    .map(|by| compare(&self.key(a.1, by), &self.key(b.1, by), by.ascending))
                    .find(|order| order.is_ne())
                    .unwrap_or(Ordering::Equal)
            })
            .then_with(|| self.columns.head(b.1).start_ms.cmp(&self.columns.head(a.1).start_ms))
            .then_with(|| self.run(a.1).id.cmp(&self.run(b.1).id))
    }
}

fn matches(run: &Run, c: &Condition) -> bool {
    match c.entity {
        Entity::Metric => c.matches_number(run.metrics.get(&c.key).map(|m| m.value)),
        Entity::Param => c.matches_text(run.params.get(&c.key).map(Text::as_str)),
        Entity::Tag => c.matches_text(run.tags.get(&c.key).map(Text::as_str)),
        Entity::Dataset => dataset_matches(run, c),
        Entity::Attribute => match c.key.as_str() {
            "start_time" => c.matches_integer(Some(run.start_ms)),
            "end_time" => c.matches_integer(run.end_ms),
            "run_id" => c.matches_text(Some(&run.id.to_string())),
            "run_name" => c.matches_text(Some(&run.name)),
            "status" => c.matches_text(Some(run.status.name())),
            "user_id" => c.matches_text(Some(run.user.as_str())),
            "artifact_uri" => c.matches_text(run.artifact_uri.as_deref()),
            _ => false,
        },
    }
}

fn dataset_matches(run: &Run, c: &Condition) -> bool {
    run.inputs.iter().any(|input| match c.key.as_str() {
        "name" => c.matches_text(Some(&input.name)),
        "digest" => c.matches_text(Some(&input.digest)),
        "context" => c.matches_text(input.context()),
        _ => false,
    })
}

fn sort_key(run: &Run, by: &OrderBy) -> SortKey {
    let text = |t: Option<&str>| t.map_or(SortKey::Missing, |t| SortKey::Text(t.to_owned()));
    match by.entity {
        Entity::Metric => run.metrics.get(&by.key).map_or(SortKey::Missing, |m| SortKey::Number(m.value)),
        Entity::Param => text(run.params.get(&by.key).map(Text::as_str)),
        Entity::Tag => text(run.tags.get(&by.key).map(Text::as_str)),
        Entity::Dataset => SortKey::Missing,
        Entity::Attribute => match by.key.as_str() {
            "start_time" => SortKey::Number(run.start_ms as f64),
            "end_time" => run.end_ms.map_or(SortKey::Missing, |t| SortKey::Number(t as f64)),
            "run_id" => SortKey::Text(run.id.to_string()),
            "run_name" => text(Some(&run.name)),
            "status" => text(Some(run.status.name())),
            "user_id" => text(Some(run.user.as_str())),
            "artifact_uri" => text(run.artifact_uri.as_deref()),
            _ => SortKey::Missing,
        },
    }
}
