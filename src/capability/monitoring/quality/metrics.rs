//! Metrics of labelled predictions, from counters alone.

use std::collections::{BTreeMap, BTreeSet};

use super::super::counters::{ANOTHER, NUMBER_UNIT, OTHERS, SCORE_BINS, Tally, UNIT, unpaired};
use super::{CalibrationBin, Metric};
use crate::base::stats::binary::Confusion;
use crate::base::stats::proportion::wilson;

/// Standard normal quantile of 95 %, both sides.
const Z: f64 = 1.959_963_984_540_054;

fn whole(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

fn share(x: i64, n: i64) -> Option<Metric> {
    (n > 0).then(|| {
        let (x, n) = (whole(x), whole(n));
        let interval = wilson(x, n, 0.95);
        Metric { value: x as f64 / n as f64, low: Some(interval.low), high: Some(interval.high), n }
    })
}

fn plain(value: f64, n: i64) -> Metric {
    Metric { value, low: None, high: None, n: whole(n) }
}

fn around(value: f64, sd: f64, n: i64) -> Metric {
    let half = Z * sd / (n as f64).sqrt();
    Metric { value, low: Some(value - half), high: Some(value + half), n: whole(n) }
}

/// Right ones, and all.
pub fn accuracy(tally: &Tally) -> Option<Metric> {
    let right = tally.confusion.iter().filter(|(k, _)| is_right(k)).map(|(_, n)| n).sum();
    share(right, tally.confusion.values().sum())
}

fn is_right(key: &str) -> bool {
    let (said, truth) = unpaired(key);
    said == truth
}

/// Every metric that the counters give. `positive`: the class that scores are the probability of.
pub fn measured(tally: &Tally, positive: Option<&str>) -> BTreeMap<String, Metric> {
    let mut found: BTreeMap<String, Metric> = BTreeMap::new();
    let mut put = |name: &str, metric: Option<Metric>| {
        if let Some(metric) = metric {
            found.insert(name.to_owned(), metric);
        }
    };
    put("accuracy", accuracy(tally));
    let classes: BTreeSet<&str> = tally.confusion.keys().flat_map(|k| <[&str; 2]>::from(unpaired(k))).collect();
    let positive =
        positive.or_else(|| (classes.contains("1") && classes.iter().all(|c| matches!(*c, "0" | "1"))).then_some("1"));
    let n: i64 = tally.confusion.values().sum();
    match positive.filter(|_| n > 0 && classes.len() <= 2) {
        Some(positive) => {
            let c = confusion(tally, positive);
            let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
            put("precision", share(count(c.tp), count(c.tp + c.fp)));
            put("recall", share(count(c.tp), count(c.tp + c.fn_)));
            put("specificity", share(count(c.tn), count(c.tn + c.fp)));
            put("f1", Some(plain(c.f1(), n)));
            put("mcc", Some(plain(c.mcc(), n)));
            put("auc", auc(tally));
        }
        None if n > 0 => {
            let each = by_class(tally);
            let of = |f: fn(Confusion) -> f64| each.values().map(|c| f(*c)).sum::<f64>() / each.len().max(1) as f64;
            put("f1_macro", Some(plain(of(Confusion::f1), n)));
            put("balanced_accuracy", Some(plain(of(Confusion::recall), n)));
        }
        None => {}
    }
    let scored: i64 = tally.scores.values().map(|b| b.labelled).sum();
    if scored > 0 {
        put("brier", Some(plain(tally.brier as f64 / UNIT / scored as f64, scored)));
        put("log_loss", Some(plain(tally.log_loss as f64 / UNIT / scored as f64, scored)));
        let gap = |b: &CalibrationBin| b.n as f64 * (b.score - b.came_true).abs();
        put("ece", Some(plain(calibration(tally).iter().map(gap).sum::<f64>() / scored as f64, scored)));
    }
    regression(tally, &mut put);
    if tally.judged > 0 {
        let n = tally.judged as f64;
        let mean = tally.judged_sum as f64 / UNIT / n;
        let variance = (tally.judged_squares as f64 / UNIT / n - mean * mean).max(0.0);
        put("judgement", Some(around(mean, variance.sqrt(), tally.judged)));
    }
    found
}

fn regression(tally: &Tally, put: &mut impl FnMut(&str, Option<Metric>)) {
    let r = &tally.residuals;
    if r.n <= 0 {
        return;
    }
    let n = r.n as f64;
    let square = NUMBER_UNIT * NUMBER_UNIT;
    let (mae, mse) = (r.absolute as f64 / NUMBER_UNIT / n, r.squares as f64 / square / n);
    let (bias, mean) = (r.bias as f64 / NUMBER_UNIT / n, r.truth as f64 / NUMBER_UNIT / n);
    let total = r.truth_squares as f64 / square / n - mean * mean;
    put("mae", Some(around(mae, (mse - mae * mae).max(0.0).sqrt(), r.n)));
    put("rmse", Some(plain(mse.sqrt(), r.n)));
    put("bias", Some(around(bias, (mse - bias * bias).max(0.0).sqrt(), r.n)));
    put("r2", (total > 0.0).then(|| plain(1.0 - mse / total, r.n)));
}

fn confusion(tally: &Tally, positive: &str) -> Confusion {
    let mut c = Confusion::default();
    for (key, n) in &tally.confusion {
        let (said, truth) = unpaired(key);
        let cell = match (said == positive, truth == positive) {
            (true, true) => &mut c.tp,
            (true, false) => &mut c.fp,
            (false, true) => &mut c.fn_,
            (false, false) => &mut c.tn,
        };
        *cell += whole(*n);
    }
    c
}

/// Each class that has a name against all others, in one pass: there may be hundreds of them.
fn by_class(tally: &Tally) -> BTreeMap<&str, Confusion> {
    let mut all: BTreeMap<&str, Confusion> = BTreeMap::new();
    let mut total = 0;
    for (key, n) in &tally.confusion {
        let ((said, truth), n) = (unpaired(key), whole(*n));
        total += n;
        if said == truth {
            all.entry(said).or_default().tp += n;
        } else {
            all.entry(said).or_default().fp += n;
            all.entry(truth).or_default().fn_ += n;
        }
    }
    all.retain(|class, _| !matches!(*class, OTHERS | ANOTHER));
    all.values_mut().for_each(|c| c.tn = total.saturating_sub(c.n()));
    all
}

/// Area under the ROC curve. Within a bin the order is not known: the interval holds every order, and chance.
fn auc(tally: &Tally) -> Option<Metric> {
    let (mut below, mut area, mut tied) = (0.0, 0.0, 0.0);
    let (mut positive, mut negative) = (0.0, 0.0);
    for bin in tally.scores.values() {
        let (p, n) = (bin.positive as f64, (bin.labelled - bin.positive) as f64);
        area += p * below;
        tied += p * n;
        below += n;
        positive += p;
        negative += n;
    }
    if positive == 0.0 || negative == 0.0 {
        return None;
    }
    let pairs = positive * negative;
    let value = (area + tied / 2.0) / pairs;
    // Hanley and McNeil.
    let (q1, q2) = (value / (2.0 - value), 2.0 * value * value / (1.0 + value));
    let spread =
        value * (1.0 - value) + (positive - 1.0) * (q1 - value * value) + (negative - 1.0) * (q2 - value * value);
    let half = Z * (spread.max(0.0) / pairs).sqrt();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // counts
    let n = (positive + negative) as u64;
    let (low, high) = ((area / pairs - half).max(0.0), ((area + tied) / pairs + half).min(1.0));
    Some(Metric { value, low: Some(low), high: Some(high), n })
}

/// Scores against what came true, by tenths.
pub fn calibration(tally: &Tally) -> Vec<CalibrationBin> {
    let mut tenths: BTreeMap<u8, (i64, i64, i64)> = BTreeMap::new();
    for (bin, b) in tally.scores.iter().filter(|(_, b)| b.labelled > 0) {
        let tenth = tenths.entry(bin / (SCORE_BINS / 10)).or_default();
        *tenth = (tenth.0 + b.labelled, tenth.1 + b.labelled_sum, tenth.2 + b.positive);
    }
    let of = |(n, sum, positive): &(i64, i64, i64)| CalibrationBin {
        n: whole(*n),
        score: *sum as f64 / UNIT / *n as f64,
        came_true: *positive as f64 / *n as f64,
    };
    tenths.values().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::counters::Residuals;
    use super::*;
    use crate::base::stats::binary::roc_auc;

    #[test]
    fn the_bracket_of_auc_holds_the_exact_value() {
        let mut seed = 5_u64;
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as f64 / (1_u64 << 31) as f64
        };
        for _ in 0..50 {
            let mut tally = Tally::default();
            let (mut labels, mut scores) = (Vec::new(), Vec::new());
            for _ in 0..200 {
                let score = next();
                let label = next() < score * score;
                labels.push(label);
                scores.push(score);
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a bin
                let bin = tally.scores.at((score * 100.0) as u8);
                bin.labelled += 1;
                bin.positive += i64::from(label);
            }
            let (exact, got) = (roc_auc(&labels, &scores).unwrap(), auc(&tally).unwrap());
            assert!(got.low.unwrap() <= exact && exact <= got.high.unwrap());
            assert!((got.value - exact).abs() < 0.01, "{} {exact}", got.value);
        }
    }

    #[test]
    fn a_regression_from_sums() {
        let (said, truth) = ([1.5, 2.0, 4.0], [1.0, 2.5, 3.0]);
        let mut r = Residuals::default();
        for (s, t) in said.iter().zip(truth) {
            #[allow(clippy::cast_possible_truncation)] // small
            let (off, y) = (((s - t) * NUMBER_UNIT) as i64, (t * NUMBER_UNIT) as i64);
            r.n += 1;
            r.absolute += off.abs();
            r.squares += i128::from(off * off);
            r.bias += off;
            r.truth += y;
            r.truth_squares += i128::from(y) * i128::from(y);
        }
        let got = measured(&Tally { residuals: r, ..Tally::default() }, None);
        assert!((got["mae"].value - 2.0 / 3.0).abs() < 1e-9);
        assert!((got["rmse"].value - (1.5_f64 / 3.0).sqrt()).abs() < 1e-9);
        assert!((got["bias"].value - 1.0 / 3.0).abs() < 1e-9);
    }
}
