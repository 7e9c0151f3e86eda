//! Floors and comparisons of every slice at once: many tests, one promise.

use std::cmp::Reverse;

use serde_json::Value;

use super::case::{Case, Examples, Pair};
use super::judge::{Word, number, undecided};
use super::{Rule, SliceFinding, Verdict};
use crate::base::show;
use crate::base::stats::multiple::{Adjustment, adjusted};
use crate::base::stats::special::normal_sf;
use crate::capability::evals::metric::Metric;
use crate::capability::evals::{Limit, Slices, compare, metric};

use Verdict::{Fail, Inconclusive, Pass};

/// One bound on one slice.
struct Test {
    slice: String,
    n: usize,
    observed: f64,
    /// How far on the good side of the bound; negative is below.
    room: f64,
    se: f64,
    /// Of lying this far below by chance.
    p: f64,
}

/// What a rule about slices asks.
struct Asked<'a> {
    metric: &'static Metric,
    columns: &'a [String],
    limit: Limit,
    margin: Option<f64>,
    confidence: f64,
    rows_min: u64,
    adjust: Adjustment,
}

pub(super) fn word(case: &Case, rule: &Rule, examples: &Examples) -> Word {
    let Rule::Slices { suite, metric, slices, limit, margin, confidence, rows_min, adjust } = rule else {
        return Word::new(Inconclusive, Value::Null, "this rule is not about slices");
    };
    let Some(metric) = metric::find(metric) else {
        return Word::new(Inconclusive, Value::Null, format!("there is no metric {metric} any more"));
    };
    let asked = Asked {
        metric,
        columns: slices,
        limit: *limit,
        margin: *margin,
        confidence: *confidence,
        rows_min: *rows_min,
        adjust: *adjust,
    };
    let Some(pair) = examples.of(suite) else {
        return Word::new(Inconclusive, Value::Null, format!("the examples of suite {suite} are not here any more"))
            .next(format!("opsroom eval run {suite} {} {}", case.model, case.version));
    };
    if asked.margin.is_some() && case.production.is_some() && pair.production.is_none() {
        let version = case.production.unwrap_or_default();
        let why = format!("the version in prod (v{version}) was not evaluated on the same rows");
        return Word::new(Inconclusive, Value::Null, why)
            .next(format!("opsroom eval run {suite} {} {version}", case.model));
    }
    over(&tests(&asked, pair), &asked)
}

fn tests(asked: &Asked<'_>, pair: &Pair) -> (Vec<Test>, usize) {
    let (mut tests, mut small) = (Vec::new(), 0);
    for column in pair.slices.iter().filter(|c| asked.columns.contains(&c.name)) {
        for (value, rows) in rows_of(column) {
            if (rows.len() as u64) < asked.rows_min {
                small += 1;
                continue;
            }
            let slice = format!("{}={value}", column.name);
            tests.extend(of_slice(asked, pair, &rows, &slice));
        }
    }
    (tests, small)
}

fn rows_of(column: &Slices) -> Vec<(String, Vec<usize>)> {
    let mut rows = vec![Vec::new(); column.values.len()];
    column.of.iter().enumerate().for_each(|(row, code)| rows[*code as usize].push(row));
    column.values.iter().cloned().zip(rows).collect()
}

fn of_slice(asked: &Asked<'_>, pair: &Pair, rows: &[usize], slice: &str) -> Vec<Test> {
    let own = pair.candidate.take(rows);
    let test = |against: &str, observed: f64, room: f64, se: f64| {
        let p = if se > 0.0 { normal_sf(-room / se) } else { f64::from(room >= 0.0) };
        Test { slice: format!("{slice}{against}"), n: rows.len(), observed, room, se, p }
    };
    let mut tests = Vec::new();
    if let Some(e) = compare::estimate(asked.metric, &own) {
        tests.extend(asked.limit.min.map(|min| test("", e.value, e.value - min, e.se)));
        tests.extend(asked.limit.max.map(|max| test("", e.value, max - e.value, e.se)));
    }
    if let (Some(margin), Some(base)) = (asked.margin, &pair.production) {
        let d = compare::difference(asked.metric, &own, &base.take(rows));
        tests.extend(d.map(|d| test(" against prod", d.difference, d.difference + margin, d.se)));
    }
    tests
}

fn over((tests, small): &(Vec<Test>, usize), asked: &Asked<'_>) -> Word {
    let name = asked.metric.name;
    if tests.is_empty() {
        if asked.margin.is_some() && asked.limit.min.is_none() && asked.limit.max.is_none() && *small == 0 {
            return Word::new(Pass, Value::Null, "no other version is in prod: nothing to be worse than");
        }
        let why = format!("no slice has {} rows and a value of {name}", asked.rows_min);
        return Word::new(Inconclusive, Value::Null, why).next("add labelled rows to the suite's data");
    }
    let p = adjusted(&tests.iter().map(|t| t.p).collect::<Vec<_>>(), asked.adjust);
    let verdict = |test: &Test, p: f64| match (p < 1.0 - asked.confidence, test.room >= 0.0) {
        (true, _) => Fail,
        (_, true) => Pass,
        _ => Inconclusive,
    };
    let mut findings: Vec<(SliceFinding, &Test)> = tests
        .iter()
        .zip(&p)
        .map(|(t, p)| {
            let verdict = verdict(t, *p);
            (
                SliceFinding {
                    slice: t.slice.clone(),
                    n: t.n as u64,
                    observed: Some(t.observed),
                    p: Some(*p),
                    verdict,
                },
                t,
            )
        })
        .collect();
    let rank = |v: Verdict| match v {
        Fail => 2,
        Inconclusive => 1,
        Pass => 0,
    };
    findings.sort_by(|a, b| {
        (Reverse(rank(a.0.verdict)), a.1.room / a.1.se.max(1e-12))
            .partial_cmp(&(Reverse(rank(b.0.verdict)), b.1.room / b.1.se.max(1e-12)))
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    let all = Verdict::of_all(findings.iter().map(|(f, _)| f.verdict));
    let (worst, test) = &findings[0];
    let p = worst.p.unwrap_or(1.0);
    let skipped =
        if *small > 0 { format!("; {small} slices have fewer than {} rows", asked.rows_min) } else { String::new() };
    let why = format!(
        "{} of {} slices hold; worst is {}: {name} {} on {} rows (p {} of all tests together){skipped}",
        findings.iter().filter(|(f, _)| f.verdict == Pass).count(),
        findings.len(),
        worst.slice,
        show::metric(test.observed),
        test.n,
        show::metric(p)
    );
    let mut word = if all == Inconclusive {
        undecided(test.observed, &why, (test.room, 0.0), test.se, test.n, asked.confidence)
    } else {
        Word::new(all, number(test.observed), why)
    };
    word.slices = findings.into_iter().map(|(f, _)| f).collect();
    word
}
