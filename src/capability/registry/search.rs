//! Finding registered models and versions: `MLflow`'s filters over the views, ordered and paged as runs are.

use std::cmp::Ordering;
use std::sync::Arc;

use super::types::{ModelVersion, ModelView};
use crate::capability::tracking::filter::{Condition, Entity, Filter, Op, Value};
use crate::capability::tracking::search::{Page, Query, SortKey, page};

/// What marks a registered model as a prompt of `MLflow`'s prompt registry.
pub const PROMPT_TAG: &str = "mlflow.prompt.is_prompt";

fn is_prompt(view: &ModelView) -> bool {
    view.model.tags.get(PROMPT_TAG).is_some_and(|v| v.eq_ignore_ascii_case("true"))
}

/// Conditions on the prompt tag are a switch, not conditions: models do not have the tag, and have to match `!=` all
/// the same. Whether prompts alone are asked for, and what else is.
fn prompt_switch(filter: &Filter) -> (bool, Vec<&Condition>) {
    let on_tag = |c: &&Condition| c.entity == Entity::Tag && c.key == PROMPT_TAG;
    let asks = |c: &Condition| match (c.op, &c.value) {
        (Op::Eq, Value::Text(text)) => text.eq_ignore_ascii_case("true"),
        (Op::Ne, Value::Text(text)) => text.eq_ignore_ascii_case("false"),
        _ => false,
    };
    let prompts = filter.conditions.iter().find(on_tag).is_some_and(asks);
    (prompts, filter.conditions.iter().filter(|c| !on_tag(c)).collect())
}

/// Registered models: by name, unless the query orders otherwise.
pub fn search_models(views: Vec<ModelView>, query: &Query) -> Page<Arc<ModelView>> {
    let (prompts, conditions) = prompt_switch(&query.filter);
    let matches = |view: &ModelView| {
        conditions.iter().all(|c| match (c.entity, c.key.as_str()) {
            (Entity::Tag, key) => c.matches_text(view.model.tags.get(key).map(String::as_str)),
            (_, "name") => c.matches_text(Some(&view.model.name)),
            _ => false,
        })
    };
    let found = views.into_iter().filter(|v| is_prompt(v) == prompts && matches(v)).map(Arc::new).collect();
    let key = |view: &ModelView, _: usize, by: &crate::capability::tracking::filter::OrderBy| match by.key.as_str() {
        "name" => SortKey::Text(view.model.name.clone()),
        "creation_timestamp" => SortKey::Number(view.model.created.0 as f64),
        "last_updated_timestamp" => SortKey::Number(view.model.updated.0 as f64),
        _ => SortKey::Missing,
    };
    page(found, query, key, |a: &Arc<ModelView>, b: &Arc<ModelView>| a.model.name.cmp(&b.model.name))
}

/// Versions of all models: the last changed first, unless the query orders otherwise; then by name, newest first.
pub fn search_versions(views: Vec<ModelView>, query: &Query) -> Page<Arc<ModelVersion>> {
    let (prompts, conditions) = prompt_switch(&query.filter);
    let matches = |version: &ModelVersion| {
        conditions.iter().all(|c| match (c.entity, c.key.as_str()) {
            (Entity::Tag, key) => c.matches_text(version.doc.tags.get(key).map(String::as_str)),
            (_, "name") => c.matches_text(Some(&version.model)),
            (_, "run_id") => c.matches_text(version.doc.run_id.as_deref()),
            (_, "source_path") => c.matches_text(Some(&version.doc.source)),
            (_, "version_number") => c.matches_integer(Some(i64::from(version.version))),
            _ => false,
        })
    };
    let here = views.into_iter().filter(|v| is_prompt(v) == prompts).flat_map(|v| v.versions);
    let found = here.filter(matches).map(Arc::new).collect();
    let key =
        |version: &ModelVersion, _: usize, by: &crate::capability::tracking::filter::OrderBy| match by.key.as_str() {
            "name" => SortKey::Text(version.model.clone()),
            "version_number" => SortKey::Number(f64::from(version.version)),
            "creation_timestamp" => SortKey::Number(version.created.0 as f64),
            "last_updated_timestamp" => SortKey::Number(version.updated.0 as f64),
            _ => SortKey::Missing,
        };
    let ordered = !query.order_by.is_empty();
    page(found, query, key, move |a: &Arc<ModelVersion>, b: &Arc<ModelVersion>| {
        let latest = if ordered { Ordering::Equal } else { b.updated.cmp(&a.updated) };
        latest.then_with(|| a.model.cmp(&b.model)).then_with(|| b.version.cmp(&a.version))
    })
}

#[cfg(test)]
mod tests {
    use super::super::types::{RegisteredModel, Stage, VersionDoc};
    use super::*;
    use crate::base::Timestamp;
    use crate::capability::tracking::filter::{self, Target};

    fn view(name: &str, tags: &[(&str, &str)]) -> ModelView {
        let tags = tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let model = RegisteredModel {
            name: name.to_owned(),
            created: Timestamp(1),
            updated: Timestamp(2),
            description: String::new(),
            tags,
            generation: 1,
            aliases: std::collections::BTreeMap::new(),
        };
        let version = |version| ModelVersion {
            model: name.to_owned(),
            version,
            created: Timestamp(1),
            updated: Timestamp(i64::from(version)),
            stage: Stage::Dev,
            doc: VersionDoc { run_id: Some("r".to_owned()), ..VersionDoc::default() },
            aliases: Vec::new(),
        };
        ModelView { model, versions: vec![version(2), version(1)], history: Vec::new(), as_of: None }
    }

    fn views() -> Vec<ModelView> {
        vec![view("b", &[("team", "ops")]), view("a", &[]), view("p", &[(PROMPT_TAG, "true")])]
    }

    fn query(text: &str, target: Target) -> Query {
        Query { filter: filter::parse(text, target).unwrap(), limit: 100, ..Query::default() }
    }

    #[test]
    fn prompts_hide_unless_they_are_asked_for() {
        for (text, names) in [
            ("", vec!["a", "b"]),
            ("tag.`mlflow.prompt.is_prompt` != 'true'", vec!["a", "b"]),
            ("tag.`mlflow.prompt.is_prompt` = 'false'", vec!["a", "b"]),
            ("tag.`mlflow.prompt.is_prompt` = 'true'", vec!["p"]),
            ("tag.`mlflow.prompt.is_prompt` != 'false'", vec!["p"]),
            ("tags.team = 'ops' AND tag.`mlflow.prompt.is_prompt` != 'true'", vec!["b"]),
            ("tags.team != 'ops'", vec![]),
            ("name IN ('a', 'p')", vec!["a"]),
        ] {
            let found = search_models(views(), &query(text, Target::RegisteredModels));
            let found: Vec<_> = found.items.iter().map(|v| v.model.name.as_str()).collect();
            assert_eq!(found, names, "{text}");
        }
    }

    #[test]
    fn versions_come_last_changed_first() {
        let found = search_versions(views(), &query("version_number > 0", Target::ModelVersions));
        let found: Vec<_> = found.items.iter().map(|v| (v.model.as_str(), v.version)).collect();
        assert_eq!(found, [("a", 2), ("b", 2), ("a", 1), ("b", 1)]);
        assert_eq!(search_versions(views(), &query("run_id = 'r' AND name = 'b'", Target::ModelVersions)).matched, 2);
    }
}
