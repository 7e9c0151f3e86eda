//! The registry in sentences: which version stands where, since when, and why.

use super::words;
use crate::base::{Fault, Timestamp, fault::Result, show};
use crate::capability::registry::{HistoryEntry, ModelVersion, ModelView, Stage, missing_version};
use crate::client::Client;

pub(super) async fn say(
    client: &Client,
    model: Option<&str>,
    version: Option<&str>,
    as_of: Option<Timestamp>,
    now: Timestamp,
) -> Result<Vec<String>> {
    let mut said: Vec<String> = as_of
        .map(|at| format!("As it stood at {}; the past cannot be changed.", show::moment(at)))
        .into_iter()
        .collect();
    let now = as_of.unwrap_or(now);
    let Some(name) = model else {
        let models = client.models(as_of).await?;
        said.extend(overview(client, &models, as_of, now).await?);
        return Ok(said);
    };
    let view = client.model(name, as_of).await?;
    if let Some(version) = version {
        let version = version_of(&view, version)?;
        said.extend(version_sentences(client, version, &view, now).await);
        return Ok(said);
    }
    said.push(model_sentence(&view, now));
    if !view.model.description.is_empty() {
        said.push(format!("Its description says {}.", words::quoted(&view.model.description)));
    }
    said.extend(view.versions.iter().map(|v| format!("{}.", standing(v, &view, now))));
    said.extend(view.history.iter().take(50).map(change));
    Ok(said)
}

async fn overview(
    client: &Client,
    models: &[ModelView],
    as_of: Option<Timestamp>,
    now: Timestamp,
) -> Result<Vec<String>> {
    if models.is_empty() {
        return Ok(vec![
            "No model is registered yet.".into(),
            "Register one from a training script, or with `opsroom model register NAME --run RUN`.".into(),
        ]);
    }
    let mut said = vec![format!("{}.", show::many(models.len() as u64, "model", "models"))];
    for model in models {
        // Since when and why stands in a model's own history.
        let view = client.model(&model.model.name, as_of).await?;
        said.push(model_sentence(&view, now));
    }
    Ok(said)
}

/// Which versions stand in which stage.
pub(super) fn model_sentence(view: &ModelView, now: Timestamp) -> String {
    if view.versions.is_empty() {
        return format!("{} has no version.", view.model.name);
    }
    let mut parts = Vec::new();
    match view.in_stage(Stage::Prod).next() {
        Some(v) => parts.push(standing(v, view, now)),
        None => parts.push("nothing is in prod".to_owned()),
    }
    for stage in [Stage::Staging, Stage::Dev, Stage::Archived] {
        let versions: Vec<String> = view.in_stage(stage).map(|v| format!("v{}", v.version)).collect();
        if !versions.is_empty() {
            let verb = if versions.len() == 1 { "is" } else { "are" };
            let place = if stage == Stage::Archived { String::new() } else { "in ".to_owned() };
            parts.push(format!("{} {verb} {place}{}", words::list(&versions), stage.name()));
        }
    }
    parts.extend(view.model.aliases.iter().map(|(alias, v)| format!("alias {alias} points at v{v}")));
    format!("{}: {}.", view.model.name, parts.join("; "))
}

/// `v42 is in prod for 12d, since kim: "q4 refresh"`.
fn standing(v: &ModelVersion, view: &ModelView, now: Timestamp) -> String {
    let last = view.history.iter().find(|h| h.version == v.version && h.what == "stage");
    let place = if v.stage == Stage::Archived { "archived".to_owned() } else { format!("in {}", v.stage.name()) };
    let Some(h) = last else { return format!("v{} is {place}", v.version) };
    let why = if h.reason.is_empty() { String::new() } else { format!(", because {}", words::quoted(&h.reason)) };
    format!("v{} is {place} for {} by {}{why}", v.version, show::between(h.at, now), h.actor)
}

/// One change of a stage or alias.
pub(super) fn change(h: &HistoryEntry) -> String {
    let what = match (h.what.strip_prefix("alias:"), &h.value) {
        (Some(alias), Some(_)) => format!("pointed alias {alias} at v{}", h.version),
        (Some(alias), None) => format!("took alias {alias} from v{}", h.version),
        (None, Some(stage)) => format!("put v{} into {stage}", h.version),
        (None, None) => format!("deleted v{}", h.version),
    };
    let why = if h.reason.is_empty() { String::new() } else { format!(", because {}", words::quoted(&h.reason)) };
    let record = h.audit.map_or(String::new(), |n| format!(" (audit record {n})"));
    format!("{}: {} {what} of {}{why}{record}.", show::moment(h.at), h.actor, h.model)
}

/// # Errors
/// `NotFound`, `Invalid`.
pub(super) fn version_of<'a>(view: &'a ModelView, text: &str) -> Result<&'a ModelVersion> {
    let number: u32 = text.parse().map_err(|_| Fault::invalid(format!("not a version: {text}")))?;
    view.version(number).ok_or_else(|| missing_version(&view.model.name, number))
}

async fn version_sentences(client: &Client, v: &ModelVersion, view: &ModelView, now: Timestamp) -> Vec<String> {
    let mut said = vec![format!("{} {}.", v.model, standing(v, view, now))];
    said.push(format!("{} registered it at {} from {}.", v.doc.user, show::moment(v.created), v.doc.source));
    if !v.aliases.is_empty() {
        said.push(format!("Its aliases are {}.", words::list(&v.aliases)));
    }
    if !v.doc.description.is_empty() {
        said.push(format!("Its description says {}.", words::quoted(&v.doc.description)));
    }
    if let Some(a) = &v.doc.artifact {
        let files = show::many(a.files, "file", "files");
        said.push(format!("It is frozen: {files}, {}, digest {}.", show::bytes(a.bytes), a.digest));
    }
    let data: Vec<String> = v.doc.datasets.iter().map(|d| format!("{} with digest {}", d.shown(), d.digest)).collect();
    let data = if data.is_empty() { "data that was not logged".to_owned() } else { words::list(&data) };
    let run = v.doc.run_id.as_deref().and_then(|id| id.parse().ok());
    match run {
        None => said.push(format!("Its lineage is {data}, no known run, v{}, {}.", v.version, v.stage.name())),
        Some(id) => {
            let name = client.run(id).await.map_or_else(|_| id.to_string(), |r| format!("{} ({id})", r.name));
            said.push(format!("Its lineage is {data}, run {name}, v{}, {}.", v.version, v.stage.name()));
            if let Ok(run) = client.run(id).await {
                let figures = super::runs::figures(&run);
                if !figures.is_empty() {
                    said.push(format!("Its run ended with {figures}."));
                }
            }
        }
    }
    if !v.doc.tags.is_empty() {
        let tags: Vec<String> = v.doc.tags.iter().map(|(k, t)| format!("{k} {t}")).collect();
        said.push(format!("Its tags are {}.", words::list(&tags)));
    }
    said.extend(view.history.iter().filter(|h| h.version == v.version).map(change));
    said
}
