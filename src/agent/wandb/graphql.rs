//! The one door of GraphQL: the operation's name chooses the handler.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::json::Json;
use super::call::Call;
use super::{alert, artifact, artifact_lists, artifact_read, history, link, reads, run, storage, sweep};
use crate::agent::{App, fault, here};
use crate::base::{Fault, Kind, fault::Result};
use crate::capability::Actor;
use crate::capability::access::Role;

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    query: String,
    #[serde(default)]
    variables: Option<Map<String, Value>>,
}

const BODY_BYTES_MAX: usize = 32 << 20;

/// Operations that change something, whatever the text calls them: the name alone chooses the handler.
const WRITING: &[&str] = &[
    "UpsertBucket",
    "CreateRunFiles",
    "RunUploadUrls",
    "MarkRunFilesUploaded",
    "NotifyScriptableRunAlert",
    "CreateArtifact",
    "CreateArtifactManifest",
    "UpdateArtifactManifest",
    "CreateArtifactFiles",
    "CommitArtifact",
    "UseArtifact",
    "UpdateArtifact",
    "AddAliases",
    "DeleteAliases",
    "LinkArtifact",
    "UpsertSweep",
    "UpsertSweepState",
    "CreateAgent",
    "Heartbeat",
    "CreateProject",
];

pub(super) async fn answer(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Response {
    let Ok(body) = axum::body::to_bytes(body, BODY_BYTES_MAX).await else {
        return refused(&Fault::invalid(format!("a request has at most {BODY_BYTES_MAX} bytes")));
    };
    let Ok(asked) = read(&body) else { return refused(&Fault::invalid("the request is no JSON of GraphQL")) };
    let (kind, name) = operation(&asked.query);
    let call = Call {
        app: &app,
        actor: &actor,
        base: here::base(&app, &headers),
        variables: asked.variables.unwrap_or_default(),
    };
    if (kind == "mutation" || WRITING.contains(&name.as_str())) && actor.role < Role::Client {
        let denied = Fault::denied(format!("{} may only read", actor.who.name))
            .why(format!("its role is {}", actor.role.name()))
            .next("come with an operator's token");
        return refused(&denied);
    }
    tracing::debug!("graphql {name} {}", json!(call.variables));
    match handle(&call, &name, &asked.query).await {
        Ok(data) => Json(json!({ "data": data })).into_response(),
        Err(fault) if sweep::is_gone(&name, &fault) => (StatusCode::NOT_FOUND, errors(&fault)).into_response(),
        Err(fault) => refused(&fault),
    }
}

fn read(body: &Bytes) -> Result<Asked, serde_json::Error> {
    serde_json::from_slice(body)
}

async fn handle(call: &Call<'_>, name: &str, query: &str) -> Result<Value> {
    match name {
        "Viewer" | "GetViewer" | "GetDefaultEntity" => Ok(run::viewer(call)),
        // A key check of older clients has no name.
        "" if query.contains("viewer") => Ok(run::viewer(call)),
        "ServerFeaturesQuery" => Ok(json!({ "serverInfo": { "features": [] } })),
        "OrganizationCoreWeaveOrganizationID" => Ok(json!({ "entity": { "organization": null } })),
        "FetchOrgInfoFromEntity" | "FetchOrgEntityFromEntity" => Ok(link::organization(call)),
        "ServerInfo" => Ok(run::server_info()),
        "UpsertBucket" => run::upsert(call).await,
        "RunResumeStatus" => Ok(run::resume_status(call)),
        "RunStoppedStatus" => Ok(run::stopped_status(call)),
        "CreateRunFiles" => storage::create_run_files(call).await,
        "RunUploadUrls" => storage::run_upload_urls(call).await,
        "MarkRunFilesUploaded" => Ok(json!({ "markRunFilesUploaded": { "success": true } })),
        "NotifyScriptableRunAlert" => alert::raise(call).await,
        "CreateArtifact" => artifact::create(call).await,
        "CreateArtifactManifest" => artifact::create_manifest(call, "createArtifactManifest").await,
        "UpdateArtifactManifest" => artifact::create_manifest(call, "updateArtifactManifest").await,
        "CreateArtifactFiles" => artifact::create_files(call).await,
        "CommitArtifact" => artifact::commit(call).await,
        "UseArtifact" => artifact::use_it(call).await,
        "UpdateArtifact" => artifact::update(call).await,
        "AddAliases" => artifact::change_aliases(call, true).await,
        "DeleteAliases" => artifact::change_aliases(call, false).await,
        "LinkArtifact" => link::link(call).await,
        "ArtifactType" => artifact_read::kind(call).await,
        "ArtifactByID" => artifact_read::by_id(call).await,
        "ArtifactMembershipByName" => artifact_read::by_name(call).await,
        "FetchArtifactManifest" => artifact_read::manifest(call).await,
        "GetArtifactMembershipFileUrls" | "ArtifactMembershipFiles" => artifact_read::file_urls(call).await,
        _ if is_probe(query) => Ok(probes(query)),
        _ => asked_by_api(call, name, query).await,
    }
}

/// Sweeps, and what `wandb.Api` reads.
async fn asked_by_api(call: &Call<'_>, name: &str, query: &str) -> Result<Value> {
    match name {
        "UpsertSweep" => sweep::upsert(call).await,
        "UpsertSweepState" => sweep::set_state(call).await,
        "CreateAgent" => sweep::create_agent(call).await,
        "Heartbeat" => sweep::heartbeat(call).await,
        "GetSweep" | "GetSweepLegacy" | "GetSweepState" | "SweepWithRuns" | "SweepConfig" => sweep::get(call).await,
        "GetSweeps" => sweep::list(call).await,
        "Run" | "RunState" | "RunHistoryKeys" | "QueryRunInfo" => Ok(reads::run(call)),
        "Runs" => reads::runs(call),
        "RunFiles" => reads::files(call).await,
        "RunFullHistory" => history::whole(call, query).await,
        "RunSampledHistory" | "SampledHistoryPage" => history::sampled(call).await,
        "HistoryPage" => history::page(call).await,
        "RunParquetHistory" => Ok(history::exports(call)),
        "GetProject" | "IsProjectReadOnly" => Ok(reads::project(call)),
        "GetProjects" => Ok(reads::projects(call)),
        "CreateProject" => reads::create_project(call).await,
        "RunOutputArtifacts" => artifact_lists::made(call).await,
        "RunInputArtifacts" => artifact_lists::used(call).await,
        "ProjectArtifacts" | "ProjectArtifactCollection" => artifact_lists::of_collection(call).await,
        "ArtifactCreatedBy" => artifact_lists::maker(call).await,
        _ => Err(unknown(name)),
    }
}

/// Refusals are GraphQL errors in a 200: other statuses the client retries, or takes for a broken server. What a token may
/// not, and what can succeed later, have their own statuses.
fn refused(fault: &Fault) -> Response {
    let status = match fault.kind {
        Kind::Unavailable | Kind::Bug | Kind::Exhausted | Kind::Denied | Kind::Unauthenticated => {
            fault::status(fault.kind)
        }
        _ => StatusCode::OK,
    };
    (status, errors(fault)).into_response()
}

fn errors(fault: &Fault) -> Json<Value> {
    Json(json!({ "errors": [{ "message": fault.to_string() }], "data": null }))
}

/// Kind and name of the operation, by the first `query NAME` or `mutation NAME`.
fn operation(query: &str) -> (&'static str, String) {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let word = |text: &'_ str| text.find(|c| !is_part(c)).unwrap_or(text.len());
    let mut rest = query;
    while let Some(at) = rest.find(is_part) {
        let (first, after) = rest[at..].split_at(word(&rest[at..]));
        rest = after;
        let kind = match first {
            "query" => "query",
            "mutation" => "mutation",
            _ => continue,
        };
        let after = after.trim_start();
        return (kind, after[..word(after)].to_owned());
    }
    ("query", String::new())
}

/// Whether the schema is asked about, which `__typename` is not.
fn is_probe(query: &str) -> bool {
    query.match_indices("__type").any(|(at, found)| query[at + found.len()..].trim_start().starts_with('('))
}

/// Questions of older clients about the schema: this server has none of the optional fields.
fn probes(query: &str) -> Value {
    let mut answer = Map::new();
    for (at, _) in query.match_indices("__type") {
        let before = &query[..at];
        let alias = before.trim_end().strip_suffix(':').map(|head| {
            let head = head.trim_end();
            let start = head.rfind(|c: char| !(c.is_alphanumeric() || c == '_')).map_or(0, |at| at + 1);
            head[start..].to_owned()
        });
        answer.insert(
            alias.unwrap_or_else(|| "__type".to_owned()),
            json!({ "name": "", "fields": [], "inputFields": [] }),
        );
    }
    Value::Object(answer)
}

/// Logged once each: clients ask again and again.
fn unknown(name: &str) -> Fault {
    static SEEN: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    const NAMES_MAX: usize = 1000;
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let seen = seen.get_or_insert_default();
    if seen.len() < NAMES_MAX && seen.insert(name.to_owned()) {
        tracing::warn!("a W&B client asks for the operation {name:?}, which is not offered; it is told so");
    }
    Fault::new(Kind::Unsupported, format!("the operation {name:?} is not offered by this server"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_by_their_names() {
        assert_eq!(operation("\nmutation UpsertBucket($id: String) { x }"), ("mutation", "UpsertBucket".to_owned()));
        assert_eq!(operation("query Viewer{viewer{id}}"), ("query", "Viewer".to_owned()));
        assert_eq!(operation("{ viewer { id } }"), ("query", String::new()));
        assert_eq!(operation("query { viewer { id } }"), ("query", String::new()));
        assert_eq!(operation(""), ("query", String::new()));
        let fragment = "fragment Subquery on Run { id } query";
        assert_eq!(operation(&format!("{fragment} Runs {{ x }}")), ("query", "Runs".to_owned()));
        assert_eq!(operation(&format!("{fragment} {{ viewer }}")), ("query", String::new()));
    }

    #[test]
    fn probes_are_answered_by_their_aliases() {
        assert!(is_probe("query P { A: __type (name: \"X\") { fields { name } } }"));
        assert!(!is_probe("query GetSweep { sweep { __typename id } }"));
        let query = "query P { A: __type(name: \"X\") { fields { name } } __type(name: \"Y\") { fields { name } } }";
        let keys: Vec<_> = probes(query).as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["A", "__type"]);
    }
}
