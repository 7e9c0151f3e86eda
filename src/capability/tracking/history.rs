//! Reading the history of a metric: chunks, the tail, or the only point.

use std::collections::HashMap;

use super::points::{self, Point};
use super::store;
use super::types::Key;
use super::wandb;
use super::writer::Tracking;
use crate::base::fault::Result;
use crate::base::id::RunId;

/// What a chart draws of a history.
#[derive(Debug, Clone, PartialEq)]
pub struct Thinned {
    pub points: Vec<Point>,
    /// Points of the whole history that are NaN or infinite.
    pub not_finite: u64,
}

impl Tracking {
    /// All points of a metric by (timestamp, step, value), each once. Empty for an unknown run or key.
    ///
    /// # Errors
    /// `Unavailable` when the store does not answer.
    pub async fn history(&self, run: RunId, key: &str) -> Result<Vec<Point>> {
        let mut all = self.points(run, key).await?;
        points::order_and_dedup(&mut all);
        Ok(all)
    }

    /// At most about `columns` × 4 points by step, each column's least and greatest value among them: what a chart
    /// of that many columns needs.
    ///
    /// # Errors
    /// As [`Self::history`].
    ///
    /// A metric that its script wants drawn over another one has that one's values for steps.
    pub async fn chart(&self, run: RunId, key: &str, columns: usize) -> Result<Thinned> {
        let mut all = self.points(run, key).await?;
        if let Some(axis) = self.read(|s| s.run(run).and_then(|r| wandb::config::axis_of(r, key))) {
            over(&mut all, &self.points(run, &axis).await?);
        }
        if !all.is_sorted_by_key(|p| p.step) {
            all.sort_by_key(|p| (p.step, p.timestamp));
        }
        let not_finite = all.iter().filter(|p| !p.value.is_finite()).count() as u64;
        Ok(Thinned { points: points::min_max_per_column(&all, columns), not_finite })
    }

    /// In order of arrival; a point may stand twice while a fold goes on.
    async fn points(&self, run: RunId, key: &str) -> Result<Vec<Point>> {
        let key = Key::from(key);
        // The tail first: a fold in between then shows a point twice, never not at all.
        let (only, tail) = self.read(|s| {
            let latest = s.run(run).and_then(|r| r.metrics.get(key.as_str()).copied());
            (latest, s.tail(run, key).to_vec())
        });
        let Some(latest) = only else { return Ok(Vec::new()) };
        if latest.count == 1 {
            return Ok(vec![Point { step: latest.step, timestamp: latest.timestamp, value: latest.value }]);
        }
        let mut all = store::points(&self.documents.db, &run.to_string(), key.as_str()).await?;
        all.extend(tail);
        Ok(all)
    }
}

/// Gives points the values of an axis at their steps. An axis with values that are no whole numbers stays unused: steps are
/// whole.
#[allow(clippy::cast_possible_truncation)] // looked at before
fn over(points: &mut Vec<Point>, axis: &[Point]) {
    let whole = |p: &Point| p.value.fract() == 0.0 && p.value.abs() < 9e15;
    if axis.is_empty() || !axis.iter().all(whole) {
        return;
    }
    let values: HashMap<i64, i64> = axis.iter().map(|p| (p.step, p.value as i64)).collect();
    points.retain_mut(|point| {
        let value = values.get(&point.step);
        point.step = value.copied().unwrap_or_default();
        value.is_some()
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(of: &[(i64, f64)]) -> Vec<Point> {
        of.iter().map(|(step, value)| Point { step: *step, timestamp: 0, value: *value }).collect()
    }

    #[test]
    fn points_stand_over_their_axis_where_it_has_whole_values() {
        let mut loss = points(&[(0, 0.5), (1, 0.4), (7, 0.3)]);
        over(&mut loss, &points(&[(0, 10.0), (1, 11.0)]));
        assert_eq!(loss, points(&[(10, 0.5), (11, 0.4)]));
        let mut loss = points(&[(0, 0.5)]);
        over(&mut loss, &points(&[(0, 0.25)]));
        assert_eq!(loss, points(&[(0, 0.5)]));
    }
}
