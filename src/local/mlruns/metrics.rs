//! Files of metrics: one a name, a point a line.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::files_beneath;
use crate::capability::tracking::Key;
use crate::capability::tracking::points::Point;
use crate::capability::tracking::types::ModelMetric;
use crate::local::found::Damage;

/// One file a metric: `timestamp value step` a line. A last line that is not ended is still being written. MLflow writes
/// some points twice when a model is logged; its databases keep one of those, and so do we.
pub(super) fn series(folder: &Path, damage: &mut Vec<Damage>) -> BTreeMap<String, Vec<Point>> {
    let mut found = BTreeMap::new();
    for (name, path) in files_beneath(folder) {
        let mut points = Vec::new();
        let mut seen = HashSet::new();
        for_each_line(&path, damage, |line| {
            let Some(point) = point(line) else { return false };
            if seen.insert((point.timestamp, point.step, point.value.to_bits())) {
                points.push(point);
            }
            true
        });
        if !points.is_empty() {
            found.insert(name, points);
        }
    }
    found
}

fn point(line: &str) -> Option<Point> {
    let mut fields = line.split(' ');
    let timestamp = fields.next()?.parse().ok()?;
    let value = fields.next()?.parse().ok()?;
    let step = fields.next().map_or(Some(0), |s| s.parse().ok())?;
    Some(Point { step, timestamp, value })
}

/// `timestamp value step run [dataset digest]` a line.
pub(super) fn model_metrics(folder: &Path, damage: &mut Vec<Damage>) -> Vec<ModelMetric> {
    let mut found = Vec::new();
    for (name, path) in files_beneath(folder) {
        for_each_line(&path, damage, |line| {
            let fields: Vec<&str> = line.split(' ').collect();
            let (Some(point), Some(run)) = (point(line), fields.get(3).and_then(|r| r.parse().ok())) else {
                return false;
            };
            let dataset = fields.get(4).zip(fields.get(5)).map(|(n, d)| ((*n).to_owned(), (*d).to_owned()));
            let Point { step, timestamp, value } = point;
            found.push(ModelMetric { key: Key::from(&name), value, timestamp, step, run, dataset });
            true
        });
    }
    found
}

/// `take` says whether a line can be read; the first one of a file that cannot is named.
fn for_each_line(path: &Path, damage: &mut Vec<Damage>, mut take: impl FnMut(&str) -> bool) {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) => return damage.push(Damage::new(path.display(), e)),
    };
    let ended = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let mut bad = 0;
    let mut first = 0;
    for (i, line) in bytes[..ended].split(|b| *b == b'\n').enumerate() {
        let text = std::str::from_utf8(line).map(str::trim_end);
        if text.is_ok_and(|t| t.is_empty() || take(t)) {
            continue;
        }
        bad += 1;
        if first == 0 {
            first = i + 1;
        }
    }
    if bad > 0 {
        damage.push(Damage::new(path.display(), format!("{bad} lines cannot be read, the first is line {first}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_metrics() {
        assert_eq!(point("5 0.5 -3"), Some(Point { step: -3, timestamp: 5, value: 0.5 }));
        assert_eq!(point("5 1e-05"), Some(Point { step: 0, timestamp: 5, value: 1e-5 }));
        assert!(point("5 nan 0").unwrap().value.is_nan());
        assert_eq!(point("5 -inf 0").unwrap().value, f64::NEG_INFINITY);
        assert!(point("five 1 0").is_none() && point("5").is_none() && point("5 1 x").is_none());
    }
}
