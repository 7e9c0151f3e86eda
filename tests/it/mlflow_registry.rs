//! MLflow's routes for registered models and their versions: stages, aliases, sources, searches, refusals.

use axum::http::Method;
use serde_json::{Value, json};

use crate::mlflow_support::Door;
use crate::stores::on_each_engine;

const INVALID: &str = "INVALID_PARAMETER_VALUE";
const GONE: &str = "RESOURCE_DOES_NOT_EXIST";

/// A model with three versions of one folder; gives the run, too.
async fn three(door: &Door) -> String {
    let run = door.run().await;
    let path = format!("/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/m/w.txt");
    door.raw(Method::PUT, &path, "text/plain", "weights").await.ok();
    let tags = json!([{"key": "team", "value": "ops"}]);
    door.post("registered-models/create", json!({"name": "reg", "tags": tags, "description": "about"})).await.ok();
    for n in 1..=3 {
        let source = format!("mlflow-artifacts:/0/{run}/artifacts/m");
        let body =
            json!({"name": "reg", "source": source, "run_id": run, "tags": [{"key": "n", "value": n.to_string()}]});
        let made = door.post("model-versions/create", body).await.ok()["model_version"].clone();
        assert_eq!((&made["version"], &made["status"]), (&json!(n.to_string()), &json!("READY")));
        assert_eq!((&made["current_stage"], &made["run_id"]), (&json!("None"), &json!(run)));
    }
    run
}

async fn stages(door: &Door) -> Value {
    let found = door.get("model-versions/search?filter=name%3D'reg'&order_by=version_number").await.ok();
    found["model_versions"].as_array().unwrap().iter().map(|v| v["current_stage"].clone()).collect()
}

async fn version(door: &Door, n: u32) -> Value {
    door.get(&format!("model-versions/get?name=reg&version={n}")).await.ok()["model_version"].clone()
}

#[tokio::test]
async fn the_life_of_a_model() {
    on_each_engine(async |place| {
        let door = Door::on(place).await;
        three(&door).await;
        let model = door.get("registered-models/get?name=reg").await.ok()["registered_model"].clone();
        assert_eq!((&model["description"], &model["latest_versions"][0]["version"]), (&json!("about"), &json!("3")));
        assert_eq!(model["tags"], json!([{"key": "team", "value": "ops"}]));
        let again = door.post("registered-models/create", json!({"name": "reg"})).await;
        again.refused(400, "RESOURCE_ALREADY_EXISTS", "Registered Model (name=reg) already exists");
        let body = json!({"name": "reg", "description": "new"});
        let described = door.call(Method::PATCH, "registered-models/update", body).await.ok();
        assert_eq!(described["registered_model"]["description"], "new");
        door.post("registered-models/set-tag", json!({"name": "reg", "key": "a", "value": "b"})).await.ok();
        door.call(Method::DELETE, "registered-models/delete-tag", json!({"name": "reg", "key": "team"})).await.ok();
        let renamed = door.post("registered-models/rename", json!({"name": "reg", "new_name": "reg2"})).await.ok();
        assert_eq!(renamed["registered_model"]["tags"], json!([{"key": "a", "value": "b"}]));
        assert_eq!(renamed["registered_model"]["latest_versions"][0]["name"], "reg2");
        door.get("registered-models/get?name=reg").await.refused(404, GONE, "Registered Model with name=reg not found");
        door.call(Method::DELETE, "registered-models/delete", json!({"name": "reg2"})).await.ok();
        door.call(Method::DELETE, "registered-models/delete", json!({"name": "reg2"})).await.refused(
            404,
            GONE,
            "not found",
        );
        for (name, words) in [
            ("", "Missing value for required parameter 'name'"),
            ("  ", "Missing value for required parameter 'name'"),
            ("a/b", "cannot contain '/' or ':'"),
            ("a:b", "cannot contain '/' or ':'"),
        ] {
            door.post("registered-models/create", json!({"name": name})).await.refused(400, INVALID, words);
        }
    })
    .await;
}

#[tokio::test]
async fn stages_map_onto_ours_and_one_version_is_in_production() {
    on_each_engine(async |place| {
        let door = Door::on(place).await;
        three(&door).await;
        let to = async |n: &str, stage: &str, archive: bool| {
            let body = json!({"name": "reg", "version": n, "stage": stage, "archive_existing_versions": archive});
            door.post("model-versions/transition-stage", body).await
        };
        assert_eq!(to("1", "staging", false).await.ok()["model_version"]["current_stage"], "Staging");
        to("1", "Production", false).await.ok();
        to("2", "Production", false).await.ok();
        assert_eq!(stages(&door).await, json!(["Archived", "Production", "None"]));
        to("1", "Staging", false).await.ok();
        to("3", "Staging", true).await.ok();
        assert_eq!(stages(&door).await, json!(["Archived", "Production", "Staging"]));
        to("3", "Nowhere", false).await.refused(400, INVALID, "Invalid Model Version stage: Nowhere");
        to("3", "Archived", true).await.refused(400, INVALID, "is not an Active stage");
        to("9", "Staging", false).await.refused(404, GONE, "Model Version (name=reg, version=9) not found");
        let latest =
            door.post("registered-models/get-latest-versions", json!({"name": "reg", "stages": ["production"]})).await;
        assert_eq!(latest.ok()["model_versions"].as_array().unwrap().len(), 1);
        let all = door.get("registered-models/get-latest-versions?name=reg").await.ok();
        assert_eq!(all["model_versions"].as_array().unwrap().len(), 3);
        let bad = json!({"name": "reg", "version": "1", "stage": "Staging", "archive_existing_versions": "maybe"});
        door.post("model-versions/transition-stage", bad).await.refused(400, INVALID, "'archive_existing_versions'");
        let trail = door.get("/api/v1/audit").await;
        assert!(String::from_utf8_lossy(&trail.body).contains("set-stage"), "every change is audited");
    })
    .await;
}

#[tokio::test]
async fn aliases() {
    on_each_engine(async |place| {
        let door = Door::on(place).await;
        three(&door).await;
        let set = async |alias: &str, n: &str| {
            door.post("registered-models/alias", json!({"name": "reg", "alias": alias, "version": n})).await
        };
        set("champion", "1").await.ok();
        set("champion", "3").await.ok();
        set("challenger", "2").await.ok();
        let by = async |alias: &str| door.get(&format!("registered-models/alias?name=reg&alias={alias}")).await;
        assert_eq!(by("champion").await.ok()["model_version"]["aliases"], json!(["champion"]));
        assert_eq!(by("latest").await.ok()["model_version"]["version"], "3");
        let model = door.get("registered-models/get?name=reg").await.ok()["registered_model"].clone();
        let aliases = json!([{"alias": "challenger", "version": "2"}, {"alias": "champion", "version": "3"}]);
        assert_eq!(model["aliases"], aliases);
        for alias in ["challenger", "never-was"] {
            let gone =
                door.call(Method::DELETE, "registered-models/alias", json!({"name": "reg", "alias": alias})).await;
            assert_eq!(gone.ok(), json!({}), "{alias}");
        }
        by("challenger").await.refused(400, INVALID, "Registered model alias challenger not found.");
        by("Champion").await.refused(400, INVALID, "alias Champion not found");
        for bad in ["v1", "latest", "a b", &"x".repeat(256)] {
            assert_eq!(set(bad, "1").await.status, 400, "{bad}");
        }
        set("a", "9").await.refused(404, GONE, "Model Version");
        door.call(Method::DELETE, "model-versions/delete", json!({"name": "reg", "version": "3"})).await.ok();
        by("champion").await.refused(400, INVALID, "not found");
    })
    .await;
}

#[tokio::test]
async fn versions_are_changed_and_never_numbered_twice() {
    on_each_engine(async |place| {
        let door = Door::on(place).await;
        let run = three(&door).await;
        let body = json!({"name": "reg", "version": "1", "description": "changed"});
        let changed = door.call(Method::PATCH, "model-versions/update", body).await.ok()["model_version"].clone();
        assert_eq!(changed["description"], "changed");
        door.post("model-versions/set-tag", json!({"name": "reg", "version": "1", "key": "a", "value": ""})).await.ok();
        let tag = json!({"name": "reg", "version": "1", "key": "n"});
        door.call(Method::DELETE, "model-versions/delete-tag", tag).await.ok();
        assert_eq!(version(&door, 1).await["tags"], json!([{"key": "a", "value": ""}]));
        door.call(Method::DELETE, "model-versions/delete", json!({"name": "reg", "version": "3"})).await.ok();
        for (path, code, status, words) in [
            ("name=reg&version=3", GONE, 404, "Model Version (name=reg, version=3) not found"),
            ("name=none&version=1", GONE, 404, "Model Version (name=none, version=1) not found"),
            ("name=reg&version=x", INVALID, 400, "Parameter 'version' must be an integer, got 'x'."),
            ("name=reg", INVALID, 400, "Missing value for required parameter 'version'"),
        ] {
            door.get(&format!("model-versions/get?{path}")).await.refused(status, code, words);
        }
        let source = format!("runs:/{run}/m");
        let made =
            door.post("model-versions/create", json!({"name": "reg", "source": source, "run_id": run})).await.ok();
        assert_eq!(made["model_version"]["version"], "4");
        let uri = door.get("model-versions/get-download-uri?name=reg&version=4").await.ok()["artifact_uri"].clone();
        assert_eq!(uri, source);
        let got = door.get("/model-versions/get-artifact?name=reg&version=4&path=w.txt").await;
        assert_eq!(&got.body[..], b"weights");
        let escape = door.get("/model-versions/get-artifact?name=reg&version=4&path=../x").await;
        assert_eq!(escape.json()["message"], "Invalid path");
    })
    .await;
}

#[tokio::test]
async fn a_registration_freezes_its_artifacts() {
    on_each_engine(async |place| {
        let door = Door::on(place).await;
        let run = three(&door).await;
        let path = format!("/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/m/w.txt");
        door.raw(Method::PUT, &path, "text/plain", "other").await.refused(400, "BAD_REQUEST", "are frozen");
        door.call(Method::DELETE, "registered-models/delete", json!({"name": "reg"})).await.ok();
        door.raw(Method::PUT, &path, "text/plain", "other").await.ok();
    })
    .await;
}

#[tokio::test]
async fn sources_that_reach_elsewhere_are_refused() {
    on_each_engine(async |place| {
        let door = Door::on(place).await;
        let run = three(&door).await;
        let relative = "If supplying a source as an http, https,";
        for (source, words) in [
            ("", "Missing value for required parameter 'source'"),
            ("/tmp", "To use a local path as a model version source"),
            ("file:///tmp", "To use a local path as a model version source"),
            ("mlflow-artifacts://host:9000/models/../../x", relative),
            ("mlflow-artifacts://host:9000/models/..%2f..%2fx", relative),
            ("mlflow-artifacts://host:9000/models/..%252f..%252fx", relative),
            ("mlflow-artifacts://host:9000/models/artifact%00", relative),
            ("s3a://bucket/x/../..", relative),
            (&format!("runs:/{}/m", door.run().await), "the run_id of the request has to be the same"),
        ] {
            let body = json!({"name": "reg", "source": source, "run_id": run});
            door.post("model-versions/create", body).await.refused(400, INVALID, words);
        }
        for good in ["s3://bucket/model", "mlflow-artifacts://host:9000/models/artifact/..../", "dummy-source"] {
            door.post("model-versions/create", json!({"name": "reg", "source": good})).await.ok();
        }
        let none = door.post("model-versions/create", json!({"name": "none", "source": "s3://b/m"})).await;
        none.refused(404, GONE, "Registered Model with name=none not found");
    })
    .await;
}

#[tokio::test]
async fn a_logged_model_becomes_a_version_and_knows_it() {
    on_each_engine(async |place| {
        let door = Door::on(place).await;
        let run = door.run().await;
        let body = json!({"experiment_id": "0", "source_run_id": run});
        let model = door.post("logged-models", body).await.ok()["model"]["info"].clone();
        let id = model["model_id"].as_str().unwrap();
        door.post("registered-models/create", json!({"name": "reg"})).await.ok();
        for source in [format!("models:/{id}"), model["artifact_uri"].as_str().unwrap().to_owned()] {
            let body = json!({"name": "reg", "source": source, "model_id": id});
            let made = door.post("model-versions/create", body).await.ok()["model_version"].clone();
            assert_eq!((&made["run_id"], &made["model_id"]), (&json!(run), &json!(id)));
        }
        let tags = door.get(&format!("logged-models/{id}")).await.ok()["model"]["info"]["tags"].clone();
        let list = r#"[{"name": "reg", "version": 1}, {"name": "reg", "version": 2}]"#;
        assert_eq!(tags, json!([{"key": "mlflow.modelVersions", "value": list}]));
        let uri = door.get("model-versions/get-download-uri?name=reg&version=1").await.ok()["artifact_uri"].clone();
        assert_eq!(uri, model["artifact_uri"], "a models:/ source is resolved");
        door.post("registered-models/create", json!({"name": "copy"})).await.ok();
        door.post("model-versions/create", json!({"name": "copy", "source": "models:/reg/1"})).await.ok();
        let uri = door.get("model-versions/get-download-uri?name=copy&version=1").await.ok()["artifact_uri"].clone();
        assert_eq!(uri, model["artifact_uri"]);
    })
    .await;
}

#[tokio::test]
async fn searches_filter_order_and_page() {
    on_each_engine(async |place| {
        let door = Door::on(place).await;
        let run = three(&door).await;
        let prompt = json!([{"key": "mlflow.prompt.is_prompt", "value": "true"}]);
        door.post("registered-models/create", json!({"name": "hello", "tags": prompt})).await.ok();
        let version =
            json!({"name": "hello", "source": "dummy-source", "tags": [{"key": "mlflow.prompt.text", "value": "hi"}]});
        door.post("model-versions/create", version).await.ok();
        let versions = async |query: String| -> Vec<String> {
            let found = door.get(&format!("model-versions/search?{query}")).await.ok();
            let found = found["model_versions"].as_array().cloned().unwrap_or_default();
            found.iter().map(|v| v["version"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(versions(format!("filter=run_id%3D'{run}'")).await, ["3", "2", "1"]);
        assert_eq!(versions("filter=tags.n%3D'2'".to_owned()).await, ["2"]);
        assert_eq!(versions("filter=version_number%3E1&order_by=version_number%20ASC".to_owned()).await, ["2", "3"]);
        let page = "model-versions/search?max_results=2&order_by=version_number";
        let first = door.get(page).await.ok();
        let token = first["next_page_token"].as_str().unwrap().replace('=', "%3D");
        let rest = door.get(&format!("{page}&page_token={token}")).await.ok();
        assert_eq!(rest["model_versions"].as_array().unwrap().len(), 1);
        let models = async |filter: &str| -> Vec<String> {
            let found = door.get(&format!("registered-models/search?filter={filter}")).await.ok();
            let found = found["registered_models"].as_array().cloned().unwrap_or_default();
            found.iter().map(|v| v["name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(models("").await, ["reg"]);
        assert_eq!(models("name%20ILIKE%20'RE%25'%20and%20tags.team%3D'ops'").await, ["reg"]);
        assert_eq!(models("tags.%60mlflow.prompt.is_prompt%60%3D'true'").await, ["hello"]);
        door.get("registered-models/search?max_results=1001").await.refused(400, INVALID, "max_results");
        door.get("registered-models/search?filter=foo%3D'1'").await.refused(400, INVALID, "Invalid attribute key");
        door.get("model-versions/search?order_by=foo").await.refused(400, INVALID, "Invalid");
        door.get("model-versions/search?page_token=x").await.refused(400, INVALID, "Invalid page token");
    })
    .await;
}
