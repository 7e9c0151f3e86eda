//! The shapes of registered models and their versions.

use serde::Serialize;

use super::shape::Pairs;
use crate::base::id::ModelId;
use crate::capability::registry::{ModelVersion, ModelView, Stage};

/// `MLflow`'s name of a stage.
pub(super) fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Dev => "None",
        Stage::Staging => "Staging",
        Stage::Prod => "Production",
        Stage::Archived => "Archived",
    }
}

/// The newest version of each stage.
pub(super) fn latest(view: &ModelView) -> impl Iterator<Item = &ModelVersion> {
    Stage::ALL.into_iter().filter_map(|stage| view.in_stage(stage).max_by_key(|v| v.version))
}

#[derive(Serialize)]
pub(super) struct VersionShape<'a> {
    name: &'a str,
    version: String,
    creation_timestamp: i64,
    last_updated_timestamp: i64,
    current_stage: &'static str,
    description: &'a str,
    source: &'a str,
    run_id: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    run_link: &'a str,
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    tags: Pairs<'a>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    aliases: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    model_id: Option<ModelId>,
}

impl<'a> From<&'a ModelVersion> for VersionShape<'a> {
    fn from(v: &'a ModelVersion) -> Self {
        Self {
            name: &v.model,
            version: v.version.to_string(),
            creation_timestamp: v.created.millis(),
            last_updated_timestamp: v.updated.millis(),
            current_stage: stage_name(v.stage),
            description: &v.doc.description,
            source: &v.doc.source,
            run_id: v.doc.run_id.as_deref().unwrap_or_default(),
            status: "READY",
            run_link: &v.doc.run_link,
            tags: Pairs(&v.doc.tags),
            aliases: &v.aliases,
            model_id: v.doc.model_id,
        }
    }
}

#[derive(Serialize)]
struct AliasShape<'a> {
    alias: &'a str,
    version: String,
}

#[derive(Serialize)]
pub(super) struct ModelShape<'a> {
    name: &'a str,
    creation_timestamp: i64,
    last_updated_timestamp: i64,
    description: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    latest_versions: Vec<VersionShape<'a>>,
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    tags: Pairs<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<AliasShape<'a>>,
}

impl<'a> From<&'a ModelView> for ModelShape<'a> {
    fn from(view: &'a ModelView) -> Self {
        let model = &view.model;
        let alias = |(alias, version): (&'a String, &u32)| AliasShape { alias, version: version.to_string() };
        Self {
            name: &model.name,
            creation_timestamp: model.created.millis(),
            last_updated_timestamp: model.updated.millis(),
            description: &model.description,
            latest_versions: latest(view).map(Into::into).collect(),
            tags: Pairs(&model.tags),
            aliases: model.aliases.iter().map(alias).collect(),
        }
    }
}
