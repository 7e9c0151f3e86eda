//! Histories kept for drawing: fetched once, fetched again when the run has logged more.

use std::collections::BTreeMap;

use crate::base::{Fault, Timestamp};
use crate::tui::model::{Latest, Point};
use crate::tui::msg::{Page, Want};
use crate::tui::remote::RequestId;

/// Which history: a run and a metric.
pub type Name = (String, String);

/// Curves kept at most; beyond it the store is emptied, since what is on screen comes back at once.
const KEPT_MAX: usize = 2_000;
/// Microseconds between two fetches of curves that are there already.
const GAP_US: i64 = 500_000;

/// Step, time and number of a history's newest point: another one means that it has grown.
type Newest = (i64, Timestamp, u64);

#[derive(Debug, Clone)]
struct Kept {
    points: Vec<Point>,
    not_finite: u64,
    /// Of the newest point when it was fetched.
    as_of: Newest,
}

/// A store of curves, thinned to `points` each.
#[derive(Debug, Clone)]
pub struct Curves {
    points: usize,
    kept: BTreeMap<Name, Kept>,
    wanted: Option<(RequestId, Vec<(Name, Newest)>)>,
    asked: Timestamp,
}

fn newest(latest: &Latest) -> Newest {
    (latest.step, latest.at, latest.count)
}

impl Curves {
    pub fn new(points: usize) -> Self {
        Self { points, kept: BTreeMap::new(), wanted: None, asked: Timestamp::default() }
    }

    pub fn get(&self, run: &str, key: &str) -> Option<&[Point]> {
        self.kept.get(&(run.to_owned(), key.to_owned())).map(|k| k.points.as_slice())
    }

    /// Points of the whole history that are NaN or infinite.
    pub fn gaps(&self, run: &str, key: &str) -> u64 {
        self.kept.get(&(run.to_owned(), key.to_owned())).map_or(0, |k| k.not_finite)
    }

    /// The next request for what is missing or has grown; one is under way at a time.
    pub fn demand<'a>(
        &mut self,
        of: impl Iterator<Item = (&'a str, &'a str, &'a Latest)>,
        ids: &mut RequestId,
        now: Timestamp,
    ) -> Option<(RequestId, Want)> {
        if self.wanted.is_some() {
            return None;
        }
        let rested = now.0 - self.asked.0 >= GAP_US;
        let (mut missing, mut any_new) = (Vec::new(), false);
        for (run, key, latest) in of {
            let name = (run.to_owned(), key.to_owned());
            match self.kept.get(&name) {
                Some(k) if k.as_of == newest(latest) => {}
                Some(_) => missing.push((name, newest(latest))),
                None => {
                    any_new = true;
                    missing.push((name, newest(latest)));
                }
            }
        }
        if missing.is_empty() || (!any_new && !rested) {
            return None;
        }
        if self.kept.len() + missing.len() > KEPT_MAX {
            self.kept.clear();
        }
        *ids += 1;
        self.asked = now;
        let of = missing.iter().map(|(name, _)| name.clone()).collect();
        self.wanted = Some((*ids, missing));
        Some((*ids, Want::Curves { of, points: self.points }))
    }

    /// Takes a reply if it is the one waited for. What could not be had is kept as an empty curve: it shows as a gap.
    pub fn take(&mut self, id: RequestId, reply: &Result<Page, Fault>) {
        if self.wanted.as_ref().is_none_or(|(wanted, _)| *wanted != id) {
            return;
        }
        let Some((_, asked)) = self.wanted.take() else { return };
        let Ok(Page::Curves(curves)) = reply else {
            for (name, as_of) in asked {
                self.kept.entry(name).or_insert(Kept { points: Vec::new(), not_finite: 0, as_of }).as_of = as_of;
            }
            return;
        };
        for (name, as_of) in asked {
            let found = curves.iter().find(|c| c.run == name.0 && c.key == name.1);
            let points = found.map(|c| c.points.clone()).unwrap_or_default();
            let not_finite = found.map_or(0, |c| c.not_finite);
            self.kept.insert(name, Kept { points, not_finite, as_of });
        }
    }
}

/// A thinned curve smoothed by an exponential moving average; gaps stay gaps and do not pull the average.
pub fn smooth(values: impl Iterator<Item = f64>, weight: f64) -> Vec<f64> {
    let mut mean: Option<f64> = None;
    values
        .map(|v| {
            if !v.is_finite() {
                return f64::NAN;
            }
            let next = mean.map_or(v, |m| weight * m + (1.0 - weight) * v);
            mean = Some(next);
            next
        })
        .collect()
}
