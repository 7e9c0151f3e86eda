//! From a case to its findings: pure, so that a decision that was kept can be judged anew.

use std::time::Duration;

use serde_json::{Value, json};

use super::case::{Case, Evals, Examples};
use super::{Finding, Gate, Rule, Verdict, Waiver};
use super::{live, slices};
use crate::base::show;
use crate::base::stats::proportion::{non_inferiority, rows_to_decide};
use crate::base::stats::special::normal_ppf;
use crate::capability::evals::metric::{Better, Metric};
use crate::capability::evals::{Evidence, Limit, compare, metric};
use crate::capability::registry::Stage;

use Verdict::{Fail, Inconclusive, Pass};

/// A gate's word before waivers.
pub(super) struct Word {
    pub verdict: Verdict,
    pub observed: Value,
    pub why: String,
    pub next: String,
    pub rows_missing: Option<u64>,
    pub slices: Vec<super::SliceFinding>,
}

impl Word {
    pub(super) fn new(verdict: Verdict, observed: impl Into<Value>, why: impl Into<String>) -> Self {
        let (observed, why) = (observed.into(), why.into());
        Self { verdict, observed, why, next: String::new(), rows_missing: None, slices: Vec::new() }
    }

    fn when(holds: bool, observed: impl Into<Value>, why: impl Into<String>) -> Self {
        Self::new(if holds { Pass } else { Fail }, observed, why)
    }

    pub(super) fn next(self, next: impl Into<String>) -> Self {
        Self { next: next.into(), ..self }
    }
}

/// Every gate's finding, in the order of the gates.
pub fn judge(case: &Case, examples: &Examples) -> Vec<Finding> {
    if case.gates.is_empty() && case.required {
        return vec![no_gate(case)];
    }
    case.gates.iter().map(|gate| finding(case, gate, examples)).collect()
}

fn no_gate(case: &Case) -> Finding {
    Finding {
        name: "required".to_owned(),
        kind: "required".to_owned(),
        verdict: Fail,
        observed: Value::Null,
        bound: "a gate is defined".to_owned(),
        why: format!("{} has no gate before {}, and gates.required is set", case.model, case.stage.name()),
        next: "define one as [[gate]] and `opsroom apply` it".to_owned(),
        rows_missing: None,
        waived: None,
        slices: Vec::new(),
    }
}

fn finding(case: &Case, gate: &Gate, examples: &Examples) -> Finding {
    let word = word(case, &gate.name, &gate.rule, examples);
    let waiver = case.waivers.iter().rev().find(|w| w.gate == gate.name);
    let mut why = word.why;
    let waived = waiver.filter(|w| w.holds_at(case.at) && word.verdict != Pass).cloned();
    if let (None, Some(expired)) = (&waived, waiver.filter(|w| w.until <= case.at && word.verdict != Pass)) {
        why = format!("{why} (the waiver by {} ended {})", expired.by, show::moment(expired.until));
    }
    Finding {
        name: gate.name.clone(),
        kind: gate.rule.kind().to_owned(),
        verdict: word.verdict,
        observed: word.observed,
        bound: gate.rule.asked(),
        why: waived.as_ref().map_or(why.clone(), |w| waived_words(w, &why)),
        next: if word.verdict == Pass { String::new() } else { word.next },
        rows_missing: word.rows_missing,
        waived,
        slices: word.slices,
    }
}

fn waived_words(w: &Waiver, why: &str) -> String {
    format!("{why}; waived by {} until {}: {}", w.by, show::moment(w.until), w.reason)
}

fn word(case: &Case, name: &str, rule: &Rule, examples: &Examples) -> Word {
    match rule {
        Rule::Absolute { suite, metric, limit, confidence } => {
            absolute(case, examples, (suite, metric), limit, *confidence)
        }
        Rule::Relative { suite, metric, max_drop, percent } => relative(case, (suite, metric), *max_drop, *percent),
        Rule::NonInferiority { suite, metric, margin, confidence } => {
            not_worse(case, examples, (suite, metric), *margin, *confidence)
        }
        Rule::Slices { suite, .. } => match evidence(case, suite) {
            Err(word) => *word,
            Ok(_) => slices::word(case, rule, examples),
        },
        Rule::NegativeFlips { suite, flips_max } => flips(case, examples, suite, *flips_max),
        Rule::Size { bytes_max } => match case.bytes {
            Some(bytes) => Word::when(bytes <= *bytes_max, bytes, format!("{} bytes", show::count(bytes))),
            None => Word::new(Inconclusive, Value::Null, "the artifact lies elsewhere: its size is not known"),
        },
        Rule::Freshness { suite, eval_age_max, training_age_max } => {
            fresh(case, suite.as_deref(), *eval_age_max, *training_age_max)
        }
        Rule::Data { like, psi_max, missing_rise_max } => {
            super::data::word(&case.training, like.as_deref(), *psi_max, *missing_rise_max)
        }
        Rule::Lineage => lineage(case),
        Rule::Reproducible { grade } => reproducible(case, grade),
        Rule::Approvals { approvals } => approved(case, *approvals),
        Rule::Soak { .. } | Rule::LiveQuality { .. } | Rule::Cost { .. } => live::word(case.live.get(name), rule),
    }
}

/// The candidate's newest result, or why there is none.
fn evidence<'a>(case: &'a Case, suite: &str) -> Result<&'a Evidence, Box<Word>> {
    let found = case.evals.get(suite).and_then(|e| e.candidate.as_ref());
    found.ok_or_else(|| Box::new(not_run(case, suite, case.version, "this version")))
}

fn not_run(case: &Case, suite: &str, version: u32, whose: &str) -> Word {
    let why = if case.evals.contains_key(suite) {
        format!("suite {suite} has not been run on {whose} (v{version}) as it stands")
    } else {
        format!("there is no suite {suite} any more")
    };
    Word::new(Inconclusive, Value::Null, why).next(format!("opsroom eval run {suite} {} {version}", case.model))
}

fn figure(evidence: &Evidence, name: &str) -> Option<f64> {
    evidence.metrics.get(name).copied().flatten()
}

fn no_value(name: &str, evidence: &Evidence) -> Word {
    let why = format!("{name} has no value on the {} rows of {}", evidence.rows, evidence.data);
    Word::new(Inconclusive, Value::Null, why)
        .next(format!("list {name} among the suite's metrics, and give what it needs"))
}

fn absolute(case: &Case, examples: &Examples, of: (&str, &str), limit: &Limit, confidence: Option<f64>) -> Word {
    let (suite, name) = of;
    let evidence = match evidence(case, suite) {
        Ok(evidence) => evidence,
        Err(word) => return *word,
    };
    let known = metric::find(name);
    let Some(confidence) = confidence else {
        // A metric that the suite does not list is computed from the examples all the same, if they are there.
        let value = figure(evidence, name).or_else(|| metric::value(known?, &examples.of(suite)?.candidate));
        return match value {
            Some(value) => Word::when(
                limit.holds(value),
                value,
                format!("{name} is {} on {} rows", show::metric(value), evidence.rows),
            ),
            None => no_value(name, evidence),
        };
    };
    let Some(pair) = examples.of(suite) else { return lost(case, suite) };
    let Some(estimate) = known.and_then(|m| compare::estimate(m, &pair.candidate)) else {
        return no_value(name, evidence);
    };
    let half = normal_ppf(confidence) * estimate.se;
    let (low, high) = (estimate.value - half, estimate.value + half);
    let above = limit.min.is_none_or(|min| low >= min);
    let below = limit.max.is_none_or(|max| high <= max);
    let outside = limit.min.is_some_and(|min| high < min) || limit.max.is_some_and(|max| low > max);
    let why = format!(
        "{name} is {}, between {} and {} on {} rows",
        show::metric(estimate.value),
        show::metric(low),
        show::metric(high),
        estimate.n
    );
    if above && below {
        return Word::new(Pass, estimate.value, why);
    }
    if outside {
        return Word::new(Fail, estimate.value, why);
    }
    let bounds = [limit.min.map(|min| estimate.value - min), limit.max.map(|max| max - estimate.value)];
    let nearest = bounds.into_iter().flatten().min_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or_default();
    undecided(estimate.value, &why, (nearest, 0.0), estimate.se, estimate.n, confidence)
}

/// Says how many rows more would decide, if what was seen is the truth.
pub(super) fn undecided(
    observed: f64,
    why: &str,
    (difference, margin): (f64, f64),
    se: f64,
    n: usize,
    confidence: f64,
) -> Word {
    let rows = rows_to_decide(difference, margin, se * (n as f64).sqrt(), confidence);
    let missing = rows.map(|r| r.saturating_sub(n as u64).max(1));
    let more = match missing {
        Some(rows) => format!("about {} more labelled rows would decide", show::count(rows)),
        None => "it lies on the bound itself: more rows may never decide".to_owned(),
    };
    let word = Word::new(Inconclusive, observed, format!("{why}; {more}"));
    Word { rows_missing: missing, ..word }.next("add labelled rows to the suite's data and run it again")
}

fn lost(case: &Case, suite: &str) -> Word {
    Word::new(Inconclusive, Value::Null, format!("the examples of suite {suite} are not here any more"))
        .next(format!("opsroom eval run {suite} {} {}", case.model, case.version))
}

/// What to compare with: production's evidence, or the word that there is nothing to compare.
fn production<'a>(case: &'a Case, suite: &str) -> Result<(&'a Evidence, &'a Evidence), Box<Word>> {
    let own = evidence(case, suite)?;
    let Some(version) = case.production else {
        return Err(Box::new(Word::new(Pass, Value::Null, "no other version is in prod: nothing to be worse than")));
    };
    let other = case.evals.get(suite).and_then(|e: &Evals| e.production.as_ref());
    let other = other.ok_or_else(|| Box::new(not_run(case, suite, version, "the version in prod")))?;
    if own.truth == other.truth {
        return Ok((own, other));
    }
    let why = format!("v{version} in prod was evaluated on other rows: {} and {}", other.data_digest, own.data_digest);
    let next = format!("opsroom eval run {suite} {} {version}", case.model);
    Err(Box::new(Word::new(Inconclusive, Value::Null, why).next(next)))
}

fn relative(case: &Case, (suite, name): (&str, &str), max_drop: f64, percent: bool) -> Word {
    let (own, other) = match production(case, suite) {
        Ok(both) => both,
        Err(word) => return *word,
    };
    let (Some(a), Some(b)) = (figure(own, name), figure(other, name)) else { return no_value(name, own) };
    let better = metric::find(name).map_or(Better::Lower, |m| m.better);
    let drop = match better {
        Better::Higher => b - a,
        Better::Lower => a - b,
        Better::Zero => a.abs() - b.abs(),
    };
    let allowed = if percent { max_drop / 100.0 * b.abs() } else { max_drop };
    let why = format!("{name} is {}, in prod {}", show::metric(a), show::metric(b));
    Word::when(drop <= allowed, a, why)
}

fn not_worse(case: &Case, examples: &Examples, (suite, name): (&str, &str), margin: f64, confidence: f64) -> Word {
    let (own, _) = match production(case, suite) {
        Ok(both) => both,
        Err(word) => return *word,
    };
    let Some(pair) = examples.of(suite) else { return lost(case, suite) };
    let Some(base) = &pair.production else { return lost(case, suite) };
    let compared = metric::find(name).and_then(|m: &Metric| compare::difference(m, &pair.candidate, base));
    let Some(d) = compared else { return no_value(name, own) };
    let test = non_inferiority(d.difference, d.se, margin, confidence);
    let why = format!(
        "{name} differs from prod by {:+.4} (from {:+.4} to {:+.4}) on {} rows in pairs, by {}",
        d.difference,
        test.lower,
        test.upper,
        d.n,
        d.method.name()
    );
    if test.lower > -margin || (d.se == 0.0 && d.difference >= -margin) {
        return Word::new(Pass, d.difference, why);
    }
    if test.upper < -margin {
        return Word::new(Fail, d.difference, why);
    }
    undecided(d.difference, &why, (d.difference, margin), d.se, d.n, confidence)
}

fn flips(case: &Case, examples: &Examples, suite: &str, flips_max: f64) -> Word {
    if let Err(word) = production(case, suite) {
        return *word;
    }
    let Some(pair) = examples.of(suite) else { return lost(case, suite) };
    let Some(base) = &pair.production else { return lost(case, suite) };
    let (negative, positive) = compare::flips(&pair.candidate, base);
    let share = negative as f64 / pair.candidate.len() as f64;
    let why = format!("{negative} examples went from right to wrong, {positive} from wrong to right");
    Word::when(share <= flips_max, share, why)
}

fn fresh(case: &Case, suite: Option<&str>, eval_max: Option<u64>, training_max: Option<u64>) -> Word {
    let length = |s: f64| show::length(Duration::from_secs_f64(s.max(0.0)));
    let (mut seen, mut old) = (Vec::new(), false);
    if let (Some(max), Some(suite)) = (eval_max, suite) {
        let evidence = match evidence(case, suite) {
            Ok(evidence) => evidence,
            Err(word) => return *word,
        };
        let age = case.at.seconds_since(evidence.at);
        old |= age > max as f64;
        seen.push(format!("evaluated {} ago", length(age)));
    }
    if let Some(max) = training_max {
        let Some(trained) = case.lineage.trained else {
            return Word::new(Inconclusive, Value::Null, "when the training ended is not known")
                .next("register the version from the run that trained it");
        };
        let age = case.at.seconds_since(trained);
        old |= age > max as f64;
        seen.push(format!("trained {} ago", length(age)));
    }
    Word::when(!old, seen.join(", "), seen.join(", "))
}

fn lineage(case: &Case) -> Word {
    let l = &case.lineage;
    let missing: Vec<&str> = [
        ("the run that trained it", l.run.is_none()),
        ("the commit of its code", l.commit.is_none()),
        ("the data it was trained on", l.data.is_empty()),
    ]
    .into_iter()
    .filter_map(|(what, missing)| missing.then_some(what))
    .collect();
    if l.dirty {
        return Word::new(Fail, "uncommitted changes", "the code had changes that are in no commit")
            .next("commit, train again and register that");
    }
    if missing.is_empty() {
        let commit: String = l.commit.iter().flat_map(|c| c.chars().take(12)).collect();
        return Word::new(Pass, "complete", format!("commit {commit}, data {}", l.data.join(", ")));
    }
    let why = format!("not known: {}", missing.join(", "));
    Word::new(Fail, format!("{} of 3", 3 - missing.len()), why)
        .next("register the version from a run that logs its data, in a git work tree")
}

fn reproducible(case: &Case, wanted: &str) -> Word {
    let place = |grade: &str| super::rule::GRADES.iter().position(|g| *g == grade);
    let again = || format!("opsroom rerun {}", case.lineage.run.as_deref().unwrap_or("RUN"));
    match &case.lineage.grade {
        None if case.lineage.graded_otherwise => {
            let why = "what was compared when the training was repeated is not what this version stands on";
            Word::new(Inconclusive, Value::Null, why).next(again())
        }
        None => Word::new(Inconclusive, Value::Null, "the training has not been repeated").next(again()),
        Some(grade) => {
            let enough = place(grade).is_some_and(|g| Some(g) <= place(wanted));
            Word::when(enough, grade.as_str(), format!("the repeated training was {grade}"))
        }
    }
}

fn approved(case: &Case, needed: u32) -> Word {
    let mut names: Vec<&str> = case.approvals.iter().map(|a| a.by.as_str()).filter(|by| *by != case.author).collect();
    names.sort_unstable();
    names.dedup();
    let given = u32::try_from(names.len()).unwrap_or(u32::MAX);
    let who = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
    if given >= needed {
        return Word::new(Pass, given, format!("{given} of {needed}{who}"));
    }
    let stage = case.stage.name();
    let stage = if case.stage == Stage::Prod { String::new() } else { format!(":{stage}") };
    let word = Word::new(Inconclusive, given, format!("{given} of {needed} approvals{who}"));
    word.next(format!("someone besides {} runs `opsroom approve {}@{}{stage}`", case.author, case.model, case.version))
}

/// For scripts: a number as JSON has it.
pub(super) fn number(value: f64) -> Value {
    if value.is_finite() { json!(value) } else { Value::Null }
}
