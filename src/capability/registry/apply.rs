//! The rules of the registry: what each command does, within its transaction.

use std::collections::BTreeMap;

use super::command::{Command, Imported};
use super::types::{FrozenArtifact, HistoryEntry, ModelVersion, RegisteredModel, Stage, VersionDoc};
use super::{read, rules, store};
use crate::base::{Fault, Timestamp, fault::Result};
use crate::capability::tracking::Artifacts;
use crate::capability::tracking::rules::refuse_reserved;
use crate::db::{Source, Tx};

/// What a command did.
#[derive(Debug, Clone, Default)]
pub struct Applied {
    pub from: String,
    pub to: String,
    pub generation: i64,
    /// The version that came to be, if one did.
    pub version: Option<u32>,
    /// Folders whose freeze ended.
    pub thawed: Vec<String>,
}

/// Who, why and when, for the history.
#[derive(Debug, Clone, Copy)]
pub struct Decider<'a> {
    pub actor: &'a str,
    pub reason: &'a str,
    pub now: Timestamp,
    /// The generation that the decider saw, when it must still hold.
    pub generation: Option<i64>,
    /// The audit record that the command will leave.
    pub audit: i64,
}

/// Applies a command. `artifact` is the frozen tree of a registration.
///
/// # Errors
/// `NotFound`, `Exists`, `Invalid`, `Conflict` when the model moved since the decider looked.
pub async fn apply(
    tx: &mut Tx,
    command: &Command,
    artifact: Option<FrozenArtifact>,
    by: Decider<'_>,
) -> Result<Applied> {
    if let Command::CreateModel { model, description, tags } = command {
        return create_model(tx, model, description, tags, by).await;
    }
    if let Command::RegisterVersion { model, create: true, .. } = command
        && store::load(Source::Tx(tx), Some(model)).await?.is_empty()
    {
        create_model(tx, model, "", &[], by).await?;
    }
    let (mut model, versions) = read::load(Source::Tx(tx), command.model()).await?;
    if let Some(seen) = by.generation.filter(|seen| *seen != model.generation) {
        return Err(Fault::conflict(format!("{} moved since you looked", model.name))
            .why(format!("you saw generation {seen}, it is at {}", model.generation))
            .next("look again and decide again"));
    }
    model.generation += 1;
    // Words about a version change the version; whoever watches the model waits for more.
    if !matches!(command, Command::DescribeVersion { .. } | Command::TagVersion { .. }) {
        model.updated = by.now;
    }
    let mut change = Change { tx, model: &mut model, versions, by };
    let mut applied = match command {
        Command::CreateModel { .. } => unreachable!("handled above"),
        Command::RenameModel { to, .. } => return change.rename(to).await,
        Command::DeleteModel { .. } => return change.delete_model().await,
        Command::DescribeModel { description, .. } => change.describe_model(description),
        Command::TagModel { key, value, .. } => change.tag_model(key, value.as_deref())?,
        Command::RegisterVersion { doc, import, .. } => change.register(doc, import.as_ref(), artifact).await?,
        Command::SetStage { version, stage, archive_others, .. } => {
            change.set_stage(*version, *stage, *archive_others).await?
        }
        Command::SetAlias { alias, version, .. } => change.set_alias(alias, *version).await?,
        Command::DescribeVersion { version, description, .. } => change.describe_version(*version, description).await?,
        Command::TagVersion { version, key, value, .. } => change.tag_version(*version, key, value.as_deref()).await?,
        Command::DeleteVersion { version, .. } => change.delete_version(*version).await?,
    };
    store::put_model(tx, &model).await?;
    applied.generation = model.generation;
    Ok(applied)
}

async fn create_model(
    tx: &mut Tx,
    name: &str,
    description: &str,
    tags: &[(String, String)],
    by: Decider<'_>,
) -> Result<Applied> {
    rules::check_model_name(name)?;
    tags.iter().try_for_each(|(k, v)| rules::check_tag(k, v))?;
    if !store::load(Source::Tx(tx), Some(name)).await?.is_empty() {
        return Err(Fault::exists(format!("Registered Model (name={name}) already exists."))
            .next("register a version of it, or choose another name"));
    }
    let model = RegisteredModel {
        name: name.to_owned(),
        created: by.now,
        updated: by.now,
        description: description.to_owned(),
        tags: tags.iter().cloned().collect(),
        generation: 1,
        aliases: BTreeMap::new(),
    };
    store::put_model(tx, &model).await?;
    Ok(Applied { to: "created".to_owned(), generation: 1, ..Applied::default() })
}

/// A change of one model under way.
struct Change<'a, 'b> {
    tx: &'a mut Tx,
    model: &'a mut RegisteredModel,
    versions: Vec<ModelVersion>,
    by: Decider<'b>,
}

impl Change<'_, '_> {
    fn version(&self, version: u32) -> Result<ModelVersion> {
        let found = self.versions.iter().find(|v| v.version == version).cloned();
        found.ok_or_else(|| read::missing_version(&self.model.name, version))
    }

    async fn put(&mut self, mut version: ModelVersion) -> Result<()> {
        version.updated = self.by.now;
        store::put_version(self.tx, &version).await
    }

    async fn remember(&mut self, version: u32, what: &str, value: Option<&str>) -> Result<()> {
        let entry = HistoryEntry {
            seq: 0,
            at: self.by.now,
            model: self.model.name.clone(),
            version,
            what: what.to_owned(),
            value: value.map(ToOwned::to_owned),
            actor: self.by.actor.to_owned(),
            reason: self.by.reason.to_owned(),
            audit: Some(self.by.audit),
        };
        store::add_history(self.tx, &entry).await
    }

    async fn rename(self, to: &str) -> Result<Applied> {
        rules::check_model_name(to)?;
        if to != self.model.name && !store::load(Source::Tx(self.tx), Some(to)).await?.is_empty() {
            return Err(Fault::exists(format!("Registered Model (name={to}) already exists.")));
        }
        store::rename(self.tx, &self.model.name, to, self.by.now).await?;
        let from = self.model.name.clone();
        Ok(Applied { from, to: to.to_owned(), generation: self.model.generation, ..Applied::default() })
    }

    async fn delete_model(mut self) -> Result<Applied> {
        let thawed =
            self.versions.iter().filter_map(|v| v.doc.artifact.as_ref().map(|a| a.path.clone())).collect::<Vec<_>>();
        for version in std::mem::take(&mut self.versions) {
            self.remember(version.version, "stage", None).await?;
        }
        let aliases = std::mem::take(&mut self.model.aliases);
        for (alias, version) in aliases {
            self.remember(version, &format!("alias:{alias}"), None).await?;
        }
        store::delete_model(self.tx, &self.model.name).await?;
        let thawed = self.thaw_unused(thawed).await?;
        Ok(Applied { to: "deleted".to_owned(), generation: self.model.generation, thawed, ..Applied::default() })
    }

    fn describe_model(&mut self, description: &str) -> Applied {
        let from = std::mem::replace(&mut self.model.description, description.to_owned());
        Applied { from, to: description.to_owned(), ..Applied::default() }
    }

    fn tag_model(&mut self, key: &str, value: Option<&str>) -> Result<Applied> {
        tag(&mut self.model.tags, key, value)
    }

    async fn register(
        &mut self,
        doc: &VersionDoc,
        import: Option<&Imported>,
        artifact: Option<FrozenArtifact>,
    ) -> Result<Applied> {
        doc.tags.iter().try_for_each(|(k, v)| rules::check_tag(k, v))?;
        let number = self.number(import).await?;
        let stage = import.map_or(Stage::Dev, |i| i.stage);
        if let Some(artifact) = &artifact {
            let why = format!("registered as {} v{number}", self.model.name);
            Artifacts::record_freeze(self.tx, &artifact.path, &why).await?;
        }
        let user = if doc.user.is_empty() { self.by.actor.to_owned() } else { doc.user.clone() };
        let version = ModelVersion {
            model: self.model.name.clone(),
            version: number,
            created: import.map_or(self.by.now, |i| i.created),
            updated: self.by.now,
            stage,
            doc: VersionDoc { user, artifact, ..doc.clone() },
            aliases: Vec::new(),
        };
        store::put_version(self.tx, &version).await?;
        self.remember(number, "stage", Some(stage.name())).await?;
        Ok(Applied { to: format!("v{number} {}", stage.name()), version: Some(number), ..Applied::default() })
    }

    /// The next number, or the one that an import brings.
    async fn number(&mut self, import: Option<&Imported>) -> Result<u32> {
        let Some(import) = import else { return store::next_version(self.tx, &self.model.name).await };
        if self.versions.iter().any(|v| v.version == import.version) {
            return Err(Fault::exists(format!("{} v{} is here already", self.model.name, import.version)));
        }
        let second_prod = import.stage == Stage::Prod && self.versions.iter().any(|v| v.stage == Stage::Prod);
        if second_prod {
            return Err(Fault::conflict(format!("{} has a prod version already", self.model.name))
                .next("import it as staging and promote it"));
        }
        store::raise_last_version(self.tx, &self.model.name, import.version).await?;
        Ok(import.version)
    }

    async fn set_stage(&mut self, number: u32, stage: Stage, archive_others: bool) -> Result<Applied> {
        let version = self.version(number)?;
        let mut from = version.stage.name().to_owned();
        let alone = stage == Stage::Prod || (archive_others && stage == Stage::Staging);
        let others: Vec<ModelVersion> = if alone {
            self.versions.iter().filter(|v| v.stage == stage && v.version != number).cloned().collect()
        } else {
            Vec::new()
        };
        for other in others {
            from = format!("{from}, v{} {}", other.version, other.stage.name());
            let number = other.version;
            self.put(ModelVersion { stage: Stage::Archived, ..other }).await?;
            self.remember(number, "stage", Some(Stage::Archived.name())).await?;
        }
        if version.stage != stage {
            self.remember(number, "stage", Some(stage.name())).await?;
        }
        self.put(ModelVersion { stage, ..version }).await?;
        Ok(Applied { from, to: stage.name().to_owned(), ..Applied::default() })
    }

    async fn set_alias(&mut self, alias: &str, version: Option<u32>) -> Result<Applied> {
        rules::check_alias(alias)?;
        if let Some(number) = version {
            self.version(number)?;
        }
        let before = self.model.aliases.get(alias).copied();
        if version.is_none() && before.is_none() {
            return Ok(Applied::default());
        }
        store::set_alias(self.tx, &self.model.name, alias, version).await?;
        let what = format!("alias:{alias}");
        self.remember(version.or(before).unwrap_or(0), &what, version.map(|_| alias)).await?;
        let shown = |v: Option<u32>| v.map_or_else(|| "none".to_owned(), |v| format!("v{v}"));
        Ok(Applied {
            from: format!("{alias}={}", shown(before)),
            to: format!("{alias}={}", shown(version)),
            ..Applied::default()
        })
    }

    async fn describe_version(&mut self, number: u32, description: &str) -> Result<Applied> {
        let mut version = self.version(number)?;
        let from = std::mem::replace(&mut version.doc.description, description.to_owned());
        self.put(version).await?;
        Ok(Applied { from, to: description.to_owned(), ..Applied::default() })
    }

    async fn tag_version(&mut self, number: u32, key: &str, value: Option<&str>) -> Result<Applied> {
        let mut version = self.version(number)?;
        let applied = tag(&mut version.doc.tags, key, value)?;
        self.put(version).await?;
        Ok(applied)
    }

    async fn delete_version(&mut self, number: u32) -> Result<Applied> {
        let version = self.version(number)?;
        for alias in &version.aliases {
            store::set_alias(self.tx, &self.model.name, alias, None).await?;
            self.remember(number, &format!("alias:{alias}"), None).await?;
        }
        store::delete_version(self.tx, &self.model.name, number).await?;
        self.remember(number, "stage", None).await?;
        let path = version.doc.artifact.map(|a| a.path);
        let thawed = self.thaw_unused(path.into_iter().collect()).await?;
        Ok(Applied { from: version.stage.name().to_owned(), to: "deleted".to_owned(), thawed, ..Applied::default() })
    }

    /// Ends the freeze of folders that no version stands on any more.
    async fn thaw_unused(&mut self, paths: Vec<String>) -> Result<Vec<String>> {
        if paths.is_empty() {
            return Ok(paths);
        }
        let left = store::load(Source::Tx(self.tx), None).await?;
        let used = |path: &String| {
            left.iter()
                .flat_map(|(_, versions)| versions)
                .any(|v| v.doc.artifact.as_ref().is_some_and(|a| a.path == *path))
        };
        let free: Vec<String> = paths.into_iter().filter(|p| !used(p)).collect();
        for path in &free {
            Artifacts::record_thaw(self.tx, path).await?;
        }
        Ok(free)
    }
}

/// Tags of every version that a run made, mirroring a fact about the run. Answers the models that they belong to.
///
/// # Errors
/// The store's.
pub async fn mark(tx: &mut Tx, run: &str, tags: &[(&'static str, String)], now: Timestamp) -> Result<Vec<String>> {
    let mut marked = Vec::new();
    for (model, versions) in store::load(Source::Tx(tx), None).await? {
        let made = versions.into_iter().filter(|v| v.doc.run_id.as_deref() == Some(run));
        for mut version in made {
            version.updated = now;
            version.doc.tags.extend(tags.iter().map(|(k, v)| ((*k).to_owned(), v.clone())));
            store::put_version(tx, &version).await?;
            if marked.last() != Some(&model.name) {
                marked.push(model.name.clone());
            }
        }
    }
    Ok(marked)
}

fn tag(tags: &mut BTreeMap<String, String>, key: &str, value: Option<&str>) -> Result<Applied> {
    rules::check_tag(key, value.unwrap_or_default())?;
    refuse_reserved(key)?;
    let before = match value {
        Some(value) => tags.insert(key.to_owned(), value.to_owned()),
        None => tags.remove(key),
    };
    let shown = |v: Option<&str>| format!("{key}={}", v.unwrap_or("-"));
    Ok(Applied { from: shown(before.as_deref()), to: shown(value), ..Applied::default() })
}
