//! One run in sentences: its curves too.

use super::{runs, words};
use crate::base::id::RunId;
use crate::base::{Timestamp, fault::Result, show};
use crate::capability::cost::HOST_TAG;
use crate::capability::registry::ModelView;
use crate::capability::tracking::RunView;
use crate::capability::tracking::rules::is_library_tag;
use crate::capability::wire::ArtifactEntry;
use crate::client::Client;

/// Points that are looked at of each curve; least and greatest are kept among them.
const COURSE_COLUMNS: usize = 500;
/// Curves that are said.
const COURSES_MAX: usize = 200;

pub(super) async fn say(client: &Client, id: RunId, now: Timestamp) -> Result<Vec<String>> {
    let run = client.run(id).await?;
    let mut said = vec![format!("Run {} of {} {}.", run.name, run.experiment_name, runs::state(&run, now))];
    said.push(format!("Its id is {}; {} started it at {}.", run.id, run.user, show::moment(run.started)));
    if let Some(host) = run.tags.get(HOST_TAG).filter(|_| !run.status.is_over()) {
        let known = client.hosts().await?.into_iter().find(|h| h.host.name == *host);
        said.push(format!("It goes on on {}.", known.map_or_else(|| host.clone(), |h| h.words())));
    }
    said.extend(facts(&run));
    for (key, latest) in run.metrics.iter().take(COURSES_MAX) {
        if latest.count < 2 {
            said.push(format!("{key} is {} at step {}.", show::metric(latest.value), latest.step));
            continue;
        }
        let series = client.history(id, key, COURSE_COLUMNS).await?;
        said.push(format!("{}.", words::course(key, &series.points, series.count)));
    }
    if run.metrics.is_empty() {
        said.push("It has logged no metric yet.".into());
    }
    // Artifacts may lie elsewhere, which is no reason to be silent about the rest.
    said.push(match client.artifacts(id, "").await {
        Ok(entries) => artifacts(&entries),
        Err(fault) => format!("Its artifacts cannot be listed: {fault}."),
    });
    said.extend(versions(&client.models(None).await?, &run.id.to_string()));
    Ok(said)
}

fn facts(run: &RunView) -> Vec<String> {
    let mut said = Vec::new();
    let pairs = |map: &std::collections::BTreeMap<String, String>| {
        map.iter().filter(|(k, _)| !is_library_tag(k)).map(|(k, v)| format!("{k} {v}")).collect::<Vec<_>>()
    };
    if run.params.is_empty() {
        said.push("It has no params.".into());
    } else {
        said.push(format!("Its params are {}.", words::list(&pairs(&run.params))));
    }
    let tags = pairs(&run.tags);
    if !tags.is_empty() {
        said.push(format!("Its tags are {}.", words::list(&tags)));
    }
    if let Some(note) = run.tags.get("mlflow.note.content").filter(|n| !n.trim().is_empty()) {
        said.push(format!("Its note says {}.", words::quoted(note)));
    }
    let inputs: Vec<String> = run
        .inputs
        .iter()
        .map(|i| format!("{} for {}, digest {}", i.name, i.context().unwrap_or("no stated use"), i.digest))
        .collect();
    if !inputs.is_empty() {
        said.push(format!("It read {}.", words::list(&inputs)));
    }
    said
}

fn artifacts(entries: &[ArtifactEntry]) -> String {
    if entries.is_empty() {
        return "It has logged no artifact.".into();
    }
    let named: Vec<String> = entries
        .iter()
        .map(|e| if e.is_dir { format!("folder {}", e.path) } else { format!("{} of {}", e.path, show::bytes(e.size)) })
        .collect();
    format!("Its artifacts are {}.", words::list(&named))
}

fn versions(models: &[ModelView], run: &str) -> Vec<String> {
    models
        .iter()
        .flat_map(|m| &m.versions)
        .filter(|v| v.doc.run_id.as_deref() == Some(run))
        .map(|v| format!("It became {} v{}, which is in {}.", v.model, v.version, v.stage.name()))
        .collect()
}
