//! Labels: held against every prediction that answered under their id, and taken back where another one corrects them.

use serde_json::Value;

use super::ledger::{Entry, Said};
use super::state::{ALL, State, class_of};
use super::tally::{ANOTHER, NUMBER_UNIT, OTHERS, SCORE_BINS, Tally, UNIT, add, pair};
use crate::base::Timestamp;
use crate::base::stats::binary::log_loss_of;

impl State {
    /// A label, for every version that answered under this id.
    pub fn labelled(&mut self, id: &str, label: &Value, time: Timestamp) {
        let places = self.ledger.of(id);
        if places.is_empty() {
            self.ledger.put_early(id, label.clone(), time);
        }
        for place in places {
            let Some(entry) = self.ledger.entry(place) else { continue };
            let Some(truth) = self.truth(&entry, label) else { continue };
            if entry.label == Some(truth) {
                self.odd.labels_again += u64::from(!self.only_ledger);
                continue;
            }
            self.ledger.set_label(place, truth);
            if self.only_ledger {
                continue;
            }
            self.touched.entry(entry.arm).or_default();
            for slice in std::iter::once(ALL).chain(self.ledger.slices(place)) {
                if let Some(before) = entry.label {
                    self.judge(&entry, slice, before, -1);
                }
                self.judge(&entry, slice, truth, 1);
                let tally = &mut self.cell(entry.arm, entry.minute(), slice).tally;
                if entry.label.is_some() {
                    tally.corrected += 1;
                } else {
                    tally.delay.add(time.seconds_since(entry.at).max(0.0));
                }
            }
        }
    }

    /// The label as the prediction can be held against it.
    fn truth(&mut self, entry: &Entry, label: &Value) -> Option<Said> {
        match entry.said {
            Said::Number(_) => super::arm::number(label).filter(|x| x.is_finite()).map(Said::Number),
            Said::Text => super::arm::number(label).filter(|x| (0.0..=1.0).contains(x)).map(Said::Number),
            Said::Class(_) => match label.as_f64().filter(|x| x.fract() != 0.0) {
                // A judgement, not a class.
                Some(x) => (0.0..=1.0).contains(&x).then_some(Said::Number(x)),
                None => class_of(label).map(|class| Said::Class(self.class(entry.arm, &class))),
            },
        }
    }

    /// Adds what a label says, or takes it back.
    fn judge(&mut self, entry: &Entry, slice: u32, truth: Said, sign: i64) {
        let name = |said: Said| match said {
            Said::Class(c) => self.ledger.class_name(c),
            _ => None,
        };
        let said = name(entry.said).unwrap_or(OTHERS).to_owned();
        // Whether it was right is told of classes without a name, too.
        let without = if entry.said == truth { OTHERS } else { ANOTHER };
        let true_name = name(truth).unwrap_or(without).to_owned();
        let positive = self.arms[entry.arm as usize].positive.as_deref().unwrap_or("1");
        let is_positive = if entry.of_said { entry.said == truth } else { true_name == positive };
        let tally = &mut self.cell(entry.arm, entry.minute(), slice).tally;
        tally.labelled += sign;
        match (entry.said, truth) {
            (Said::Class(_), Said::Class(_)) => {
                add(&mut tally.confusion, &pair(&said, &true_name), sign);
                score_judged(tally, entry.score, is_positive, sign);
            }
            (Said::Number(said), Said::Number(truth)) => regress(tally, said, truth, sign),
            (_, Said::Number(x)) => {
                let units = fixed(x, UNIT);
                tally.judged += sign;
                tally.judged_sum += sign * units;
                tally.judged_squares += sign * fixed(x * x, UNIT);
            }
            _ => {}
        }
    }
}

fn score_judged(tally: &mut Tally, score: f64, positive: bool, sign: i64) {
    let Some((bin, units)) = scored(score) else { return };
    let bin = tally.scores.at(bin);
    bin.labelled += sign;
    bin.labelled_sum += sign * units;
    bin.positive += sign * i64::from(positive);
    let off = score - f64::from(u8::from(positive));
    tally.brier += sign * fixed(off * off, UNIT);
    tally.log_loss += sign * fixed(log_loss_of(positive, score), UNIT);
}

fn regress(tally: &mut Tally, said: f64, truth: f64, sign: i64) {
    let (off, y) = (fixed(said - truth, NUMBER_UNIT), fixed(truth, NUMBER_UNIT));
    let wide = i128::from(sign);
    let r = &mut tally.residuals;
    r.n += sign;
    r.absolute += sign * off.abs();
    r.squares += wide * i128::from(off) * i128::from(off);
    r.absolute_squares += wide * i128::from(off) * i128::from(off);
    r.bias += sign * off;
    r.truth += sign * y;
    r.truth_squares += wide * i128::from(y) * i128::from(y);
}

/// In fixed point, cut where sums could overflow.
pub(super) fn fixed(x: f64, unit: f64) -> i64 {
    #[allow(clippy::cast_possible_truncation)] // within ±2^45
    let units = (x * unit).round().clamp(-35_184_372_088_832.0, 35_184_372_088_832.0) as i64;
    units
}

/// The bin of a score and the score in units.
pub(super) fn scored(score: f64) -> Option<(u8, i64)> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 ..= 99
    let bin = (score * f64::from(SCORE_BINS)).floor().clamp(0.0, f64::from(SCORE_BINS - 1)) as u8;
    (!score.is_nan()).then(|| (bin, fixed(score, UNIT)))
}
