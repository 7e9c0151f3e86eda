//! The rules of evals: uploads by digest, and from a report to evidence.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::command::{Command, Report};
use super::metric::{self, OF_THE_RUN};
use super::rows::{Predicted, Sample, Truth};
use super::{Evidence, SliceFigures, Suite, store, subject};
use crate::base::stats::moments;
use crate::base::{Fault, Kind, Timestamp, fault::Result};
use crate::capability::registry;
use crate::capability::tracking::Artifacts;
use crate::db::blobs::{Blobs, hidden};
use crate::db::{Pool, Source, Tx};

/// Slices of a result: beyond this a column is no slice but an id.
const SLICES_MAX: usize = 1000;

pub(super) fn place(digest: &str) -> Result<String> {
    let hex = digest.strip_prefix("blake3:").unwrap_or_default();
    if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Fault::invalid(format!("not a digest: {digest:?}")));
    }
    Ok(hidden(&format!("evals/{hex}")))
}

/// Keeps packed examples under their digest, which is answered.
///
/// # Errors
/// `Invalid` when they cannot be read, `Unavailable`.
pub async fn upload(artifacts: &Artifacts, bytes: Bytes) -> Result<String> {
    if Truth::unpack(&bytes).is_err() {
        Predicted::unpack(&bytes)?;
    }
    let digest = format!("blake3:{}", blake3::hash(&bytes).to_hex());
    artifacts.blobs().put(&place(&digest)?, bytes).await?;
    Ok(digest)
}

/// Packed examples, with their digest checked.
///
/// # Errors
/// `NotFound`, `Unavailable` when they were damaged.
pub async fn fetch(blobs: &Blobs, digest: &str) -> Result<Bytes> {
    let bytes = match blobs.read(&place(digest)?).await {
        Err(fault) if fault.kind == Kind::NotFound => return super::erase::without_names(blobs, digest).await,
        bytes => bytes?,
    };
    if format!("blake3:{}", blake3::hash(&bytes).to_hex()) != digest {
        return Err(Fault::unavailable(format!("the examples {digest} were damaged")).next("run the evaluation again"));
    }
    Ok(bytes)
}

/// What a report came to before its transaction; nothing for other commands.
#[derive(Debug, Clone)]
pub struct Prepared(Option<Evidence>);

/// Computes the metrics of a report from its examples.
///
/// # Errors
/// `Invalid` for what does not fit together, `NotFound` for suite, version or examples, `Conflict` when the artifact
/// that was evaluated is not the version's.
pub async fn prepare(artifacts: &Artifacts, pool: &Pool, command: &Command) -> Result<Prepared> {
    let Command::RecordEval { report } = command else { return Ok(Prepared(None)) };
    let suite = super::suite(Source::Pool(pool), &report.suite).await?;
    let view = registry::model(Source::Pool(pool), &report.model, None).await?;
    let version =
        view.version(report.version).ok_or_else(|| registry::missing_version(&report.model, report.version))?;
    if subject(version) != report.subject {
        return Err(Fault::conflict(format!("what was evaluated is not {} v{}", report.model, report.version))
            .why(format!("the version stands on {}, evaluated was {}", subject(version), report.subject))
            .next("run the evaluation again"));
    }
    let truth = fetch(artifacts.blobs(), &report.truth).await?;
    let predicted = fetch(artifacts.blobs(), &report.predicted).await?;
    let bytes = version.doc.artifact.as_ref().map(|a| a.bytes);
    let (report, id) = (report.clone(), subject(version));
    // A matter of seconds for large data: not on a thread that serves.
    let computed = tokio::task::spawn_blocking(move || compute(&suite, &report, &truth, &predicted, bytes, id));
    computed.await.map_err(|e| Fault::bug("metrics").why(e.to_string()))?.map(|e| Prepared(Some(e)))
}

fn compute(
    suite: &Suite,
    report: &Report,
    truth: &[u8],
    predicted: &[u8],
    bytes: Option<u64>,
    subject: String,
) -> Result<Evidence> {
    let truth = Truth::unpack(truth)?;
    if truth.task != suite.task || truth.slices.iter().map(|s| &s.name).ne(&suite.slices) {
        return Err(Fault::conflict(format!("suite {} has changed since this ran", suite.name)).next("run it again"));
    }
    let sample = Sample::new(&truth, &Predicted::unpack(predicted)?)?;
    if sample.is_empty() {
        return Err(Fault::invalid("there are no examples").next("evaluate on data that has rows"));
    }
    let mut metrics = of(suite, &sample);
    metrics.extend(of_the_run(report, sample.len(), bytes));
    for name in suite.custom.iter().flat_map(|c| &c.metrics) {
        let value = report.custom.get(name).copied().filter(|v| v.is_finite());
        let missing = || Fault::invalid(format!("the suite's own command printed no number for {name}"));
        metrics.insert(name.clone(), Some(value.ok_or_else(missing)?));
    }
    let broken = suite.limits.iter().filter_map(|(name, limit)| match metrics.get(name).copied().flatten() {
        Some(value) if limit.holds(value) => None,
        Some(value) => Some(format!("{name} is {value}, allowed is {}", limit.shown())),
        None => Some(format!("{name} has no value, allowed is {}", limit.shown())),
    });
    Ok(Evidence {
        id: 0,
        at: Timestamp(0),
        model: report.model.clone(),
        version: report.version,
        suite: suite.name.clone(),
        question: suite.question(),
        subject,
        data: suite.data.clone(),
        data_digest: report.data_digest.clone(),
        rows: sample.len() as u64,
        truth: report.truth.clone(),
        predicted: report.predicted.clone(),
        broken: broken.collect(),
        slices: slices(suite, &truth, &sample)?,
        metrics,
        how: report.how.clone(),
        seconds: report.seconds,
        by: String::new(),
        verified: false,
    })
}

fn of(suite: &Suite, sample: &Sample) -> BTreeMap<String, Option<f64>> {
    let known = suite.metrics.iter().filter_map(|name| metric::find(name));
    known.map(|m| (m.name.to_owned(), metric::value(m, sample))).collect()
}

fn of_the_run(report: &Report, rows: usize, bytes: Option<u64>) -> BTreeMap<String, Option<f64>> {
    let sorted = moments::sorted(&report.latencies_ms.iter().copied().filter(|l| l.is_finite()).collect::<Vec<_>>());
    let values = [
        moments::quantile(&sorted, 0.5),
        moments::quantile(&sorted, 0.9),
        moments::quantile(&sorted, 0.99),
        report.seconds.is_finite().then(|| report.seconds * 1000.0 / rows as f64),
        bytes.map(|b| b as f64),
    ];
    OF_THE_RUN.iter().map(ToString::to_string).zip(values).collect()
}

fn slices(suite: &Suite, truth: &Truth, sample: &Sample) -> Result<Vec<SliceFigures>> {
    let mut figures = Vec::new();
    for column in &truth.slices {
        if column.values.len() > SLICES_MAX {
            let what = format!("column {} has {} values: too many for slices", column.name, column.values.len());
            return Err(Fault::invalid(what).next("slice by a column with fewer values"));
        }
        for (value, rows) in of_column(column) {
            let n = rows.len() as u64;
            let metrics = if n < suite.slice_rows_min { BTreeMap::new() } else { of(suite, &sample.take(&rows)) };
            figures.push(SliceFigures { column: column.name.clone(), value, n, metrics });
        }
    }
    Ok(figures)
}

/// The values of a slice column with their rows.
pub(crate) fn of_column(column: &super::Slices) -> Vec<(String, Vec<usize>)> {
    let mut rows = vec![Vec::new(); column.values.len()];
    for (row, code) in column.of.iter().enumerate() {
        rows[*code as usize].push(row);
    }
    column.values.iter().cloned().zip(rows).collect()
}

/// Applies a command; answers from, to.
///
/// # Errors
/// `NotFound`.
pub async fn apply(
    tx: &mut Tx,
    command: &Command,
    prepared: Prepared,
    by: &crate::capability::audit::Who,
    now: Timestamp,
) -> Result<(String, String)> {
    match command {
        Command::SetSuite { suite } => {
            suite.check().map_err(|(key, what)| Fault::invalid(format!("suite {}: {key}: {what}", suite.name)))?;
            let before = store::suites(Source::Tx(tx)).await?.into_iter().find(|s| s.name == suite.name);
            store::put_suite(tx, suite, now).await?;
            Ok((before.map_or("none", |_| "suite").to_owned(), "written".to_owned()))
        }
        Command::RemoveSuite { name } => {
            super::suite(Source::Tx(tx), name).await?;
            store::remove_suite(tx, name).await?;
            Ok(("suite".to_owned(), "removed".to_owned()))
        }
        Command::RecordEval { report } => {
            let evidence = prepared.0.ok_or_else(|| Fault::bug("a report came unprepared"))?;
            let evidence = Evidence { at: now, by: by.name.clone(), verified: by.verified, ..evidence };
            let id = store::add_result(tx, evidence).await?;
            Ok((String::new(), format!("eval result #{id} of {}", report.suite)))
        }
    }
}
