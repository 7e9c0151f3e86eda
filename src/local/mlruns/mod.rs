//! MLflow's folders of files: `mlruns/EXPERIMENT/RUN/{meta.yaml,metrics/,params/,tags/,inputs/,outputs/}`,
//! `mlruns/EXPERIMENT/models/`, the registry in `mlruns/models/`, and what was deleted in `mlruns/.trash/`.

mod metrics;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use metrics::{model_metrics, series};

use super::found::{Artifacts, Damage, Experiment, Registered, RunKey, TakenModel, TakenRun, Version};
use super::local_path;
use super::yaml::Meta;
use crate::base::Timestamp;
use crate::base::id::{ExperimentId, ModelId, RunId};
use crate::capability::registry::Stage;
use crate::capability::tracking::types::{KeyMap, ModelOutput, ModelStatus};
use crate::capability::tracking::{DatasetInput, Key, Lifecycle, LoggedModel, Run, RunStatus, Text};

/// A folder of this layout.
pub struct Folder {
    path: PathBuf,
}

/// Names of folders within an experiment that are no runs.
const NO_RUNS: [&str; 5] = ["tags", "datasets", "models", "traces", "assessments"];

/// Whether any experiment lies here.
pub(super) fn is_store(path: &Path) -> bool {
    folders(path).iter().any(|f| f.join("meta.yaml").is_file() && number_of(f).is_some())
        || folders(&path.join(".trash")).iter().any(|f| f.join("meta.yaml").is_file())
}

fn number_of(folder: &Path) -> Option<u64> {
    name_of(folder).parse().ok()
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Folders in a folder, by name; none when it cannot be read.
fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|e| e.path()).filter(|p| p.is_dir()).collect();
    found.sort();
    found
}

/// All files beneath a folder, with their relative names.
pub(super) fn files_beneath(root: &Path) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    let mut open = vec![(root.to_owned(), String::new())];
    while let Some((folder, below)) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = format!("{below}{}", entry.file_name().to_string_lossy());
            // A link is not followed: it may lead round in circles, or out.
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push((entry.path(), format!("{name}/"))),
                Ok(kind) if kind.is_file() => found.push((name, entry.path())),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

impl Folder {
    pub(super) fn open(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn experiments(&self, damage: &mut Vec<Damage>) -> Vec<Experiment> {
        let mut found = Vec::new();
        for root in [self.path.clone(), self.path.join(".trash")] {
            for folder in folders(&root) {
                let Some(id) = number_of(&folder) else { continue };
                match experiment(&folder, id) {
                    Ok(experiment) => found.push(experiment),
                    Err(why) => damage.push(Damage::new(folder.join("meta.yaml").display(), why)),
                }
            }
        }
        found.sort_by_key(|e| e.id);
        found
    }

    pub(super) fn run(&self, experiment: &Experiment, key: &RunKey, damage: &mut Vec<Damage>) -> Option<TakenRun> {
        match self.read_run(experiment, key, damage) {
            Ok(run) => Some(run),
            Err(why) => {
                damage.push(Damage::new(key.folder.join("meta.yaml").display(), why));
                None
            }
        }
    }

    fn read_run(&self, experiment: &Experiment, key: &RunKey, damage: &mut Vec<Damage>) -> Result<TakenRun, String> {
        let meta = Meta::read(&key.folder.join("meta.yaml"))?;
        let id: RunId = key.id.parse().map_err(|()| format!("not a run's id: {}", key.id))?;
        let status = meta.text("status").and_then(|s| status_of(&s)).ok_or("it has no status")?;
        let tags = texts(&key.folder.join("tags"), damage);
        let name = meta.text("run_name").or_else(|| tags.get("mlflow.runName").cloned()).unwrap_or_default();
        let uri = meta.text("artifact_uri").unwrap_or_default();
        let run = Run {
            id,
            experiment: ExperimentId(experiment.id),
            name: Text::from(name),
            user: Key::from(&meta.text("user_id").unwrap_or_default()),
            status,
            lifecycle: lifecycle(meta.text("lifecycle_stage").as_deref()),
            start_ms: meta.number("start_time").unwrap_or(0),
            end_ms: meta.number("end_time"),
            artifact_uri: None,
            params: key_map(texts(&key.folder.join("params"), damage)),
            tags: key_map(tags),
            metrics: KeyMap::default(),
            inputs: inputs(&experiment.folder, &key.folder, damage),
            model_inputs: Vec::new(),
            model_outputs: outputs(&key.folder, damage),
        };
        let artifacts = self.artifacts(&key.folder.join("artifacts"), &uri);
        Ok(TakenRun { run, series: series(&key.folder.join("metrics"), damage), artifacts })
    }

    /// Beside the rest, where they are also after the folder was moved; else where the URI says.
    fn artifacts(&self, beside: &Path, uri: &str) -> Artifacts {
        if beside.is_dir() {
            return Artifacts::Here(beside.to_owned());
        }
        match local_path(uri, self.path.parent().unwrap_or(&self.path)) {
            Some(path) if path.is_dir() => Artifacts::Here(path),
            None if !uri.is_empty() && !uri.starts_with("mlflow-artifacts:") => Artifacts::Elsewhere(uri.to_owned()),
            _ => Artifacts::None,
        }
    }

    pub(super) fn model(&self, experiment: &Experiment, key: &str, damage: &mut Vec<Damage>) -> Option<TakenModel> {
        let folder = experiment.folder.join("models").join(key);
        match self.read_model(experiment, key, &folder, damage) {
            Ok(model) => Some(model),
            Err(why) => {
                damage.push(Damage::new(folder.join("meta.yaml").display(), why));
                None
            }
        }
    }

    fn read_model(
        &self,
        experiment: &Experiment,
        key: &str,
        folder: &Path,
        damage: &mut Vec<Damage>,
    ) -> Result<TakenModel, String> {
        let meta = Meta::read(&folder.join("meta.yaml"))?;
        let id: ModelId = key.parse().map_err(|()| format!("not a logged model's id: {key}"))?;
        let created = Timestamp::from_millis(meta.number("creation_timestamp").unwrap_or(0));
        let model = LoggedModel {
            id,
            experiment: ExperimentId(experiment.id),
            name: meta.text("name").unwrap_or_default(),
            model_type: meta.text("model_type").unwrap_or_default(),
            source_run: meta.text("source_run_id").and_then(|r| r.parse().ok()),
            artifact_uri: String::new(),
            status: model_status(meta.number("status")),
            lifecycle: lifecycle(meta.text("lifecycle_stage").as_deref()),
            created,
            updated: meta.number("last_updated_timestamp").map_or(created, Timestamp::from_millis),
            params: texts(&folder.join("params"), damage),
            tags: texts(&folder.join("tags"), damage),
            metrics: model_metrics(&folder.join("metrics"), damage),
        };
        let uri = meta.text("artifact_location").unwrap_or_default();
        Ok(TakenModel { model, artifacts: self.artifacts(&folder.join("artifacts"), &uri) })
    }

    pub(super) fn registered(&self, damage: &mut Vec<Damage>) -> Vec<Registered> {
        let mut found = Vec::new();
        for folder in folders(&self.path.join("models")) {
            let file = folder.join("meta.yaml");
            let meta = match Meta::read(&file) {
                Ok(meta) => meta,
                Err(why) => {
                    damage.push(Damage::new(file.display(), why));
                    continue;
                }
            };
            let aliases = texts(&folder.join("aliases"), damage);
            found.push(Registered {
                name: meta.text("name").unwrap_or_else(|| name_of(&folder)),
                description: meta.text("description").unwrap_or_default(),
                tags: texts(&folder.join("tags"), damage),
                aliases: aliases.into_iter().filter_map(|(a, v)| Some((a, v.trim().parse().ok()?))).collect(),
                versions: versions(&folder, damage),
            });
        }
        found
    }
}

/// Sizes and times of all files of a run, folded.
pub(super) fn mark(key: &RunKey) -> u128 {
    let parts = ["metrics", "params", "tags", "inputs", "outputs"];
    let files = parts.iter().flat_map(|p| files_beneath(&key.folder.join(p))).map(|(_, path)| path);
    files.chain([key.folder.join("meta.yaml")]).fold(0_u128, |mark, path| {
        let Ok(about) = std::fs::metadata(&path) else { return mark };
        let changed = about.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        mark.wrapping_mul(31).wrapping_add(changed.as_nanos()).wrapping_add(u128::from(about.len()))
    })
}

fn experiment(folder: &Path, id: u64) -> Result<Experiment, String> {
    let meta = Meta::read(&folder.join("meta.yaml"))?;
    let run = |f: &PathBuf| !NO_RUNS.contains(&name_of(f).as_str()) && f.join("meta.yaml").is_file();
    let key = |f: PathBuf| RunKey { id: name_of(&f), folder: f };
    let mut ignored = Vec::new();
    Ok(Experiment {
        id,
        name: meta.text("name").ok_or("it has no name")?,
        created: meta.number("creation_time").map(Timestamp::from_millis),
        deleted: meta.text("lifecycle_stage").as_deref() == Some("deleted"),
        tags: texts(&folder.join("tags"), &mut ignored),
        runs: folders(folder).into_iter().filter(run).map(key).collect(),
        models: folders(&folder.join("models")).iter().map(|f| name_of(f)).collect(),
        folder: folder.to_owned(),
    })
}

pub(super) fn lifecycle(text: Option<&str>) -> Lifecycle {
    if text == Some("deleted") { Lifecycle::Deleted } else { Lifecycle::Active }
}

/// A number in files, a word in databases.
pub(super) fn status_of(text: &str) -> Option<RunStatus> {
    match text {
        "1" => Some(RunStatus::Running),
        "2" => Some(RunStatus::Scheduled),
        "3" => Some(RunStatus::Finished),
        "4" => Some(RunStatus::Failed),
        "5" => Some(RunStatus::Killed),
        word => RunStatus::parse(word),
    }
}

pub(super) fn model_status(number: Option<i64>) -> ModelStatus {
    match number {
        Some(1) => ModelStatus::Pending,
        Some(3) => ModelStatus::UploadFailed,
        _ => ModelStatus::Ready,
    }
}

pub(super) fn key_map(texts: BTreeMap<String, String>) -> KeyMap<Text> {
    texts.into_iter().map(|(k, v)| (Key::from(&k), Text::from(v))).collect()
}

/// One file a name, the value inside.
fn texts(folder: &Path, damage: &mut Vec<Damage>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (name, path) in files_beneath(folder) {
        match std::fs::read_to_string(&path) {
            Ok(text) => drop(found.insert(name, text)),
            Err(e) => damage.push(Damage::new(path.display(), e)),
        }
    }
    found
}

fn inputs(experiment: &Path, run: &Path, damage: &mut Vec<Damage>) -> Vec<DatasetInput> {
    let mut found = Vec::new();
    for folder in folders(&run.join("inputs")) {
        let file = folder.join("meta.yaml");
        let read = Meta::read(&file).and_then(|link| {
            let id = link.text("source_id").ok_or("it names no dataset")?;
            if link.text("source_type").as_deref() != Some("DATASET") {
                return Ok(None);
            }
            let meta = Meta::read(&experiment.join("datasets").join(id).join("meta.yaml"))?;
            let text = |name| meta.text(name).unwrap_or_default();
            Ok(Some(DatasetInput {
                name: text("name"),
                digest: text("digest"),
                source_type: text("source_type"),
                source: text("source"),
                schema: meta.text("schema"),
                profile: meta.text("profile"),
                tags: link.texts("tags").into_iter().collect(),
            }))
        });
        match read {
            Ok(input) => found.extend(input),
            Err(why) => damage.push(Damage::new(file.display(), why)),
        }
    }
    found
}

fn outputs(run: &Path, damage: &mut Vec<Damage>) -> Vec<ModelOutput> {
    let mut found = Vec::new();
    for folder in folders(&run.join("outputs")) {
        let file = folder.join("meta.yaml");
        let Ok(model_id) = name_of(&folder).parse() else { continue };
        match Meta::read(&file) {
            Ok(meta) => found.push(ModelOutput { model_id, step: meta.number("step").unwrap_or(0) }),
            Err(why) => damage.push(Damage::new(file.display(), why)),
        }
    }
    found
}

fn versions(model: &Path, damage: &mut Vec<Damage>) -> Vec<Version> {
    let mut found = Vec::new();
    for folder in folders(model) {
        let Some(number) = name_of(&folder).strip_prefix("version-").and_then(|n| n.parse().ok()) else { continue };
        let file = folder.join("meta.yaml");
        let meta = match Meta::read(&file) {
            Ok(meta) => meta,
            Err(why) => {
                damage.push(Damage::new(file.display(), why));
                continue;
            }
        };
        // MLflow marks what it deletes and leaves it there.
        if meta.text("current_stage").as_deref() == Some("Deleted_Internal") {
            continue;
        }
        let text = |name| meta.text(name).unwrap_or_default();
        found.push(Version {
            number,
            created: Timestamp::from_millis(meta.number("creation_timestamp").unwrap_or(0)),
            stage: Stage::parse(&text("current_stage")).unwrap_or_default(),
            description: text("description"),
            source: text("source"),
            run_id: meta.text("run_id").filter(|r| !r.is_empty()),
            run_link: text("run_link"),
            user: text("user_id"),
            tags: texts(&folder.join("tags"), damage),
        });
    }
    found.sort_by_key(|v| v.number);
    found
}
