//! The description of opsroom's own API, `/api/v1/openapi.json`.

use super::super::json::Json;
use serde_json::{Value, json};

/// Method, path, what it does, who may (the least role).
pub(super) const ROUTES: &[(&str, &str, &str, &str)] = &[
    ("get", "/api/v1/status", "How the agent does, and who it takes the caller for.", "viewer"),
    (
        "post",
        "/api/v1/backup",
        "Backs store and artifacts up into {to}, a folder on the agent's host; a line a step.",
        "admin",
    ),
    ("post", "/api/v1/stop", "Asks the agent to drain and end.", "admin"),
    ("get", "/api/v1/experiments", "Experiments with their numbers of runs.", "viewer"),
    ("post", "/api/v1/runs/search", "A page of runs: filter and order in MLflow's grammar.", "viewer"),
    ("post", "/api/v1/runs/groups", "Runs by experiment, parent or param, with mean and spread of metrics.", "viewer"),
    ("get", "/api/v1/runs/{id}", "One run.", "viewer"),
    ("get", "/api/v1/runs/{id}/history", "A metric's course (query: key, columns), thinned for a chart.", "viewer"),
    ("get", "/api/v1/runs/{id}/artifacts", "Entries of a folder of a run's artifacts (query: path).", "viewer"),
    ("get", "/api/v1/runs/{id}/artifact", "Bytes of an artifact (query: path, first_bytes).", "viewer"),
    ("get", "/api/v1/runs/{id}/outputs", "What a run made, each file with its digest.", "viewer"),
    ("get", "/api/v1/runs/{id}/output", "Bytes of a file that a run made (query: path).", "viewer"),
    ("get", "/api/v1/runs/{id}/grade", "What came of repeating a run; null when it never was.", "viewer"),
    ("post", "/api/v1/runs/{id}/tags", "Sets tags of a run; null removes one.", "client"),
    ("get", "/api/v1/models", "Registered models (query: as_of).", "viewer"),
    ("get", "/api/v1/models/{name}", "One registered model with its history (query: as_of).", "viewer"),
    ("get", "/api/v1/evals", "Eval results of a model, newest first (query: model, version).", "viewer"),
    ("get", "/api/v1/evals/suites", "Eval suites.", "viewer"),
    ("get", "/api/v1/evals/{id}", "One eval result.", "viewer"),
    ("post", "/api/v1/evals/examples", "Keeps packed labels or predictions; answers their digest.", "operator"),
    ("get", "/api/v1/gates", "Gates, waivers, approvals and decisions (query: model).", "viewer"),
    ("get", "/api/v1/gates/check", "Judges a version, keeping nothing (query: model, version, stage).", "viewer"),
    (
        "get",
        "/api/v1/gates/decisions/{id}",
        "A decision with its evidence, and whether it comes out the same.",
        "viewer",
    ),
    ("post", "/api/v1/predictions", "Takes predictions: a JSON array, or an object a line; gzip or zstd.", "client"),
    ("post", "/api/v1/labels", "Takes labels, in the same forms.", "client"),
    ("get", "/api/v1/monitoring", "Versions that predictions came from, and what was shed.", "viewer"),
    (
        "get",
        "/api/v1/monitoring/{service}/quality",
        "Quality with labels and without (query: window in seconds, to, version, slice).",
        "viewer",
    ),
    (
        "get",
        "/api/v1/monitoring/{service}/drift",
        "Drift against the training data (query: window in seconds, to, version, against: season or a version).",
        "viewer",
    ),
    (
        "get",
        "/api/v1/monitoring/{service}/recount",
        "Counts everything of a service anew and holds it against what is kept.",
        "viewer",
    ),
    ("get", "/api/v1/fleet", "All services at a glance, the worst first (query: window in seconds, as_of).", "viewer"),
    (
        "get",
        "/api/v1/monitoring/{service}/live",
        "A service in full over time: quality, drift, slices (query: window in seconds, to, as_of, metric).",
        "viewer",
    ),
    (
        "get",
        "/api/v1/monitoring/{service}/feature",
        "One column in the training data and now (query: column, version, window in seconds, to).",
        "viewer",
    ),
    ("get", "/api/v1/services", "Services with their versions and the rollout that goes on (query: as_of).", "viewer"),
    (
        "get",
        "/api/v1/services/{name}",
        "A service, what the judge says, and its ended rollouts (query: as_of).",
        "viewer",
    ),
    (
        "get",
        "/api/v1/cost",
        "What a window cost: {by} service, version, slice or run, {since}, {to}, and the last {days} one by one.",
        "viewer",
    ),
    ("get", "/api/v1/cost/book", "Price lists, what services run on, and budgets.", "viewer"),
    ("get", "/api/v1/garbage", "What collecting garbage would take away (query: unreferenced).", "viewer"),
    ("get", "/api/v1/hosts", "Hosts with the runs on each, and those that stand still there.", "viewer"),
    (
        "post",
        "/api/v1/hosts",
        "Takes what an edge tells of its host: minutes, numbered so that each counts once.",
        "client",
    ),
    ("get", "/api/v1/hosts/{host}/minutes", "Minutes of a host (query: since).", "viewer"),
    ("get", "/api/v1/export", "Tables of the store with their columns.", "admin"),
    ("get", "/api/v1/export-files", "Files of the artifact store.", "admin"),
    ("get", "/api/v1/export/{table}", "Every row of a table, a JSON array a line; null ends it.", "admin"),
    ("get", "/api/v1/evals/examples/{digest}", "Packed labels or predictions.", "viewer"),
    ("post", "/api/v1/erase", "Erases a person: kind id or key, subject, reason, dry_run.", "admin"),
    ("get", "/api/v1/erasures", "Erasures with what was cleared and what still holds the person.", "viewer"),
    ("get", "/api/v1/alerts", "Alert rules.", "viewer"),
    ("get", "/api/v1/incidents", "Incidents, open ones first (query: service).", "viewer"),
    ("get", "/api/v1/incidents/{id}", "An incident with the changes that may have caused it.", "viewer"),
    ("get", "/api/v1/models/{name}/versions/{version}/files", "Files of a version (query: digests).", "viewer"),
    ("get", "/api/v1/models/{name}/versions/{version}/file", "Bytes of one (query: path, first_bytes).", "viewer"),
    (
        "get",
        "/api/v1/audit",
        "Audit records, newest first (query: since, until, actor, command, target, via, not_actor, text, refused, before, offset, limit).",
        "viewer",
    ),
    ("post", "/api/v1/audit/verify", "Checks the audit chain against signed heads.", "viewer"),
    ("get", "/api/v1/audit/{seq}", "One audit record.", "viewer"),
    ("get", "/api/v1/tokens", "Access tokens, without their secrets.", "admin"),
    (
        "post",
        "/api/v1/commands",
        "Performs a command: command, reason, generation, idempotency_key, dry_run.",
        "client",
    ),
    ("get", "/api/v1/events", "Server-sent hints of what may have changed.", "viewer"),
    ("post", "/api/v1/import/experiment", "Takes in an experiment, once.", "client"),
    ("post", "/api/v1/import/run", "Takes in a run with the history of its metrics, once.", "client"),
    ("post", "/api/v1/import/model", "Takes in a logged model, once.", "client"),
    ("post", "/api/v1/import/wandb", "Announces a run that W&B's client left in a file.", "client"),
    ("post", "/api/v1/import/wandb/{id}/lines", "Takes in lines of such a run, each once.", "client"),
    ("get", "/api/v1/datasets", "Datasets with their versions and the runs that read them.", "viewer"),
    ("get", "/api/v1/datasets/{name}", "One dataset.", "viewer"),
    ("get", "/api/v1/datasets/{name}/versions/{version}/manifest", "Files of a version, a JSON line each.", "viewer"),
    ("get", "/api/v1/datasets/{name}/versions/{version}/profile", "Training profile of a version's tables.", "viewer"),
    ("post", "/api/v1/data/locate", "Where chunks lie: 32 bytes a digest, one after another.", "client"),
    ("post", "/api/v1/data/packs", "Takes in a pack of chunks.", "client"),
    ("get", "/api/v1/data/packs/{pack}", "Bytes of a pack (query: from, to).", "viewer"),
    ("get", "/api/v1/data/packs/{pack}/check", "Holds every chunk of a pack against its digest.", "viewer"),
    ("post", "/api/v1/data/manifests", "Takes in a manifest whose chunks are stored.", "client"),
    ("post", "/api/v1/data/profiles", "Takes in a training profile.", "client"),
    ("get", "/api/v1/openapi.json", "This description.", "viewer"),
];

pub(super) async fn openapi() -> Json<Value> {
    let mut paths = serde_json::Map::new();
    for (method, path, what, role) in ROUTES {
        let parameters: Vec<Value> = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
            .collect();
        let operation = json!({
            "summary": what,
            "x-opsroom-role": role,
            "parameters": parameters,
            "responses": {
                "200": {"description": "done"},
                "default": {
                    "description": "a fault: what happened, why, and what to do next",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Fault"}}},
                },
            },
        });
        if let Some(item) = paths.entry((*path).to_owned()).or_insert_with(|| json!({})).as_object_mut() {
            item.insert((*method).to_owned(), operation);
        }
    }
    let text = json!({"type": "string"});
    Json(json!({
        "openapi": "3.1.0",
        "info": {"title": "opsroom", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths,
        "components": {"schemas": {"Fault": {
            "type": "object",
            "required": ["kind", "what"],
            "properties": {"kind": text, "what": text, "why": text, "next": text},
        }}},
    }))
}
