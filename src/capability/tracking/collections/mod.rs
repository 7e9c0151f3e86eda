//! Collections: named trees of files in versions v0, v1, …, that runs make and use. W&B's clients call them artifacts.
//!
//! A version is announced, its files arrive, and then it is committed; until then nobody finds it. Aliases point to committed
//! versions only, and within a collection each to one. A number is never given twice: what was announced and never committed
//! leaves a gap.

mod store;

use serde::{Deserialize, Serialize};

pub use store::STATEMENTS;

use super::types::{DatasetInput, LoggedModel, ModelOutput, ModelStatus};
use super::{Lifecycle, Run, Tracking};
use crate::base::id::{ExperimentId, ModelId, RunId, random_u128};
use crate::base::{Fault, Timestamp, fault::Result};
use crate::db::{Db, Source};

/// The kind whose versions are models.
pub const MODEL: &str = "model";
/// The alias of the newest version.
pub const LATEST: &str = "latest";
const NAME_CHARS_MAX: usize = 256;

/// One version of a collection.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// 32 hexadecimal digits. A model's logged model has the same.
    pub id: String,
    #[serde(with = "experiment")]
    pub experiment: ExperimentId,
    pub collection: String,
    pub number: u32,
    /// `model`, `dataset`, whatever its maker calls it.
    pub kind: String,
    /// Of the manifest, as the client worked it out.
    pub digest: String,
    pub committed: bool,
    #[serde(default)]
    pub aliases: Vec<String>,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub description: Option<String>,
    /// JSON.
    #[serde(default)]
    pub metadata: Option<String>,
    /// What the client calls it before it has an id here.
    #[serde(default)]
    pub client_id: String,
    #[serde(default)]
    pub run: Option<RunId>,
    #[serde(default)]
    pub step: Option<i64>,
    pub created: Timestamp,
    pub updated: Timestamp,
    /// Where its files lie in the artifact store.
    pub folder: String,
    #[serde(default)]
    pub files: u64,
    #[serde(default)]
    pub bytes: u64,
    /// Aliases that it gets when it is committed.
    #[serde(default)]
    pub wanted: Vec<String>,
}

mod experiment {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::ExperimentId;

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
    pub(super) fn serialize<S: Serializer>(id: &ExperimentId, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64(id.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<ExperimentId, D::Error> {
        u64::deserialize(d).map(ExperimentId)
    }
}

impl Version {
    /// `name:v3`.
    pub fn shown(&self) -> String {
        format!("{}:v{}", self.collection, self.number)
    }

    /// Where files about it lie, that are none of its own.
    pub fn beside(&self, file: &str) -> String {
        format!("{}.opsroom/{file}", self.folder)
    }

    fn model_id(&self) -> Option<ModelId> {
        u128::from_str_radix(&self.id, 16).ok().map(ModelId)
    }
}

/// What is announced.
#[derive(Debug, Clone, Default)]
pub struct New {
    pub version: Version,
    /// The folder above kind, name and number.
    pub beneath: String,
    /// A folder's name for kind and collection.
    pub place: String,
    /// The same content again is the version that is there.
    pub deduplicate: bool,
}

/// Announces a version. One that has the newest one's content is that one; one that was announced before, and not yet
/// committed, is that one too: the client did not hear the answer.
///
/// # Errors
/// `Invalid` for a name, `Unavailable`.
pub async fn announce(db: &Db, new: New) -> Result<Version> {
    let mut version = new.version;
    check_name("collection", &version.collection)?;
    check_name("kind", &version.kind)?;
    let mut tx = db.begin().await?;
    let all = store::of(Source::Tx(&mut tx), version.experiment, &version.collection).await?;
    let again = |v: &&Version| !v.client_id.is_empty() && v.client_id == version.client_id;
    if let Some(known) = all.iter().find(again) {
        return Ok(known.clone());
    }
    let newest = all.iter().rev().find(|v| v.committed);
    if let Some(same) = newest.filter(|v| new.deduplicate && v.digest == version.digest) {
        let mut same = same.clone();
        same.wanted.clone_from(&version.wanted);
        let same = give_aliases(&mut tx, &all, same, version.updated).await?;
        tx.commit().await?;
        return Ok(same);
    }
    version.id = format!("{:032x}", random_u128());
    version.number = all.last().map_or(0, |v| v.number + 1);
    version.folder = format!("{}/{}/v{}", new.beneath, new.place, version.number);
    store::put(&mut tx, &version).await?;
    tx.commit().await?;
    Ok(version)
}

fn check_name(what: &str, name: &str) -> Result<()> {
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || name.contains(['/', ':', '\n']) {
        return Err(Fault::invalid(format!("{name:?} is no name of a {what}"))
            .why(format!("a name has 1 to {NAME_CHARS_MAX} characters, and no slash, colon or line break")));
    }
    Ok(())
}

/// Gives a version the aliases that it wants, and takes them from the others.
async fn give_aliases(
    tx: &mut crate::db::Tx,
    all: &[Version],
    mut version: Version,
    now: Timestamp,
) -> Result<Version> {
    for alias in std::mem::take(&mut version.wanted) {
        if alias.is_empty() || alias.len() > NAME_CHARS_MAX || version.aliases.contains(&alias) {
            continue;
        }
        version.aliases.push(alias);
    }
    for other in all.iter().filter(|o| o.id != version.id && o.aliases.iter().any(|a| version.aliases.contains(a))) {
        let mut other = other.clone();
        other.aliases.retain(|a| !version.aliases.contains(a));
        other.updated = now;
        store::put(tx, &other).await?;
    }
    version.updated = now;
    store::put(tx, &version).await?;
    Ok(version)
}

/// Changes a version within one transaction.
///
/// # Errors
/// `NotFound`, or what `change` refuses.
pub async fn change(
    db: &Db,
    id: &str,
    now: Timestamp,
    change: impl FnOnce(&mut Version) -> Result<()>,
) -> Result<Version> {
    let mut tx = db.begin().await?;
    let mut version = store::by_id(Source::Tx(&mut tx), id).await?.ok_or_else(|| missing(id))?;
    change(&mut version)?;
    let all = store::of(Source::Tx(&mut tx), version.experiment, &version.collection).await?;
    let version = give_aliases(&mut tx, &all, version, now).await?;
    tx.commit().await?;
    Ok(version)
}

/// Commits a version whose files have arrived. A model becomes a logged model of its run.
///
/// # Errors
/// `NotFound`, `Unavailable`.
pub async fn commit(
    db: &Db,
    tracking: &Tracking,
    id: &str,
    (files, bytes): (u64, u64),
    now: Timestamp,
) -> Result<Version> {
    let version = change(db, id, now, |v| {
        if !v.committed {
            v.wanted.push(LATEST.to_owned());
        }
        (v.committed, v.files, v.bytes) = (true, files, bytes);
        Ok(())
    })
    .await?;
    if version.kind == MODEL {
        log_model(tracking, &version, now).await?;
    }
    Ok(version)
}

async fn log_model(tracking: &Tracking, version: &Version, now: Timestamp) -> Result<()> {
    let Some(id) = version.model_id() else { return Ok(()) };
    let model = LoggedModel {
        id,
        experiment: version.experiment,
        name: version.collection.clone(),
        model_type: "wandb".to_owned(),
        source_run: version.run.map(|r| r.to_string().into()),
        artifact_uri: format!("mlflow-artifacts:/{}", version.folder),
        status: ModelStatus::Ready,
        lifecycle: Lifecycle::Active,
        created: version.created,
        updated: now,
        params: std::collections::BTreeMap::new(),
        tags: [("wandb.artifact".to_owned(), version.shown())].into(),
        metrics: Vec::new(),
    };
    tracking.import_model(model).await?;
    match version.run {
        Some(run) => {
            tracking.log_outputs(run, vec![ModelOutput { model_id: id, step: version.step.unwrap_or(0) }]).await
        }
        None => Ok(()),
    }
}

/// Notes that a run uses a version: models among its models, all else among its data.
///
/// # Errors
/// `NotFound` for the run.
pub async fn used_by(tracking: &Tracking, run: RunId, version: &Version) -> Result<()> {
    if let Some(id) = version.model_id().filter(|_| version.kind == MODEL) {
        return tracking.log_inputs(run, Vec::new(), vec![id]).await;
    }
    let source = serde_json::json!({
        "artifact": version.shown(), "kind": version.kind, "run": version.run, "folder": version.folder,
    });
    let input = DatasetInput {
        name: version.collection.clone(),
        digest: super::rules::cut(&version.digest, 36).to_owned(),
        source_type: "wandb".to_owned(),
        source: source.to_string(),
        schema: None,
        profile: None,
        tags: Vec::new(),
    };
    tracking.log_inputs(run, vec![input], Vec::new()).await
}

/// # Errors
/// `NotFound`.
pub async fn by_id(source: Source<'_>, id: &str) -> Result<Version> {
    store::by_id(source, id).await?.ok_or_else(|| missing(id))
}

/// Committed versions, oldest first.
///
/// # Errors
/// The store's.
pub async fn versions(source: Source<'_>, experiment: ExperimentId, collection: &str) -> Result<Vec<Version>> {
    let mut all = store::of(source, experiment, collection).await?;
    all.retain(|v| v.committed);
    Ok(all)
}

/// All committed versions of an experiment, by collection, oldest first.
///
/// # Errors
/// The store's.
pub async fn of_experiment(source: Source<'_>, experiment: ExperimentId) -> Result<Vec<Version>> {
    let mut all = store::of_experiment(source, experiment).await?;
    all.retain(|v| v.committed);
    Ok(all)
}

/// Whether a run has said that it uses a version.
pub fn is_used_by(run: &Run, version: &Version) -> bool {
    if version.kind == MODEL {
        return run.model_inputs.iter().any(|id| Some(*id) == version.model_id());
    }
    let names = |input: &&DatasetInput| input.source_type == "wandb" && input.name == version.collection;
    let source = |input: &DatasetInput| serde_json::from_slice::<serde_json::Value>(input.source.as_bytes()).ok();
    let folder = |input: &DatasetInput| source(input).is_some_and(|s| s["folder"] == version.folder.as_str());
    run.inputs.iter().filter(names).any(folder)
}

/// The version that `name:v3`, `name:latest` or `name` means.
///
/// # Errors
/// The store's.
pub async fn named(source: Source<'_>, experiment: ExperimentId, name: &str) -> Result<Option<Version>> {
    let (collection, which) = name.split_once(':').unwrap_or((name, LATEST));
    let all = versions(source, experiment, collection).await?;
    let number = which.strip_prefix('v').and_then(|n| n.parse::<u32>().ok());
    let is = |v: &Version| v.aliases.iter().any(|a| a == which) || number == Some(v.number) || v.digest == which;
    Ok(all.into_iter().find(is))
}

/// What was asked for is not there.
pub fn missing(id: &str) -> Fault {
    Fault::not_found(format!("no artifact {id}")).next("log it first, or look at its name and alias")
}

/// Every version of every collection.
///
/// # Errors
/// The store's.
pub async fn all(source: Source<'_>) -> Result<Vec<Version>> {
    store::all(source).await
}
