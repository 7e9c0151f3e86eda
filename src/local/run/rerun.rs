//! `opsroom rerun`: a captured run once more, and what came out held against what came out then.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::launch::Echo;
use super::repeat::{Stage, set_up};
use super::start::{Finished, Start, start};
use crate::base::id::RunId;
use crate::base::{Fault, Kind, fault::Result};
use crate::capability::tracking::outputs::{Output, Outputs};
use crate::capability::tracking::{RunStatus, RunView};
use crate::capability::training::{
    CAPTURE, COMPARISON, Capture, Cause, Comparison, Difference, GRADE_TAG, Identity, Normalised, RERUN_OF_TAG,
    RERUN_TAG, STDERR, Verdict, causes, first_in_metrics, is_system_metric, normalise,
};
use crate::client::Client;
use crate::local::data::Cache;

/// How to repeat.
pub struct Rerun<'a> {
    pub cache: &'a Cache,
    /// Folder for worktrees and restored data.
    pub scratch: &'a Path,
    pub echo: Echo,
}

/// Files beyond this are compared by their digests alone, bytes.
const NORMALISED_BYTES_MAX: u64 = 512 << 20;

/// Repeats a run and grades it. The grade becomes a tag of the run.
///
/// # Errors
/// `NotFound`, `Conflict` while the run goes on, `Unavailable`.
pub async fn rerun(client: &Client, id: RunId, how: &Rerun<'_>) -> Result<Comparison> {
    let run = client.run(id).await?;
    if run.status == RunStatus::Running {
        return Err(Fault::conflict(format!("{} still goes on", run.name)).next("wait for its end"));
    }
    let then: Capture = match client.artifact_bytes(id, CAPTURE).await {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|e| Fault::invalid("the run's capture cannot be read").why(e.to_string()))?,
        Err(fault) if fault.kind == Kind::NotFound => {
            let cause =
                Cause::new("capture", "the run was not started with `opsroom run`: what it stood on is not known");
            return graded(client, &run, None, cannot(id, None, vec![cause])).await;
        }
        Err(fault) => return Err(fault),
    };
    let scratch = how.scratch.join(format!("{:032x}", crate::base::id::random_u128()));
    std::fs::create_dir_all(&scratch)
        .map_err(|e| Fault::unavailable(format!("cannot write {}", scratch.display())).why(e.to_string()))?;
    let stage = match set_up(client, id, &then, scratch.clone(), how.cache).await? {
        Ok(stage) => stage,
        Err(obstacle) => {
            let _ = std::fs::remove_dir_all(&scratch);
            return graded(client, &run, None, cannot(id, None, vec![obstacle])).await;
        }
    };
    let finished = start(client, of(&stage, &run, how.echo)).await;
    let compared = match finished {
        Ok(finished) => compare(client, &run, &then, &stage, &finished).await,
        Err(fault) => Err(fault),
    };
    stage.clear();
    let comparison = compared?;
    let rerun = comparison.rerun.as_ref().and_then(|r| r.parse().ok());
    graded(client, &run, rerun, comparison).await
}

fn of(stage: &Stage, run: &RunView, echo: Echo) -> Start {
    Start {
        command: stage.command.clone(),
        program: Some(stage.program.clone()),
        folder: stage.folder.clone(),
        name: Some(format!("rerun of {}", run.name)),
        experiment: run.experiment.to_string(),
        data: stage.data.clone(),
        environment: stage.environment.clone(),
        keep: Vec::new(),
        tags: vec![(RERUN_OF_TAG.to_owned(), run.id.to_string())],
        echo,
    }
}

fn cannot(run: RunId, rerun: Option<RunId>, causes: Vec<Cause>) -> Comparison {
    Comparison {
        run: run.to_string(),
        rerun: rerun.map(|r| r.to_string()),
        verdict: Verdict::CannotRepeat,
        normalised: Vec::new(),
        first_difference: None,
        differences: Vec::new(),
        causes,
        compared: (0, 0),
    }
}

async fn compare(client: &Client, run: &RunView, then: &Capture, stage: &Stage, now: &Finished) -> Result<Comparison> {
    let status = then.ended.map_or(0, |e| e.status);
    if now.ended.status != status {
        let said = client.artifact_bytes(now.run, STDERR).await.unwrap_or_default();
        let last: Vec<String> = String::from_utf8_lossy(&said).lines().rev().take(3).map(ToOwned::to_owned).collect();
        let why = format!("it ended otherwise: {}", last.into_iter().rev().collect::<Vec<_>>().join(" / "));
        let cause =
            Cause::new("exit status", why).changed(Some(&status.to_string()), Some(&now.ended.status.to_string()));
        let mut all = vec![cause];
        all.extend(causes(then, &as_then(stage, &now.capture), &[]).into_iter().filter(|c| c.what != "seeds"));
        return Ok(cannot(run.id, Some(now.run), all));
    }
    let again = client.run(now.run).await?;
    let (mut found, metrics) = metrics(client, run, &again).await?;
    let (files, normalised, compared_files) = files(client, run.id, now.run).await?;
    found.extend(files);
    found.extend(params(run, &again));
    if metrics + compared_files == 0 && run.params.is_empty() && found.is_empty() {
        // A grade on nothing would be worth as much.
        let why = "it logged no metric, no param and no file, so there is nothing to compare";
        return Ok(cannot(run.id, Some(now.run), vec![Cause::new("outputs", why)]));
    }
    let verdict = if found.is_empty() { Verdict::BitExact } else { Verdict::Differs };
    let causes = if found.is_empty() { Vec::new() } else { causes(then, &as_then(stage, &now.capture), &found) };
    Ok(Comparison {
        run: run.id.to_string(),
        rerun: Some(now.run.to_string()),
        verdict,
        normalised,
        first_difference: found.first().cloned(),
        differences: found,
        causes,
        compared: (metrics, compared_files),
    })
}

/// The new capture as if it had been taken at the original place.
fn as_then(stage: &Stage, now: &Capture) -> Capture {
    let environment = now.environment.iter().map(|(k, v)| (k.clone(), stage.as_it_was(v))).collect();
    Capture { environment, ..now.clone() }
}

/// Metrics that differ, in the order in which the original logged them.
async fn metrics(client: &Client, then: &RunView, now: &RunView) -> Result<(Vec<Difference>, u64)> {
    let keys: BTreeSet<&String> =
        then.metrics.keys().chain(now.metrics.keys()).filter(|k| !is_system_metric(k)).collect();
    let mut found = Vec::new();
    for key in &keys {
        let (a, b) = (client.points(then.id, key).await?, client.points(now.id, key).await?);
        found.extend(first_in_metrics(key, &a, &b));
    }
    found.sort_by_key(|(at, _)| *at);
    Ok((found.into_iter().map(|(_, d)| d).collect(), keys.len() as u64))
}

fn params(then: &RunView, now: &RunView) -> Vec<Difference> {
    let keys: BTreeSet<&String> = then.params.keys().chain(now.params.keys()).collect();
    let changed = keys.into_iter().filter(|k| then.params.get(*k) != now.params.get(*k));
    changed
        .map(|key| Difference::Param {
            key: key.clone(),
            then: then.params.get(key).cloned(),
            now: now.params.get(key).cloned(),
        })
        .collect()
}

type Files = (Vec<Difference>, Vec<Normalised>, u64);

async fn files(client: &Client, then: RunId, now: RunId) -> Result<Files> {
    let (a, b) = (client.outputs(then).await?, client.outputs(now).await?);
    let by_path = |o: &Outputs| o.files.iter().map(|f| (f.path.clone(), f.clone())).collect::<BTreeMap<_, _>>();
    let (old, new) = (by_path(&a), by_path(&b));
    let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let (mut differences, mut normalised) = (Vec::new(), Vec::new());
    for path in &paths {
        let differs = |why: String| Difference::Artifact { path: (*path).clone(), why };
        match (old.get(*path), new.get(*path)) {
            (Some(x), Some(y)) if x.digest == y.digest => {}
            (Some(x), Some(y)) => match one(client, (then, &a, x), (now, &b, y)).await? {
                Ok(done) => normalised.extend(done.into_iter().map(|what| Normalised { path: (*path).clone(), what })),
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
    client: &Client,
    (then, a, x): (RunId, &Outputs, &Output),
    (now, b, y): (RunId, &Outputs, &Output),
) -> Result<std::result::Result<Vec<String>, String>> {
    if x.size.max(y.size) > NORMALISED_BYTES_MAX {
        return Ok(Err(format!("its digest differs ({} bytes then, {} now)", x.size, y.size)));
    }
    let identity = |run: RunId, of: &Outputs| Identity {
        run: run.to_string(),
        models: of.models.iter().map(ToString::to_string).collect(),
    };
    let (old, new) = (client.output(then, &x.path).await?, client.output(now, &y.path).await?);
    let (p, done) = normalise(&x.path, &old, &identity(then, a));
    let (q, _) = normalise(&y.path, &new, &identity(now, b));
    if p == q && !done.is_empty() {
        return Ok(Ok(done.into_iter().map(ToOwned::to_owned).collect()));
    }
    let at = old.iter().zip(&new[..]).position(|(a, b)| a != b).unwrap_or_else(|| old.len().min(new.len()));
    let apart = if done.is_empty() { String::new() } else { format!(", also without {}", done.join(", ")) };
    Ok(Err(format!("its bytes differ from byte {at} on ({} bytes then, {} now){apart}", x.size, y.size)))
}

/// Keeps the answer: beside the repetition, and as the grade of the run.
async fn graded(client: &Client, run: &RunView, rerun: Option<RunId>, comparison: Comparison) -> Result<Comparison> {
    let grade = Some(comparison.verdict.name().to_owned());
    let mut tags = BTreeMap::from([(GRADE_TAG.to_owned(), grade.clone())]);
    if let Some(rerun) = rerun {
        tags.insert(RERUN_TAG.to_owned(), Some(rerun.to_string()));
        let view = client.run(rerun).await?;
        if let Some(place) = crate::capability::tracking::artifacts::path_of_uri(&view.artifact_uri) {
            let text =
                serde_json::to_vec_pretty(&comparison).map_err(|e| Fault::bug("comparison").why(e.to_string()))?;
            client.put_artifact(&format!("{place}/{COMPARISON}"), text).await?;
        }
        client.tag_run(rerun, &BTreeMap::from([(GRADE_TAG.to_owned(), grade)])).await?;
    }
    client.tag_run(run.id, &tags).await?;
    Ok(comparison)
}
