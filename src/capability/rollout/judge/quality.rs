//! Labels: whether the candidate is wrong more often than the stable version, or by more, among answers whose truth is known.

use serde::{Deserialize, Serialize};

use super::{ALPHA_PROMOTE, ALPHA_QUALITY, Advice, Finding, Guards, RHO2};
use crate::base::show;
use crate::base::stats::sequential::{WorseErrors, confidence_sequence, msprt_aggregate};
use crate::capability::monitoring::counters::{NUMBER_UNIT, Tally, UNIT, unpaired};

pub(super) const NAME: &str = "quality";
/// Labelled numbers of either version before their mean is nearly normal.
const NUMBERS_MIN: u64 = 100;
/// Effects that the test of numbers is quickest at, in standard deviations of the stable version's errors.
const EFFECT: f64 = 0.1;

/// Errors of numbers, or of judgements: how many, their sum and squares.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Losses {
    pub n: u64,
    pub sum: f64,
    pub squares: f64,
}

/// Labelled answers of one version within a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Answers {
    /// Classes: how many, and how many of them were wrong.
    pub classes: u64,
    pub wrong: u64,
    pub numbers: Losses,
    /// Judgements between 0 and 1: what they fall short of 1.
    pub judged: Losses,
}

/// Both versions within one stretch.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Beside {
    pub stable: Answers,
    pub candidate: Answers,
}

fn count(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

impl Losses {
    fn add(&mut self, other: Self) {
        self.n += other.n;
        self.sum += other.sum;
        self.squares += other.squares;
    }

    fn mean(&self) -> f64 {
        self.sum / self.n as f64
    }

    fn variance(&self) -> f64 {
        (self.squares / self.n as f64 - self.mean().powi(2)).max(0.0)
    }
}

impl Answers {
    pub fn of(tally: &Tally) -> Self {
        let mut found = Self::default();
        for (pair, n) in &tally.confusion {
            let (said, truth) = unpaired(pair);
            found.classes += count(*n);
            found.wrong += if said == truth { 0 } else { count(*n) };
        }
        let r = &tally.residuals;
        let unit = NUMBER_UNIT;
        found.numbers =
            Losses { n: count(r.n), sum: r.absolute as f64 / unit, squares: r.absolute_squares as f64 / unit / unit };
        let (n, sum, squares) =
            (tally.judged as f64, tally.judged_sum as f64 / UNIT, tally.judged_squares as f64 / UNIT);
        found.judged = Losses { n: count(tally.judged), sum: n - sum, squares: n - 2.0 * sum + squares };
        found
    }

    pub fn labelled(&self) -> u64 {
        self.classes + self.numbers.n + self.judged.n
    }
}

/// What labels say against the candidate.
pub(super) fn finding(seen: &[Beside], guards: Guards) -> Finding {
    let mut all = Beside::default();
    let mut e = WorseErrors::default();
    for moment in seen {
        let (s, c) = (moment.stable, moment.candidate);
        if s.classes + c.classes > 0 {
            // Given how many answers were wrong, each of those labelled is as likely to be one of them.
            let share = c.classes as f64 / (s.classes + c.classes) as f64;
            e.add(share, s.wrong + c.wrong, c.wrong);
        }
        for (sum, part) in [(&mut all.stable, s), (&mut all.candidate, c)] {
            sum.classes += part.classes;
            sum.wrong += part.wrong;
            sum.numbers.add(part.numbers);
            sum.judged.add(part.judged);
        }
    }
    let (s, c) = (all.stable, all.candidate);
    let unknown = |why: String| Finding {
        guard: NAME.to_owned(),
        advice: Advice::NotEnoughData,
        ln_e: None,
        stops_at: None,
        why,
    };
    if c.labelled() == 0 || s.labelled() == 0 {
        return unknown(format!(
            "{} answers of the candidate have labels, {} of the stable version: quality is not known",
            c.labelled(),
            s.labelled()
        ));
    }
    // One kind of answer is what a service gives; where there are several the one with the most labels speaks.
    let most = c.classes.max(c.numbers.n).max(c.judged.n);
    let (ln_e, why) = if most == c.classes {
        let why = format!(
            "{} of {} labelled answers of the candidate were wrong, {} of {} of the stable version",
            c.wrong, c.classes, s.wrong, s.classes
        );
        (Some(e.ln_e()), why)
    } else {
        let (a, b, what) = if most == c.numbers.n {
            (s.numbers, c.numbers, "mean absolute error")
        } else {
            (s.judged, c.judged, "judgements fall short of 1 by")
        };
        let why = format!(
            "{what} {} over {} labels, {} over {} of the stable version",
            show::metric(b.mean()),
            b.n,
            show::metric(a.mean()),
            a.n
        );
        (worse(a, b), why)
    };
    let Some(ln_e) = ln_e else { return unknown(format!("{why}; {NUMBERS_MIN} labels of each tell something")) };
    let found = super::finding(NAME, ln_e, ALPHA_QUALITY, Advice::RollBack, why);
    if found.advice == Advice::RollBack || c.labelled() >= guards.labels_min && not_worse(&all, guards) {
        return found;
    }
    let wanted = if c.labelled() < guards.labels_min {
        format!("{} of {} labels that promotion needs", c.labelled(), guards.labels_min)
    } else {
        format!("not yet sure that it is worse by {} at most", guards.quality_margin)
    };
    Finding { advice: Advice::NotEnoughData, why: format!("{}; {wanted}", found.why), ..found }
}

/// ln e that the candidate's losses are the greater ones; `None`: too few to say.
fn worse(a: Losses, b: Losses) -> Option<f64> {
    if a.n < NUMBERS_MIN || b.n < NUMBERS_MIN {
        return None;
    }
    let d = b.mean() - a.mean();
    let vn = a.variance() / a.n as f64 + b.variance() / b.n as f64;
    let tau2 = EFFECT * EFFECT * a.variance();
    if vn <= 0.0 || tau2 <= 0.0 {
        // Nothing varies: no chance to tell.
        return Some(if d > 0.0 && a.variance() + b.variance() == 0.0 { f64::from(u16::MAX) } else { 0.0 });
    }
    Some(if d > 0.0 { msprt_aggregate(d, vn, tau2).ln() } else { 0.0 })
}

/// Whether it is surely not worse by more than the margin; only asked where promotion waits for labels.
fn not_worse(all: &Beside, guards: Guards) -> bool {
    if guards.labels_min == 0 {
        return true;
    }
    let (s, c) = (&all.stable, &all.candidate);
    let share = |a: &Answers| a.wrong as f64 / a.classes.max(1) as f64;
    let (d, margin, halves) = if c.classes >= c.numbers.n.max(c.judged.n) {
        let half = |a: &Answers| {
            let p = share(a).max(1.0 / a.classes.max(1) as f64);
            (a.classes as f64, (p * (1.0 - p)).sqrt())
        };
        (share(c) - share(s), guards.quality_margin, [half(s), half(c)])
    } else {
        let (a, b, of) = if c.numbers.n >= c.judged.n {
            (s.numbers, c.numbers, s.numbers.mean())
        } else {
            (s.judged, c.judged, 1.0)
        };
        let half = |l: Losses| (l.n as f64, l.variance().sqrt());
        (b.mean() - a.mean(), guards.quality_margin * of, [half(a), half(b)])
    };
    let open: f64 = halves.iter().map(|(n, sd)| confidence_sequence(n.max(1.0), *sd, ALPHA_PROMOTE / 2.0, RHO2)).sum();
    d + open <= margin
}
