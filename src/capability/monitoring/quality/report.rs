//! The report: counters of a window and of the time before, made into figures.

use std::time::Duration;

use super::super::counters::{Arm, Cell, Counted, Counters, Tally, UNIT};
use super::estimate::{Calibrator, estimated, expected};
use super::metrics::{accuracy, calibration, measured};
use super::{Asked, QualityReport, SliceQuality, Trust, VersionQuality, Window};
use crate::base::stats::bins::{chi2, psi_smoothed};
use crate::base::{Fault, Timestamp, fault::Result, show};

/// Labels of so long before a window calibrate its estimate.
const CALIBRATED_BY: Duration = Duration::from_hours(24 * 30);
/// Earlier windows that estimates are scored on.
const TRUST_WINDOWS: u32 = 10;
/// Labels of a window that is scored.
const TRUST_LABELS_MIN: i64 = 30;
/// From here on labelled and unlabelled scores differ.
const BIAS_P: f64 = 0.001;
const BIAS_PSI: f64 = 0.1;
const SLICES_SHOWN_MAX: usize = 20;

/// Quality of a service's versions.
///
/// # Errors
/// `NotFound` for a service or version of which nothing ever came, `Invalid` for an empty window.
pub async fn report(counters: &Counters, service: &str, asked: &Asked, now: Timestamp) -> Result<QualityReport> {
    told(counters, service, asked, now, true).await
}

/// The same without scoring earlier estimates, for those who ask often.
///
/// # Errors
/// As [`report`].
pub async fn brief(counters: &Counters, service: &str, asked: &Asked, now: Timestamp) -> Result<QualityReport> {
    told(counters, service, asked, now, false).await
}

async fn told(
    counters: &Counters,
    service: &str,
    asked: &Asked,
    now: Timestamp,
    scored: bool,
) -> Result<QualityReport> {
    let window = asked.bounds(now)?;
    let mut versions = Vec::new();
    let arms = counters.arms(service)?;
    let wanted = |arm: &Arm| asked.version.as_ref().is_none_or(|v| *v == arm.version);
    if !arms.iter().any(|(_, arm)| wanted(arm)) {
        let version = asked.version.as_deref().unwrap_or_default();
        return Err(Fault::not_found(format!("no prediction of {service} version {version} ever came"))
            .next(format!("see `opsroom quality {service}`")));
    }
    for (number, arm) in arms.iter().filter(|(_, arm)| wanted(arm)) {
        let counted = counters.counted(*number, window.from, window.to, None).await?;
        let slice = asked.slice.as_deref().unwrap_or_default();
        let cell = counted.slices.get(slice).cloned().unwrap_or_default();
        if cell.tally.n == 0 && asked.version.is_none() && cell.tally.labelled == 0 {
            continue;
        }
        let before = before(counters, *number, window.from).await?;
        let trust = if scored { trust(counters, *number, window, &before).await? } else { None };
        versions.push(version(arm, &counted, &cell, &before, trust, asked.slice.is_none()));
    }
    Ok(QualityReport { service: service.to_owned(), window, slice: asked.slice.clone(), versions })
}

/// Labels of before a window: its estimate is calibrated by them.
///
/// # Errors
/// The store's.
pub async fn before(counters: &Counters, number: u32, from: Timestamp) -> Result<Tally> {
    counters.tally(number, from.minus(CALIBRATED_BY), from).await
}

/// The quality of one version from its counters, `before` the window and within.
pub fn of_counts(arm: &Arm, counted: &Counted, before: &Tally) -> VersionQuality {
    version(arm, counted, &counted.all(), before, None, true)
}

fn version(
    arm: &Arm,
    counted: &Counted,
    cell: &Cell,
    before: &Tally,
    trust: Option<Trust>,
    slices: bool,
) -> VersionQuality {
    let tally = &cell.tally;
    let mut warnings = Vec::new();
    // Earlier labels where there are enough; else the window's own, which say less of what is not labelled.
    let earlier = Calibrator::of(before);
    let calibrator = earlier.clone().or_else(|| Calibrator::of(tally));
    if !tally.scores.is_empty() {
        match (&earlier, &calibrator) {
            (Some(_), _) => {}
            (None, Some(c)) => {
                warnings
                    .push(format!("the estimate is calibrated by the window's own {} labels", show::count(c.labels)));
            }
            (None, None) => {
                warnings.push("the estimate takes scores as they are: too few labels to calibrate by".to_owned());
            }
        }
    }
    warnings.extend(bias(tally));
    if arm.slices_dropped > 0 {
        warnings.push(format!("{} slice values were too many to count apart", arm.slices_dropped));
    }
    if arm.classes_dropped > 0 {
        let (n, named) = (arm.classes_dropped, arm.classes.len());
        warnings.push(format!("{n} answers and labels are of classes beyond the {named} that are told apart by name"));
    }
    if tally.evicted > 0 {
        warnings.push(format!("{} predictions left the ledger before a label came", tally.evicted));
    }
    let at = |sketch: &crate::base::stats::sketch::Sketch, q: f64| sketch.quantile(q);
    VersionQuality {
        version: arm.version.clone(),
        model: arm.model.clone(),
        task: arm.task,
        counted: Window { from: counted.from, to: counted.to },
        n: tally.n,
        errors: tally.errors,
        labelled: u64::try_from(tally.labelled).unwrap_or(0),
        coverage: (tally.n > 0).then(|| tally.labelled as f64 / tally.n as f64),
        evicted: tally.evicted,
        corrected: tally.corrected,
        label_delay: at(&tally.delay, 0.5).zip(at(&tally.delay, 0.9)),
        latency_ms: at(&tally.latency, 0.5)
            .zip(at(&tally.latency, 0.95))
            .zip(at(&tally.latency, 0.99))
            .map(|((a, b), c)| (a, b, c)),
        latency: tally.latency.clone(),
        metrics: measured(tally, arm.positive.as_deref()),
        estimated: estimated(tally, calibrator.as_ref(), arm.positive.is_some()),
        trust,
        calibration: calibration(tally),
        input_tokens: tally.input_tokens,
        output_tokens: tally.output_tokens,
        batch: arm.batch.clone(),
        last: arm.last,
        warnings,
        slices: if slices { ranked(counted) } else { Vec::new() },
    }
}

/// Whether the labelled ones are others than the rest.
fn bias(tally: &Tally) -> Option<String> {
    let (mut labelled, mut rest) = (vec![0_u64; 10], vec![0_u64; 10]);
    for (bin, b) in tally.scores.iter() {
        let tenth = usize::from(bin / 10).min(9);
        labelled[tenth] += u64::try_from(b.labelled).unwrap_or(0);
        rest[tenth] += u64::try_from(b.n - b.labelled).unwrap_or(0);
    }
    let enough = |c: &[u64]| c.iter().sum::<u64>() >= 100;
    let differ = enough(&labelled) && enough(&rest) && chi2(&labelled, &rest).p < BIAS_P;
    let psi = psi_smoothed(&rest, &labelled);
    (differ && psi > BIAS_PSI).then(|| {
        format!("labelled predictions have other scores than the rest (PSI {psi:.2}): metrics may not speak for all")
    })
}

/// Scores estimates of earlier windows against what labels said of them.
async fn trust(counters: &Counters, arm: u32, window: Window, before: &Tally) -> Result<Option<Trust>> {
    let Some(calibrator) = Calibrator::of(before) else { return Ok(None) };
    let length = window.to.0 - window.from.0;
    let mut trust = Trust { windows: 0, mean_error: 0.0, within: 0 };
    for k in 1..=i64::from(TRUST_WINDOWS) {
        let (from, to) = (Timestamp(window.from.0 - k * length), Timestamp(window.from.0 - (k - 1) * length));
        let tally = counters.tally(arm, from, to).await?;
        let (Some(real), Some(told)) = (accuracy(&tally), expected(&tally, Some(&calibrator))) else { continue };
        if tally.labelled < TRUST_LABELS_MIN {
            continue;
        }
        let off = (real.value - told.accuracy()).abs();
        trust.windows += 1;
        trust.mean_error += off;
        // Chance is in what was labelled, too.
        let room = real.high.zip(real.low).map_or(0.0, |(h, l)| (h - l) / 2.0);
        trust.within += u32::from(off <= 1.96 * told.sd_accuracy + room);
    }
    trust.mean_error /= f64::from(trust.windows.max(1));
    Ok((trust.windows > 0).then_some(trust))
}

/// Slices by how much of the loss is theirs.
fn ranked(counted: &Counted) -> Vec<SliceQuality> {
    let all = counted.all().tally;
    let loss = |t: &Tally| {
        let wrong = accuracy(t).map(|a| (1.0 - a.value) * a.n as f64);
        let judged = (t.judged > 0).then(|| t.judged as f64 - t.judged_sum as f64 / UNIT);
        wrong.or(judged).unwrap_or(t.residuals.absolute as f64)
    };
    let total = loss(&all);
    let mut found: Vec<SliceQuality> = counted
        .slices
        .iter()
        .filter(|(slice, cell)| !slice.is_empty() && cell.tally.labelled > 0)
        .filter_map(|(slice, cell)| {
            let t = &cell.tally;
            let metrics = measured(t, None);
            let (metric, value) =
                ["accuracy", "mae", "judgement"].into_iter().find_map(|m| metrics.get(m).map(|v| (m, v.value)))?;
            Some(SliceQuality {
                slice: slice.clone(),
                n: t.n,
                labelled: u64::try_from(t.labelled).unwrap_or(0),
                metric: metric.to_owned(),
                value,
                loss_share: if total > 0.0 { loss(t) / total } else { 0.0 },
                label_share: t.labelled as f64 / all.labelled.max(1) as f64,
            })
        })
        .collect();
    found.sort_by(|a, b| b.loss_share.total_cmp(&a.loss_share).then_with(|| a.slice.cmp(&b.slice)));
    found.truncate(SLICES_SHOWN_MAX);
    found
}
