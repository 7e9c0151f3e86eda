//! Making a version of what a run logged.

use super::{Ask, Back, Topic, Way, fact, shell_word};
use crate::capability::{Command, registry};
use crate::tui::format;
use crate::tui::model::{Change, Run};
use crate::tui::state::State;

/// Where a run's model may lie: the models it logged, else the folders that older clients noted, else the usual folder.
pub fn sources_of(run: &Run) -> Vec<(String, String)> {
    let logged: Vec<_> =
        run.models.iter().map(|id| (format!("a version of logged model {id}"), format!("models:/{id}"))).collect();
    if !logged.is_empty() {
        return logged;
    }
    let noted = run
        .tags
        .get("mlflow.log-model.history")
        .and_then(|t| serde_json::from_slice::<serde_json::Value>(t.as_bytes()).ok());
    let folders: Vec<_> = noted
        .iter()
        .filter_map(serde_json::Value::as_array)
        .flatten()
        .filter_map(|m| m.get("artifact_path")?.as_str().map(ToOwned::to_owned))
        .map(|path| (format!("a version of artifact folder {path}"), format!("runs:/{}/{path}", run.id)))
        .collect();
    if folders.is_empty() {
        return vec![("a version of artifact folder model".to_owned(), format!("runs:/{}/model", run.id))];
    }
    folders
}

/// # Errors
/// The run is not known here.
pub fn ask(state: &State, model: &str, run: &str) -> Result<Ask, String> {
    let run = state.run_known(run).ok_or("this run is not loaded")?;
    let user = state.status.value().map_or(String::new(), |s| s.user.clone());
    let known = state.registry.models.value().and_then(|m| m.iter().find(|m| m.name == model));
    let ways = sources_of(run).into_iter().map(|(name, source)| way(run, model, name, source, &user)).collect();
    let versions = known.map_or_else(
        || format!("{model}, which is made if it is new"),
        |m| format!("{model}, newest is v{}", m.versions.iter().map(|v| v.number).max().unwrap_or(0)),
    );
    Ok(Ask {
        topic: Topic::Register { model: model.to_owned(), run: run.id.clone() },
        title: format!("REGISTER  {model}"),
        subject: vec![("run".into(), format!("{}   {}", run.name, run.experiment)), ("model".into(), versions)],
        ways,
        chosen: 0,
        facts: vec![fact("run", format!("{:?}", run.status).to_lowercase())],
        generation: None,
    })
}

#[allow(clippy::needless_pass_by_value)] // each goes into the command
fn way(run: &Run, model: &str, name: String, source: String, user: &str) -> Way {
    let metrics: Vec<String> = run
        .metrics
        .iter()
        .filter(|(k, _)| !k.starts_with("system/"))
        .take(3)
        .map(|(k, m)| format!("{k} {}", format::number(m.value)))
        .collect();
    let mut impact = vec![format!("source  {source}")];
    for metric in metrics {
        impact.push(format!("metric  {metric}"));
    }
    let is_here = run.artifact_uri.starts_with("mlflow-artifacts:");
    if is_here {
        impact.push("A new version in dev. Its artifacts are digested and frozen:".to_owned());
        impact.push("while it stands they can be neither written nor deleted.".to_owned());
    } else {
        impact.push("A new version in dev. Its artifacts lie elsewhere, and nobody holds them still:".to_owned());
        impact.push(run.artifact_uri.clone());
    }
    if run.is_live() && is_here {
        impact.push("The run still goes on; what it logs to this folder later is refused.".to_owned());
    }
    let doc = registry::VersionDoc {
        source: source.clone(),
        run_id: Some(run.id.clone()),
        user: user.to_owned(),
        ..registry::VersionDoc::default()
    };
    let command = registry::Command::RegisterVersion { model: model.to_owned(), create: true, import: None, doc };
    Way {
        name,
        impact,
        reasons: ["best run so far", "candidate for staging", "scheduled refresh", "for a comparison"],
        reason_chars_min: 1,
        word: None,
        evidence: Vec::new(),
        lacks: None,
        verb: "register it".into(),
        cli: format!("opsroom model register {} --source {}", shell_word(model), shell_word(&source)),
        change: Change::Decide(vec![Command::Registry(command)]),
        back: Back::ArchiveNew { model: model.to_owned() },
    }
}
