//! From the URI that a registration names to the artifact tree, its digest and its lineage.

use super::types::{DatasetRef, FrozenArtifact, ModelVersion, VersionDoc};
use super::{Command, read};
use crate::base::id::{ModelId, RunId};
use crate::base::{Fault, fault::Result};
use crate::capability::tracking::artifacts::path_of_uri;
use crate::capability::tracking::rules::{RESERVED_TAGS, refuse_reserved};
use crate::capability::tracking::{Artifacts, Run, Tracking};
use crate::db::{Pool, Source};

/// What a registration found out before its transaction: the completed command and the frozen tree.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub command: Command,
    pub artifact: Option<FrozenArtifact>,
    /// Whether this preparation began the freeze, so that a refusal ends it again.
    pub froze: bool,
}

/// Completes a registration: fills the lineage in, freezes the artifact tree and digests it. Other commands pass.
///
/// # Errors
/// `Invalid` for the source, `NotFound` for what it names.
pub async fn prepare(
    tracking: &Tracking,
    artifacts: &Artifacts,
    pool: &Pool,
    command: &Command,
    dry_run: bool,
) -> Result<Prepared> {
    let Command::RegisterVersion { model, create, import, doc } = command else {
        return Ok(Prepared { command: command.clone(), artifact: None, froze: false });
    };
    let mut doc = doc.clone();
    check_source(&doc)?;
    let path = resolve(tracking, pool, &mut doc).await?;
    if doc.run_id.as_deref().unwrap_or_default().is_empty() {
        let model = doc.model_id.and_then(|id| tracking.read(|s| s.model(id).cloned()));
        doc.run_id = model.and_then(|m| m.source_run.as_ref().map(ToString::to_string));
    }
    doc.datasets = lineage(tracking, &doc);
    take_marks(tracking, &mut doc, import.is_some())?;
    let command = Command::RegisterVersion { model: model.clone(), create: *create, import: import.clone(), doc };
    let Some(path) = path.filter(|p| !p.is_empty()) else {
        return Ok(Prepared { command, artifact: None, froze: false });
    };
    let froze = !dry_run && !artifacts.is_frozen(&path).await;
    if froze {
        artifacts.freeze(&path, &format!("registered as a version of {model}")).await;
    }
    match artifacts.digest(&path).await {
        // Nothing there: nothing to hold still.
        Ok(tree) if tree.files == 0 => {
            if froze {
                artifacts.thaw(&path).await;
            }
            Ok(Prepared { command, artifact: None, froze: false })
        }
        Ok(tree) => {
            let artifact = FrozenArtifact { path, digest: tree.digest, files: tree.files, bytes: tree.bytes };
            Ok(Prepared { command, artifact: Some(artifact), froze })
        }
        Err(fault) => {
            if froze {
                artifacts.thaw(&path).await;
            }
            Err(fault)
        }
    }
}

/// Refuses sources that would reach where they should not.
///
/// # Errors
/// `Invalid` with `MLflow`'s words.
pub fn check_source(doc: &VersionDoc) -> Result<()> {
    let source = doc.source.as_str();
    if source.is_empty() {
        return Err(Fault::invalid("Missing value for required parameter 'source'."));
    }
    let decoded = decoded(source);
    if decoded.contains('\0') || decoded.split(['/', '\\', '?', '#']).any(|part| part == "..") {
        return Err(Fault::invalid(format!(
            "Invalid model version source: '{source}'. If supplying a source as an http, https, local file path, ftp, \
             objectstore, or mlflow-artifacts uri, an absolute path must be provided without relative path references \
             present. Please provide an absolute path."
        )));
    }
    if let Some(named) = source.strip_prefix("models:/").filter(|n| n.starts_with("m-"))
        && doc.model_id.is_some_and(|id| id.to_string() != named.trim_end_matches('/'))
    {
        return Err(Fault::invalid(format!(
            "Invalid model version source: '{source}'. It names another logged model than the request's model_id."
        )));
    }
    let local = source.starts_with('/') || source.starts_with("file:") || source.get(1..3) == Some(":\\");
    if local {
        return Err(Fault::invalid(format!(
            "Invalid model version source: '{source}'. To use a local path as a model version source, the run_id \
             request parameter has to be specified and the local path has to be contained within the artifact \
             directory of the run specified by the run_id."
        ))
        .next("log the artifact to the run, and register runs:/… or models:/…"));
    }
    Ok(())
}

/// A source without its percent signs, however often it was encoded.
fn decoded(source: &str) -> String {
    let mut text = source.to_owned();
    while let Some(next) = decode_once(&text) {
        text = next;
    }
    text
}

/// `None` when nothing is encoded.
fn decode_once(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = if bytes[at] == b'%' { text.get(at + 1..at + 3) } else { None };
        let byte = digits.and_then(|d| u8::from_str_radix(d, 16).ok());
        out.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    (out.len() < bytes.len()).then(|| String::from_utf8_lossy(&out).into_owned())
}

/// Where a version's artifacts can be read: the source itself, or what a `models:/…` source stands for.
///
/// # Errors
/// The store's.
pub async fn download_uri(tracking: &Tracking, pool: &Pool, version: &ModelVersion) -> Result<String> {
    let mut source = version.doc.source.clone();
    // A copy of a copy: each names an older version, so it ends; the bound is for what was imported.
    for _ in 0..16 {
        let Some(rest) = source.strip_prefix("models:/").map(|r| r.trim_matches('/').to_owned()) else { break };
        if let Ok(id) = rest.parse::<ModelId>() {
            return Ok(tracking.read(|s| s.model(id).map(|m| m.artifact_uri.clone())).unwrap_or(source));
        }
        let Some((name, number)) = rest.rsplit_once('/') else { break };
        let Ok(view) = read::model(Source::Pool(pool), name, None).await else { break };
        let Some(original) = number.parse().ok().and_then(|n| view.version(n)) else { break };
        source.clone_from(&original.doc.source);
    }
    Ok(source)
}

/// The path in our artifact store behind the source, if it lies there; fills `run_id` and `model_id` in.
async fn resolve(tracking: &Tracking, pool: &Pool, doc: &mut VersionDoc) -> Result<Option<String>> {
    let source = doc.source.clone();
    if let Some(rest) = source.strip_prefix("runs:/") {
        let (id, below) = rest.trim_start_matches('/').split_once('/').unwrap_or((rest.trim_start_matches('/'), ""));
        // A run that is not here is somebody else's matter; one that is here must be the one that is named.
        let Some(run) = find_run(tracking, id) else { return Ok(None) };
        let named = doc.run_id.get_or_insert_with(String::new);
        if named.is_empty() {
            id.clone_into(named);
        }
        if named != id {
            return Err(Fault::invalid(format!(
                "Invalid model version source: '{source}'. To use a runs:/ path as the source, the run_id of the \
                 request has to be the same."
            )));
        }
        let below = below.trim_matches('/');
        let base = path_of_uri(&tracking.artifact_uri(&run));
        return Ok(base.map(|b| if below.is_empty() { b } else { format!("{b}/{below}") }));
    }
    let Some(rest) = source.strip_prefix("models:/") else { return Ok(path_of_uri(&source)) };
    let rest = rest.trim_matches('/');
    if let Ok(id) = rest.parse::<ModelId>() {
        let model =
            tracking.read(|s| s.model(id).cloned()).ok_or_else(|| crate::capability::tracking::models::missing(id))?;
        doc.model_id = Some(id);
        if doc.run_id.as_deref().unwrap_or_default().is_empty() {
            doc.run_id = model.source_run.as_ref().map(ToString::to_string);
        }
        return Ok(path_of_uri(&model.artifact_uri));
    }
    let Some((name, version)) = rest.rsplit_once('/') else { return Ok(None) };
    let view = read::model(Source::Pool(pool), name, None).await?;
    let number: u32 = version.parse().map_err(|_| read::missing_version(name, version))?;
    let original = view.version(number).ok_or_else(|| read::missing_version(name, number))?;
    doc.model_id = doc.model_id.or(original.doc.model_id);
    if doc.run_id.as_deref().unwrap_or_default().is_empty() {
        doc.run_id.clone_from(&original.doc.run_id);
    }
    Ok(original.doc.artifact.as_ref().map(|a| a.path.clone()))
}

fn find_run(tracking: &Tracking, id: &str) -> Option<std::sync::Arc<Run>> {
    let id: RunId = id.parse().ok()?;
    tracking.read(|s| s.run(id).cloned())
}

/// What opsroom itself found out about the run stands on its versions too. A registration brings no such word along;
/// another store's is left behind.
fn take_marks(tracking: &Tracking, doc: &mut VersionDoc, imported: bool) -> Result<()> {
    if imported {
        RESERVED_TAGS.iter().for_each(|key| drop(doc.tags.remove(*key)));
    }
    doc.tags.keys().try_for_each(|key| refuse_reserved(key))?;
    let run = doc.run_id.as_deref().and_then(|id| find_run(tracking, id));
    let marks = RESERVED_TAGS.iter().filter_map(|key| {
        let value = run.as_ref()?.tags.get(key)?;
        Some(((*key).to_owned(), value.to_string()))
    });
    doc.tags.extend(marks);
    Ok(())
}

/// Data that the run behind a version read.
fn lineage(tracking: &Tracking, doc: &VersionDoc) -> Vec<DatasetRef> {
    let Some(run) = doc.run_id.as_deref().and_then(|id| find_run(tracking, id)) else { return Vec::new() };
    let dataset = |input: &crate::capability::tracking::DatasetInput| DatasetRef {
        name: input.name.clone(),
        digest: input.digest.clone(),
        context: input.context().unwrap_or_default().to_owned(),
        version: input.kept_version(),
    };
    run.inputs.iter().map(dataset).collect()
}
