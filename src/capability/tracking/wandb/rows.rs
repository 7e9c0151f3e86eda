//! A run's history as W&B's clients read it: one object a step, with all that was logged there.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Map, Value};

use crate::base::fault::Result;
use crate::base::id::RunId;
use crate::base::number::word;
use crate::capability::tracking::runs;
use crate::capability::tracking::writer::Tracking;

/// Where the machine's figures stand here.
const MACHINE: &str = "system/";

/// What of a run is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// What the script logged.
    History,
    /// Figures of the machine.
    Machine,
}

impl Tracking {
    /// The rows of these steps in order; with `keys`, only those metrics.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn wandb_rows(
        &self,
        id: RunId,
        stream: Stream,
        keys: Option<&[String]>,
        steps: Range<i64>,
    ) -> Result<Vec<Map<String, Value>>> {
        let run = self.read(|s| s.run(id).cloned()).ok_or_else(|| runs::missing(id))?;
        let mut rows: BTreeMap<i64, (i64, Map<String, Value>)> = BTreeMap::new();
        for (key, latest) in run.metrics.iter() {
            let of_machine = key.starts_with(MACHINE);
            let asked = keys.is_none_or(|keys| keys.iter().any(|k| *k == shown(&key)));
            if of_machine != (stream == Stream::Machine) || !asked || latest.step < steps.start {
                continue;
            }
            let name = shown(&key);
            for point in self.history(id, &key).await? {
                if steps.contains(&point.step) {
                    let (at, row) = rows.entry(point.step).or_default();
                    *at = (*at).max(point.timestamp);
                    row.insert(name.clone(), word(point.value).map_or_else(|| Value::from(point.value), Into::into));
                }
            }
        }
        let whole = |(step, (at, mut row)): (i64, (i64, Map<String, Value>))| {
            row.insert("_step".to_owned(), step.into());
            row.insert("_timestamp".to_owned(), (at as f64 / 1000.0).into());
            row.insert("_runtime".to_owned(), ((at - run.start_ms).max(0) as f64 / 1000.0).into());
            row
        };
        Ok(rows.into_iter().map(whole).collect())
    }
}

/// A metric's name as W&B has it.
fn shown(key: &str) -> String {
    key.strip_prefix(MACHINE).map_or_else(|| key.to_owned(), |rest| format!("system.{rest}"))
}

/// At most so many rows, evenly spread, the last one among them.
pub fn thinned<T>(rows: Vec<T>, most: usize) -> Vec<T> {
    let count = rows.len();
    if count <= most {
        return rows;
    }
    let kept = |at: usize| most > 0 && (at * most / count != (at + 1) * most / count);
    rows.into_iter().enumerate().filter(|(at, _)| kept(*at)).map(|(_, row)| row).collect()
}

#[cfg(test)]
mod tests {
    use super::thinned;

    #[test]
    fn rows_are_thinned_evenly_and_the_last_one_stays() {
        assert_eq!(thinned((0..10).collect(), 5), [1, 3, 5, 7, 9]);
        assert_eq!(thinned((0..3).collect(), 5), [0, 1, 2]);
        let some = thinned((0..1001).collect::<Vec<_>>(), 500);
        assert_eq!((some.len(), some.last()), (500, Some(&1000)));
        assert!(thinned(vec![1, 2], 0).is_empty());
    }
}
