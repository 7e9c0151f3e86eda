//! The agent's own comparison of a run with its repetition: every file by digest, every metric value by value, every
//! param. A client only says which two runs to look at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{
    CAPTURE, Capture, Cause, Command, Comparison, Difference, Grade, Identity, Made, Normalised, Point, RERUN_OF_TAG,
    STDERR, Verdict, causes, first_entry, first_in_metrics, is_system_metric, normalise, store,
};
use crate::base::id::RunId;
use crate::base::{Fault, Kind, Timestamp, fault::Result};
use crate::capability::audit::Who;
use crate::capability::tracking::artifacts::path_of_uri;
use crate::capability::tracking::outputs::{Output, Outputs};
use crate::capability::tracking::rules::{GRADE_TAG, RERUN_TAG};
use crate::capability::tracking::{Artifacts, Run, RunStatus, Staged, Tracking, points, runs};
use crate::db::{Source, Tx};

/// Files beyond this are compared by their digests alone, bytes.
const NORMALISED_BYTES_MAX: u64 = 512 << 20;
/// Differences that are kept; the rest is counted.
const DIFFERENCES_MAX: usize = 1000;
/// Causes that a caller may give, and characters of each text.
const CAUSES_MAX: usize = 100;
/// The end of what a command said before it failed, bytes.
const SAID_BYTES: u64 = 64 << 10;

/// What was found out before the transaction.
#[derive(Debug, Clone)]
pub struct Prepared {
    comparison: Comparison,
    made: Vec<Made>,
}

/// Compares; for a run that could not be repeated there is nothing to compare.
///
/// # Errors
/// `NotFound` for a run, `Refused` when the one is no repetition of the other, `Conflict` while one goes on.
pub async fn prepare(tracking: &Tracking, artifacts: &Artifacts, command: &Command) -> Result<Prepared> {
    let find = |id: RunId| tracking.read(|s| s.run(id).cloned()).ok_or_else(|| runs::missing(id));
    match command {
        Command::CannotRepeat { run, causes } => {
            let run = find(*run)?;
            if causes.is_empty() || causes.len() > CAUSES_MAX {
                return Err(Fault::invalid(format!("1 to {CAUSES_MAX} causes say why a run cannot be repeated")));
            }
            Ok(Prepared { comparison: Comparison::cannot(&run.id.to_string(), None, causes.clone()), made: Vec::new() })
        }
        Command::GradeRun { run, rerun } => {
            let (run, rerun) = (find(*run)?, find(*rerun)?);
            check(&run, &rerun)?;
            Pair { tracking, artifacts, then: &run, now: &rerun }.compare().await
        }
    }
}

fn check(run: &Run, rerun: &Run) -> Result<()> {
    let named = rerun.tags.get(RERUN_OF_TAG).is_some_and(|t| **t == *run.id.to_string());
    if !named || run.id == rerun.id {
        return Err(Fault::refused(format!("run {} is no repetition of {}", rerun.id, run.id))
            .why(format!("its tag {RERUN_OF_TAG} names another run, or none"))
            .next(format!("repeat it: opsroom rerun {}", run.id)));
    }
    match [run, rerun].into_iter().find(|r| r.status == RunStatus::Running) {
        Some(going) => Err(Fault::conflict(format!("run {} still goes on", going.id)).next("wait for its end")),
        None => Ok(()),
    }
}

/// Writes the grade down and marks the runs with it. Answers the verdict and what to publish after the commit.
///
/// # Errors
/// The store's.
pub async fn apply(
    tracking: &Tracking,
    tx: &mut Tx,
    command: &Command,
    prepared: Prepared,
    by: &Who,
    now: Timestamp,
) -> Result<(Grade, Option<Grade>, Staged)> {
    let before = store::grade(Source::Tx(tx), command.run()).await?;
    let Prepared { comparison, made } = prepared;
    let grade =
        Grade { id: 0, at: now, run: command.run(), by: by.name.clone(), verified: by.verified, comparison, made };
    store::add(tx, &grade).await?;
    let mut marks = vec![(grade.run, tags(&grade))];
    if let Command::GradeRun { rerun, .. } = command {
        marks.push((*rerun, vec![(GRADE_TAG, grade.name().to_owned())]));
    }
    let staged = runs::mark(tracking, tx, marks).await?;
    Ok((grade, before, staged))
}

/// How a grade is mirrored on its run and the versions of it.
pub fn tags(grade: &Grade) -> Vec<(&'static str, String)> {
    let rerun = grade.comparison.rerun.clone().map(|rerun| (RERUN_TAG, rerun));
    std::iter::once((GRADE_TAG, grade.name().to_owned())).chain(rerun).collect()
}

/// The newest grade of a run, or the one that this repetition led to.
///
/// # Errors
/// The store's.
pub async fn grade(mut source: Source<'_>, run: RunId) -> Result<Option<Grade>> {
    match store::grade(source.again(), run).await? {
        Some(grade) => Ok(Some(grade)),
        None => store::grade_of_rerun(source, run).await,
    }
}

/// The newest grade of this very run.
///
/// # Errors
/// The store's.
pub async fn grade_of(source: Source<'_>, run: RunId) -> Result<Option<Grade>> {
    store::grade(source, run).await
}

/// A run and its repetition.
struct Pair<'a> {
    tracking: &'a Tracking,
    artifacts: &'a Artifacts,
    then: &'a Arc<Run>,
    now: &'a Arc<Run>,
}

impl Pair<'_> {
    async fn compare(&self) -> Result<Prepared> {
        let (then, now) = (self.capture(self.then).await?, self.capture(self.now).await?.as_at_the_original());
        let status = |c: &Capture| c.ended.map_or(0, |e| e.status);
        if status(&then) != status(&now) {
            return self.ended_otherwise(&then, &now).await;
        }
        let (mut found, metrics) = self.metrics().await?;
        let (a, b) = (self.outputs(self.then).await?, self.outputs(self.now).await?);
        let (files, normalised, compared_files) = self.files(&a, &b).await?;
        found.extend(files);
        found.extend(self.params());
        if metrics + compared_files == 0 && self.then.params.is_empty() && found.is_empty() {
            // A grade on nothing would be worth as much.
            let why = "it logged no metric, no param and no file, so there is nothing to compare";
            return Ok(self.cannot(vec![Cause::new("outputs", why)]));
        }
        let verdict = if found.is_empty() { Verdict::BitExact } else { Verdict::Differs };
        let causes = if found.is_empty() { Vec::new() } else { causes(&then, &now, &found) };
        let more = found.len().saturating_sub(DIFFERENCES_MAX) as u64;
        found.truncate(DIFFERENCES_MAX);
        let comparison = Comparison {
            run: self.then.id.to_string(),
            rerun: Some(self.now.id.to_string()),
            verdict,
            normalised,
            first_difference: found.first().cloned(),
            differences: found,
            more,
            causes,
            compared: (metrics, compared_files),
        };
        Ok(Prepared { comparison, made: self.made(&a) })
    }

    fn cannot(&self, causes: Vec<Cause>) -> Prepared {
        let rerun = Some(self.now.id.to_string());
        Prepared { comparison: Comparison::cannot(&self.then.id.to_string(), rerun, causes), made: Vec::new() }
    }

    async fn ended_otherwise(&self, then: &Capture, now: &Capture) -> Result<Prepared> {
        let said = self.document(self.now, STDERR, Some(SAID_BYTES)).await?.unwrap_or_default();
        let last: Vec<String> = String::from_utf8_lossy(&said).lines().rev().take(3).map(ToOwned::to_owned).collect();
        let why = format!("it ended otherwise: {}", last.into_iter().rev().collect::<Vec<_>>().join(" / "));
        let status = |c: &Capture| c.ended.map_or(0, |e| e.status).to_string();
        let cause = Cause::new("exit status", why).changed(Some(&status(then)), Some(&status(now)));
        let mut all = vec![cause];
        all.extend(causes(then, now, &[]).into_iter().filter(|c| c.what != "seeds"));
        Ok(self.cannot(all))
    }

    /// The end of a file beneath a run, or all of it; `None` when there is no such file.
    async fn document(&self, run: &Run, path: &str, last: Option<u64>) -> Result<Option<Vec<u8>>> {
        let Some(folder) = path_of_uri(&self.tracking.artifact_uri(run)) else { return Ok(None) };
        let path = format!("{folder}/{path}");
        let range = match (last, self.artifacts.size(&path).await) {
            (Some(last), Ok(size)) if size > last => Some(object_store::GetRange::Suffix(last)),
            _ => None,
        };
        match self.artifacts.get(&path, range).await {
            Ok(content) => Ok(Some(content.bytes().await?)),
            Err(fault) if fault.kind == Kind::NotFound => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    async fn capture(&self, run: &Run) -> Result<Capture> {
        let bytes = self.document(run, CAPTURE, None).await?.ok_or_else(|| {
            Fault::refused(format!("run {} has no capture", run.id))
                .why("what it stood on is not known")
                .next("train it with `opsroom run -- COMMAND`")
        })?;
        serde_json::from_slice(&bytes)
            .map_err(|e| Fault::invalid(format!("the capture of run {} cannot be read", run.id)).why(e.to_string()))
    }

    /// Metrics that differ, in the order in which the original logged them.
    async fn metrics(&self) -> Result<(Vec<Difference>, u64)> {
        let names = |run: &Run| run.metrics.iter().map(|(k, _)| k.to_string()).collect::<Vec<_>>();
        let keys: BTreeSet<String> = names(self.then).into_iter().chain(names(self.now)).collect();
        let keys: Vec<String> = keys.into_iter().filter(|k| !is_system_metric(k)).collect();
        let mut found = Vec::new();
        for key in &keys {
            let (a, b) = (self.points(self.then, key).await?, self.points(self.now, key).await?);
            found.extend(first_in_metrics(key, &a, &b));
        }
        found.sort_by_key(|(at, _)| *at);
        Ok((found.into_iter().map(|(_, d)| d).collect(), keys.len() as u64))
    }

    /// By step. Which points fell into one millisecond is chance, so neither their order nor whether two that say the
    /// same are one or two may count.
    async fn points(&self, run: &Run, key: &str) -> Result<Vec<Point>> {
        let points = self.tracking.history(run.id, key).await?;
        let point = |p: &points::Point| Point { step: p.step, timestamp: p.timestamp, value: p.value };
        let mut points: Vec<Point> = points.iter().map(point).collect();
        points.sort_by(|a, b| a.step.cmp(&b.step).then(a.value.total_cmp(&b.value)));
        points.dedup_by(|a, b| a.step == b.step && a.value.to_bits() == b.value.to_bits());
        Ok(points)
    }

    fn params(&self) -> Vec<Difference> {
        let all =
            |run: &Run| run.params.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect::<BTreeMap<_, _>>();
        let (then, now) = (all(self.then), all(self.now));
        let keys: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
        let changed = keys.into_iter().filter(|k| then.get(*k) != now.get(*k));
        let difference = |key: &String| Difference::Param {
            key: key.clone(),
            then: then.get(key).cloned(),
            now: now.get(key).cloned(),
        };
        changed.map(difference).collect()
    }

    async fn outputs(&self, run: &Run) -> Result<Outputs> {
        self.tracking.outputs(self.artifacts, run).await
    }

    fn made(&self, of: &Outputs) -> Vec<Made> {
        let place = |o: &Output| {
            let path = self.tracking.output_path(self.then, &o.path).ok()?;
            Some(Made { path, size: o.size, digest: o.digest.clone() })
        };
        of.files.iter().filter_map(place).collect()
    }

    async fn files(&self, a: &Outputs, b: &Outputs) -> Result<(Vec<Difference>, Vec<Normalised>, u64)> {
        let by_path = |o: &Outputs| o.files.iter().map(|f| (f.path.clone(), f.clone())).collect::<BTreeMap<_, _>>();
        let (old, new) = (by_path(a), by_path(b));
        let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let (mut differences, mut normalised) = (Vec::new(), Vec::new());
        for path in &paths {
            let differs = |why: String| Difference::Artifact { path: (*path).clone(), why };
            match (old.get(*path), new.get(*path)) {
                (Some(x), Some(y)) if x.digest == y.digest => {}
                (Some(x), Some(y)) => match self.one((a, x), (b, y)).await? {
                    Ok(done) => {
                        normalised.extend(done.into_iter().map(|what| Normalised { path: (*path).clone(), what }));
                    }
                    Err(why) => differences.push(differs(why)),
                },
                (Some(_), None) => differences.push(differs("it was made then, and not now".to_owned())),
                (None, _) => differences.push(differs("it was not made then, and is now".to_owned())),
            }
        }
        for place in a.elsewhere.iter().chain(&b.elsewhere) {
            let why = "it is kept elsewhere and was not compared".to_owned();
            differences.push(Difference::Artifact { path: place.clone(), why });
        }
        Ok((differences, normalised, paths.len() as u64))
    }

    /// What made two files alike, or where they differ.
    async fn one(
        &self,
        (a, x): (&Outputs, &Output),
        (b, y): (&Outputs, &Output),
    ) -> Result<std::result::Result<Vec<String>, String>> {
        if x.size.max(y.size) > NORMALISED_BYTES_MAX {
            return Ok(Err(format!("its digest differs ({} bytes then, {} now)", x.size, y.size)));
        }
        let identity = |run: &Run, of: &Outputs| Identity {
            run: run.id.to_string(),
            models: of.models.iter().map(ToString::to_string).collect(),
        };
        let read = async |run: &Arc<Run>, of: &Output| {
            self.artifacts.get(&self.tracking.output_path(run, &of.path)?, None).await?.bytes().await
        };
        let (old, new) = (read(self.then, x).await?, read(self.now, y).await?);
        let (then, now, x, y) = (identity(self.then, a), identity(self.now, b), x.clone(), y.clone());
        // Unpacking an archive is no work for a thread that serves.
        let held = tokio::task::spawn_blocking(move || alike((&x, &old, &then), (&y, &new, &now)));
        held.await.map_err(|e| Fault::bug("the comparison of a file broke off").why(e.to_string()))
    }
}

type File<'a> = (&'a Output, &'a [u8], &'a Identity);

fn alike((x, old, then): File<'_>, (y, new, now): File<'_>) -> std::result::Result<Vec<String>, String> {
    let (p, done) = normalise(&x.path, old, then);
    let (q, _) = normalise(&y.path, new, now);
    if p == q && !done.is_empty() {
        return Ok(done.into_iter().map(ToOwned::to_owned).collect());
    }
    // Entries of a skops file bear addresses as names: none of them would tell.
    if !x.path.ends_with(".skops")
        && let Some(entry) = first_entry(old, new)
    {
        return Err(format!("its entry {entry} differs"));
    }
    let at = old.iter().zip(new).position(|(a, b)| a != b).unwrap_or_else(|| old.len().min(new.len()));
    let apart = if done.is_empty() { String::new() } else { format!(", also without {}", done.join(", ")) };
    Err(format!("its bytes differ from byte {at} on ({} bytes then, {} now){apart}", x.size, y.size))
}
