//! MLflow's SQLite database, of 2.x and 3.x, read without ever writing to it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{Row, SqlitePool};

use super::found::{Artifacts, Damage, Experiment, Registered, RunKey, TakenModel, TakenRun, Version};
use super::local_path;
use super::mlruns::{key_map, lifecycle, model_status, status_of};
use crate::base::id::{ExperimentId, RunId};
use crate::base::{Fault, Timestamp, fault::Result};
use crate::capability::registry::Stage;
use crate::capability::tracking::points::Point;
use crate::capability::tracking::types::{KeyMap, ModelMetric, ModelOutput};
use crate::capability::tracking::{DatasetInput, Key, LoggedModel, Run, Text};

type Read<T> = std::result::Result<T, sqlx::Error>;

/// A database of MLflow's.
pub struct Database {
    path: PathBuf,
    pool: SqlitePool,
    tables: BTreeSet<String>,
}

/// MLflow writes infinities as the greatest number there is.
const INFINITE: f64 = f64::MAX;

impl Database {
    pub(super) async fn open(path: &Path) -> Result<Self> {
        let unreadable = |e: sqlx::Error| {
            Fault::invalid(format!("cannot read {} as a database of MLflow", path.display()))
                .why(e.to_string())
                .next("name an mlflow.db or an mlruns folder")
        };
        let options = SqliteConnectOptions::new().filename(path).read_only(true).create_if_missing(false);
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.map_err(unreadable)?;
        let names: Vec<String> = sqlx::query_scalar("select name from sqlite_master where type = 'table'")
            .fetch_all(&pool)
            .await
            .map_err(unreadable)?;
        let tables: BTreeSet<String> = names.into_iter().collect();
        if !["experiments", "runs", "metrics", "params", "tags"].iter().all(|t| tables.contains(*t)) {
            return Err(Fault::invalid(format!("{} is no database of MLflow", path.display())));
        }
        Ok(Self { path: path.to_owned(), pool, tables })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn broken(&self, e: &sqlx::Error) -> Fault {
        Fault::unavailable(format!("cannot read {}", self.path.display())).why(e.to_string())
    }

    fn has(&self, table: &str) -> bool {
        self.tables.contains(table)
    }

    /// Names and values of one thing.
    async fn pairs(&self, sql: &'static str, id: &str) -> Read<BTreeMap<String, String>> {
        let rows: Vec<(String, Option<String>)> = sqlx::query_as(sql).bind(id).fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(|(k, v)| (k, v.unwrap_or_default())).collect())
    }

    pub(super) async fn experiments(&self, damage: &mut Vec<Damage>) -> Result<Vec<Experiment>> {
        let sql = "select experiment_id, name, lifecycle_stage, creation_time from experiments order by experiment_id";
        let rows = sqlx::query(sql).fetch_all(&self.pool).await.map_err(|e| self.broken(&e))?;
        let mut found = Vec::new();
        for row in rows {
            match self.experiment(&row).await {
                Ok(experiment) => found.push(experiment),
                Err(e) => damage.push(Damage::new(format!("{}: an experiment", self.path.display()), e)),
            }
        }
        Ok(found)
    }

    async fn experiment(&self, row: &sqlx::sqlite::SqliteRow) -> Read<Experiment> {
        let id: i64 = row.try_get("experiment_id")?;
        let ids = async |sql: &'static str| sqlx::query_scalar::<_, String>(sql).bind(id).fetch_all(&self.pool).await;
        let tags = if self.has("experiment_tags") {
            self.pairs(
                "select key, value from experiment_tags where experiment_id = cast($1 as integer)",
                &id.to_string(),
            )
            .await?
        } else {
            BTreeMap::new()
        };
        let models = if self.has("logged_models") {
            ids("select model_id from logged_models where experiment_id = $1").await?
        } else {
            Vec::new()
        };
        let runs = ids("select run_uuid from runs where experiment_id = $1 order by start_time").await?;
        let stage: Option<String> = row.try_get("lifecycle_stage")?;
        let created: Option<i64> = row.try_get("creation_time")?;
        Ok(Experiment {
            id: id.unsigned_abs(),
            name: row.try_get("name")?,
            created: created.map(Timestamp::from_millis),
            deleted: stage.as_deref() == Some("deleted"),
            tags,
            folder: PathBuf::new(),
            runs: runs.into_iter().map(|id| RunKey { id, folder: PathBuf::new() }).collect(),
            models,
        })
    }

    pub(super) async fn run(&self, key: &RunKey, damage: &mut Vec<Damage>) -> Option<TakenRun> {
        let place = || format!("{}: run {}", self.path.display(), key.id);
        let Ok(id) = key.id.parse::<RunId>() else {
            damage.push(Damage::new(place(), "not a run's id"));
            return None;
        };
        match self.read_run(id, &key.id).await {
            Ok(Some(run)) => Some(run),
            Ok(None) => {
                damage.push(Damage::new(place(), "it has no known status"));
                None
            }
            Err(e) => {
                damage.push(Damage::new(place(), e));
                None
            }
        }
    }

    async fn read_run(&self, id: RunId, text: &str) -> Read<Option<TakenRun>> {
        let sql = "select name, user_id, status, start_time, end_time, lifecycle_stage, artifact_uri, experiment_id \
                   from runs where run_uuid = $1";
        let row = sqlx::query(sql).bind(text).fetch_one(&self.pool).await?;
        let word = |name: &str| row.try_get::<Option<String>, _>(name).map(Option::unwrap_or_default);
        let Some(status) = status_of(&word("status")?) else { return Ok(None) };
        let tags = self.pairs("select key, value from tags where run_uuid = $1", text).await?;
        let name = Some(word("name")?).filter(|n| !n.is_empty()).or_else(|| tags.get("mlflow.runName").cloned());
        let experiment: i64 = row.try_get("experiment_id")?;
        let run = Run {
            id,
            experiment: ExperimentId(experiment.unsigned_abs()),
            name: Text::from(name.unwrap_or_default()),
            user: Key::from(&word("user_id")?),
            status,
            lifecycle: lifecycle(Some(&word("lifecycle_stage")?)),
            start_ms: row.try_get::<Option<i64>, _>("start_time")?.unwrap_or(0),
            end_ms: row.try_get("end_time")?,
            artifact_uri: None,
            params: key_map(self.pairs("select key, value from params where run_uuid = $1", text).await?),
            tags: key_map(tags),
            metrics: KeyMap::default(),
            inputs: self.inputs(text).await?,
            model_inputs: Vec::new(),
            model_outputs: self.outputs(text).await?,
        };
        Ok(Some(TakenRun { run, series: self.series(text).await?, artifacts: self.artifacts(&word("artifact_uri")?) }))
    }

    async fn series(&self, run: &str) -> Read<BTreeMap<String, Vec<Point>>> {
        let sql = "select key, value, timestamp, step, is_nan from metrics where run_uuid = $1 order by rowid";
        let rows: Vec<(String, f64, i64, i64, bool)> = sqlx::query_as(sql).bind(run).fetch_all(&self.pool).await?;
        let mut found: BTreeMap<String, Vec<Point>> = BTreeMap::new();
        for (key, value, timestamp, step, is_nan) in rows {
            found.entry(key).or_default().push(Point { step, timestamp, value: number(value, is_nan) });
        }
        Ok(found)
    }

    async fn inputs(&self, run: &str) -> Read<Vec<DatasetInput>> {
        if !self.has("inputs") || !self.has("datasets") {
            return Ok(Vec::new());
        }
        let sql = "select i.input_uuid, d.name, d.digest, d.dataset_source_type, d.dataset_source, d.dataset_schema, \
                   d.dataset_profile from inputs i join datasets d on d.dataset_uuid = i.source_id \
                   where i.destination_id = $1 and i.source_type = 'DATASET' order by d.name, d.digest";
        let mut found = Vec::new();
        for row in sqlx::query(sql).bind(run).fetch_all(&self.pool).await? {
            let link: String = row.try_get(0)?;
            let tags = self.pairs("select name, value from input_tags where input_uuid = $1", &link).await?;
            found.push(DatasetInput {
                name: row.try_get(1)?,
                digest: row.try_get(2)?,
                source_type: row.try_get(3)?,
                source: row.try_get(4)?,
                schema: row.try_get(5)?,
                profile: row.try_get(6)?,
                tags: tags.into_iter().collect(),
            });
        }
        Ok(found)
    }

    async fn outputs(&self, run: &str) -> Read<Vec<ModelOutput>> {
        if !self.has("logged_models") {
            return Ok(Vec::new());
        }
        let sql = "select destination_id, step from inputs where source_id = $1 and destination_type = 'MODEL_OUTPUT'";
        let rows: Vec<(String, i64)> = sqlx::query_as(sql).bind(run).fetch_all(&self.pool).await?;
        Ok(rows.into_iter().filter_map(|(id, step)| Some(ModelOutput { model_id: id.parse().ok()?, step })).collect())
    }

    /// A server keeps what it proxies in `mlartifacts` beside its database, unless it was told otherwise.
    fn artifacts(&self, uri: &str) -> Artifacts {
        let home = self.path.parent().unwrap_or(&self.path);
        let proxied = uri
            .strip_prefix("mlflow-artifacts:")
            .map(|rest| home.join("mlartifacts").join(rest.trim_start_matches('/')));
        let moved = uri.split_once("/mlruns/").map(|(_, rest)| home.join("mlruns").join(rest));
        let here = [proxied.clone(), local_path(uri, home), moved].into_iter().flatten().find(|p| p.is_dir());
        match here {
            Some(path) => Artifacts::Here(path),
            None if proxied.is_none() && !uri.is_empty() && local_path(uri, home).is_none() => {
                Artifacts::Elsewhere(uri.to_owned())
            }
            None => Artifacts::None,
        }
    }

    pub(super) async fn model(&self, key: &str, damage: &mut Vec<Damage>) -> Option<TakenModel> {
        match self.read_model(key).await {
            Ok(Some(model)) => Some(model),
            read => {
                let why = read.err().map_or_else(|| "not a logged model's id".to_owned(), |e| e.to_string());
                damage.push(Damage::new(format!("{}: logged model {key}", self.path.display()), why));
                None
            }
        }
    }

    async fn read_model(&self, key: &str) -> Read<Option<TakenModel>> {
        let Ok(id) = key.parse() else { return Ok(None) };
        let sql = "select experiment_id, name, artifact_location, creation_timestamp_ms, last_updated_timestamp_ms, status, \
                   lifecycle_stage, model_type, source_run_id from logged_models where model_id = $1";
        let row = sqlx::query(sql).bind(key).fetch_one(&self.pool).await?;
        let word = |name: &str| row.try_get::<Option<String>, _>(name).map(Option::unwrap_or_default);
        let experiment: i64 = row.try_get("experiment_id")?;
        let model = LoggedModel {
            id,
            experiment: ExperimentId(experiment.unsigned_abs()),
            name: word("name")?,
            model_type: word("model_type")?,
            source_run: word("source_run_id")?.parse().ok(),
            artifact_uri: String::new(),
            status: model_status(Some(row.try_get("status")?)),
            lifecycle: lifecycle(Some(&word("lifecycle_stage")?)),
            created: Timestamp::from_millis(row.try_get("creation_timestamp_ms")?),
            updated: Timestamp::from_millis(row.try_get("last_updated_timestamp_ms")?),
            params: self
                .pairs("select param_key, param_value from logged_model_params where model_id = $1", key)
                .await?,
            tags: self.pairs("select tag_key, tag_value from logged_model_tags where model_id = $1", key).await?,
            metrics: self.model_metrics(key).await?,
        };
        Ok(Some(TakenModel { model, artifacts: self.artifacts(&word("artifact_location")?) }))
    }

    async fn model_metrics(&self, key: &str) -> Read<Vec<ModelMetric>> {
        let sql = "select metric_name, metric_value, metric_timestamp_ms, metric_step, run_id, dataset_name, dataset_digest \
                   from logged_model_metrics where model_id = $1";
        let mut found = Vec::new();
        for row in sqlx::query(sql).bind(key).fetch_all(&self.pool).await? {
            let Ok(run) = row.try_get::<String, _>(4)?.parse() else { continue };
            let dataset = row.try_get::<Option<String>, _>(5)?.zip(row.try_get::<Option<String>, _>(6)?);
            found.push(ModelMetric {
                key: Key::from(&row.try_get::<String, _>(0)?),
                value: row.try_get::<Option<f64>, _>(1)?.map_or(f64::NAN, |v| number(v, false)),
                timestamp: row.try_get(2)?,
                step: row.try_get(3)?,
                run,
                dataset,
            });
        }
        Ok(found)
    }

    pub(super) async fn registered(&self, damage: &mut Vec<Damage>) -> Result<Vec<Registered>> {
        if !self.has("registered_models") {
            return Ok(Vec::new());
        }
        let sql = "select name, description from registered_models order by name";
        let rows: Vec<(String, Option<String>)> =
            sqlx::query_as(sql).fetch_all(&self.pool).await.map_err(|e| self.broken(&e))?;
        let mut found = Vec::new();
        for (name, description) in rows {
            match self.registered_model(&name, description.unwrap_or_default()).await {
                Ok(model) => found.push(model),
                Err(e) => damage.push(Damage::new(format!("{}: model {name}", self.path.display()), e)),
            }
        }
        Ok(found)
    }

    async fn registered_model(&self, name: &str, description: String) -> Read<Registered> {
        let tags = self.pairs("select key, value from registered_model_tags where name = $1", name).await?;
        let aliases: Vec<(String, u32)> = if self.has("registered_model_aliases") {
            sqlx::query_as("select alias, version from registered_model_aliases where name = $1")
                .bind(name)
                .fetch_all(&self.pool)
                .await?
        } else {
            Vec::new()
        };
        let sql = "select version, creation_time, current_stage, description, source, run_id, run_link, user_id \
                   from model_versions where name = $1 and current_stage <> 'Deleted_Internal' order by version";
        let mut versions = Vec::new();
        for row in sqlx::query(sql).bind(name).fetch_all(&self.pool).await? {
            let word = |name: &str| row.try_get::<Option<String>, _>(name).map(Option::unwrap_or_default);
            let number: u32 = row.try_get("version")?;
            versions.push(Version {
                number,
                created: Timestamp::from_millis(row.try_get::<Option<i64>, _>("creation_time")?.unwrap_or(0)),
                stage: Stage::parse(&word("current_stage")?).unwrap_or_default(),
                description: word("description")?,
                source: word("source")?,
                run_id: Some(word("run_id")?).filter(|r| !r.is_empty()),
                run_link: word("run_link")?,
                user: word("user_id")?,
                tags: self.version_tags(name, number).await?,
            });
        }
        Ok(Registered { name: name.to_owned(), description, tags, aliases: aliases.into_iter().collect(), versions })
    }

    async fn version_tags(&self, name: &str, version: u32) -> Read<BTreeMap<String, String>> {
        let sql = "select key, value from model_version_tags where name = $1 and version = $2";
        let rows: Vec<(String, Option<String>)> =
            sqlx::query_as(sql).bind(name).bind(version).fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(|(k, v)| (k, v.unwrap_or_default())).collect())
    }

    /// A number that another connection's commit changes.
    pub(super) async fn mark(&self) -> u128 {
        let version: Read<i64> = sqlx::query_scalar("pragma data_version").fetch_one(&self.pool).await;
        version.map_or(0, |v| u128::from(v.unsigned_abs()))
    }
}

fn number(value: f64, is_nan: bool) -> f64 {
    match value {
        _ if is_nan => f64::NAN,
        v if v >= INFINITE => f64::INFINITY,
        v if v <= -INFINITE => f64::NEG_INFINITY,
        v => v,
    }
}
