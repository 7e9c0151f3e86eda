//! One GraphQL operation with its variables, and what is behind them.

use serde_json::{Map, Value};

use crate::agent::App;
use crate::base::id::RunId;
use crate::base::{Fault, fault::Result};
use crate::capability::Actor;
use crate::capability::tracking::artifacts::path_of_uri;
use crate::capability::tracking::wandb::{NO_PROJECT, run_id};
use crate::capability::tracking::{Run, runs};

/// The entity of all who name none.
pub(super) const ENTITY: &str = "opsroom";

/// An operation that was asked for.
pub(super) struct Call<'a> {
    pub app: &'a App,
    pub actor: &'a Actor,
    /// Where the caller reaches this agent.
    pub base: String,
    pub variables: Map<String, Value>,
}

impl Call<'_> {
    /// A variable by the first of these names that is given. Newer clients put all of them into `input`.
    pub fn value(&self, names: &[&str]) -> Option<&Value> {
        let input = self.variables.get("input").and_then(Value::as_object);
        let places = [Some(&self.variables), input];
        let mut found = names.iter().flat_map(|name| places.into_iter().flatten().filter_map(move |p| p.get(*name)));
        found.find(|v| !v.is_null())
    }

    pub fn text(&self, names: &[&str]) -> Option<String> {
        self.value(names).and_then(Value::as_str).map(str::to_owned)
    }

    /// # Errors
    /// `Invalid` when it is missing.
    pub fn required(&self, names: &[&str]) -> Result<String> {
        self.text(names)
            .filter(|t| !t.is_empty())
            .ok_or_else(|| Fault::invalid(format!("the variable {} is missing", names[0])))
    }

    pub fn texts(&self, names: &[&str]) -> Option<Vec<String>> {
        let list = self.value(names)?.as_array()?;
        Some(list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect())
    }

    pub fn entity(&self) -> String {
        self.text(&["entity", "entityName"]).filter(|e| !e.is_empty()).unwrap_or_else(|| ENTITY.to_owned())
    }

    pub fn project(&self) -> String {
        self.text(&["project", "projectName"]).filter(|p| !p.is_empty()).unwrap_or_else(|| NO_PROJECT.to_owned())
    }

    /// The run that is meant.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn run(&self, names: &[&str]) -> Result<std::sync::Arc<Run>> {
        let name = self.required(names)?;
        find(self.app, &self.project(), &name)
    }
}

/// # Errors
/// `NotFound`.
pub(super) fn find(app: &App, project: &str, name: &str) -> Result<std::sync::Arc<Run>> {
    let id: RunId = run_id(project, name);
    app.ctx().tracking.read(|s| s.run(id).cloned()).ok_or_else(|| {
        Fault { why: format!("no run {name} in project {project}"), ..runs::missing(id) }
            .next("begin it with wandb.init")
    })
}

/// The folder of a run's artifacts in the store.
///
/// # Errors
/// `Invalid` when the experiment keeps them elsewhere.
pub(super) fn folder(app: &App, run: &Run) -> Result<String> {
    let uri = app.ctx().tracking.artifact_uri(run);
    path_of_uri(&uri).ok_or_else(|| {
        Fault::invalid(format!("this experiment keeps its artifacts elsewhere: {uri}"))
            .why("files of W&B's clients go to the agent's own store")
            .next("log to another project")
    })
}

/// The project as clients want to see it.
pub(super) fn project_shape(entity: &str, project: &str) -> Value {
    serde_json::json!({
        "id": project, "internalId": project, "name": project, "entityName": entity,
        "entity": { "id": entity, "name": entity },
    })
}
