//! MLflow's routes for artifacts and logged models: bytes, ranges, parts, escapes, frozen folders.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};

use crate::mlflow_support::{Answer, Door};
use crate::stores::on_each_engine;

const INVALID: &str = "INVALID_PARAMETER_VALUE";
const GONE: &str = "RESOURCE_DOES_NOT_EXIST";
const STORE: &str = "/api/2.0/mlflow-artifacts";

async fn put(door: &Door, path: &str, bytes: impl Into<Body>) -> Answer {
    door.raw(Method::PUT, &format!("{STORE}/artifacts/{path}"), "image/png", bytes).await
}

async fn range(door: &Door, path: &str, range: &str) -> Answer {
    let request = Request::get(format!("{STORE}/artifacts/{path}")).header("range", range);
    door.send(request.body(Body::empty()).unwrap()).await
}

async fn listed(door: &Door, folder: &str) -> Value {
    door.get(&format!("{STORE}/artifacts?path={folder}")).await.ok()
}

#[tokio::test]
async fn files_and_folders() {
    on_each_engine(async |place| {
        let door = Door::on(place).await;
        put(&door, "0/r/artifacts/dir%20one/%C3%BC.txt", "hello").await.ok();
        put(&door, "0/r/artifacts/dir%20one/%C3%BC.txt", "bye").await.ok();
        put(&door, "0/r/artifacts/50%25.bin", vec![0; 10]).await.ok();
        let files = json!([{"path": "50%.bin", "is_dir": false, "file_size": 10}, {"path": "dir one", "is_dir": true}]);
        assert_eq!(listed(&door, "0/r/artifacts").await, json!({"files": files}));
        assert_eq!(listed(&door, "0/r/artifacts/dir%20one").await["files"][0]["path"], "ü.txt");
        for none in ["nowhere", "0/r/artifacts/50%25.bin"] {
            assert_eq!(listed(&door, none).await, json!({}), "{none}");
        }
        let got = door.get(&format!("{STORE}/artifacts/0/r/artifacts/dir%20one/%C3%BC.txt")).await;
        assert_eq!((&got.body[..], &got.headers["content-type"]), (&b"bye"[..], &"text/plain".parse().unwrap()));
        assert!(got.headers["content-disposition"].to_str().unwrap().starts_with("attachment"));
        door.get(&format!("{STORE}/artifacts/none")).await.refused(404, GONE, "No such artifact");
        door.get(&format!("{STORE}/artifacts/0/r")).await.refused(400, INVALID, "refers to a directory");
        put(&door, "0/r/artifacts/50%25.bin/beneath", "x").await.refused(400, INVALID, "Invalid path");
        for path in ["0/r/artifacts/dir%20one", "0/r/artifacts/50%25.bin", "0/r/never"] {
            let gone = door.call(Method::DELETE, &format!("{STORE}/artifacts/{path}"), json!({})).await;
            assert_eq!(gone.ok(), json!({}), "{path}");
        }
        assert_eq!(listed(&door, "0/r/artifacts").await, json!({}));
    })
    .await;
}

#[tokio::test]
async fn no_path_leads_out() {
    on_each_engine(async |place| {
        let door = Door::on(place).await;
        for path in [
            "../x",
            "..%2f..%2fetc%2fpasswd",
            "a/../../x",
            "%2e%2e/x",
            "%2Fetc/passwd",
            "a%5C..%5Cb",
            "%252e%252e/x",
            "a%00b",
            "a%231",
        ] {
            put(&door, path, "x").await.refused(400, INVALID, "Invalid path");
            door.get(&format!("{STORE}/artifacts/{path}")).await.refused(400, INVALID, "Invalid path");
            door.get(&format!("{STORE}/artifacts?path={path}")).await.refused(400, INVALID, "Invalid path");
        }
        let run = door.run().await;
        for path in [
            format!("artifacts/list?run_id={run}&path=../x"),
            format!("/get-artifact?run_id={run}&path=../x"),
            format!("{STORE}/presigned/..%2fx"),
        ] {
            let answer = door.get(&path).await;
            assert_eq!(answer.json()["message"], "Invalid path");
            assert_eq!(answer.status, 400);
        }
    })
    .await;
}

#[tokio::test]
async fn ranges() {
    on_each_engine(async |place| {
        let door = Door::on(place).await;
        let body: Vec<u8> = (0..1000_u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
        put(&door, "r.bin", body.clone()).await.ok();
        for (asked, part, place) in [
            ("bytes=0-9", 0..10, "bytes 0-9/1000"),
            ("bytes=990-", 990..1000, "bytes 990-999/1000"),
            ("bytes=-5", 995..1000, "bytes 995-999/1000"),
            ("bytes=998-5000", 998..1000, "bytes 998-999/1000"),
        ] {
            let got = range(&door, "r.bin", asked).await;
            assert_eq!((got.status.as_u16(), &got.body[..]), (206, &body[part]), "{asked}");
            assert_eq!(got.headers["content-range"], place);
        }
        let beyond = range(&door, "r.bin", "bytes=1000-").await;
        assert_eq!((beyond.status.as_u16(), &beyond.headers["content-range"]), (416, &"bytes */1000".parse().unwrap()));
        assert_eq!(range(&door, "r.bin", "bytes=0-1,5-6").await.body.len(), 1000, "several ranges give the whole");
    })
    .await;
}

#[tokio::test]
async fn an_upload_that_breaks_off_or_is_too_large_leaves_nothing() {
    on_each_engine(async |place| {
        let settings = opsroom::config::AgentSettings { artifact_bytes_max: 100, ..Default::default() };
        let door = Door::on_with(place, settings).await;
        put(&door, "large", vec![0; 101]).await.refused(400, INVALID, "larger than 100 bytes");
        let chunks = |broken: bool| {
            let parts = (0..20)
                .map(move |n| if broken && n == 9 { Err("gone") } else { Ok(vec![0; if broken { 1 } else { 10 }]) });
            Body::from_stream(futures::stream::iter(parts))
        };
        put(&door, "chunked", chunks(false)).await.refused(400, INVALID, "larger than 100 bytes");
        put(&door, "broken", chunks(true)).await.refused(400, INVALID, "broke off");
        assert_eq!(listed(&door, "").await, json!({}));
    })
    .await;
}

#[tokio::test]
async fn an_upload_in_parts_is_there_when_it_is_complete() {
    on_each_engine(async |place| {
        let door = Door::on(place).await;
        let wish = json!({"path": "/home/kim/large.bin", "num_parts": 2});
        let request = Request::post(format!("{STORE}/mpu/create/0/r/artifacts"))
            .header("content-type", "application/json")
            .header("host", "localhost:7")
            .header("x-forwarded-proto", "https");
        let begun = door.send(request.body(Body::from(wish.to_string())).unwrap()).await.ok();
        let upload = begun["upload_id"].as_str().unwrap();
        let urls: Vec<&str> =
            begun["credentials"].as_array().unwrap().iter().map(|c| c["url"].as_str().unwrap()).collect();
        assert_eq!(urls[1], format!("https://localhost:7{STORE}/mpu/parts/{upload}/2"));
        let mut parts = Vec::new();
        for (n, bytes) in [(1, "wrong"), (2, "world"), (1, "hello ")] {
            let sent = door.raw(Method::PUT, &format!("{STORE}/mpu/parts/{upload}/{n}"), "x/y", bytes).await;
            let etag = sent.headers["etag"].to_str().unwrap().to_owned();
            parts.retain(|p: &Value| p["part_number"] != n);
            parts.push(json!({"part_number": n, "etag": etag, "url": "any"}));
            sent.ok();
        }
        let complete = |parts: &[Value]| json!({"path": "large.bin", "upload_id": upload, "parts": parts});
        let (folder, elsewhere) = (format!("{STORE}/mpu/complete/0/r/artifacts"), format!("{STORE}/mpu/complete/0/s"));
        assert_eq!(listed(&door, "0").await, json!({}), "parts are not visible");
        assert_eq!(listed(&door, "").await, json!({}), "nor is where they are kept");
        door.get(&format!("{STORE}/artifacts/.opsroom/parts/{upload}/target")).await.refused(
            400,
            INVALID,
            "Invalid path",
        );
        door.post(&elsewhere, complete(&parts)).await.refused(400, INVALID, "another path");
        let unknown = json!({"part_number": 3, "etag": "0".repeat(32)});
        door.post(&folder, complete(&[unknown])).await.refused(400, INVALID, "has not arrived");
        door.post(&folder, complete(&parts)).await.ok();
        let got = door.get(&format!("{STORE}/artifacts/0/r/artifacts/large.bin")).await;
        assert_eq!(&got.body[..], b"hello world");
        door.post(&folder, complete(&parts)).await.refused(404, GONE, "no upload");
        let begun = door.post(&format!("{STORE}/mpu/create/0/r"), json!({"path": "x", "num_parts": 1})).await.ok();
        let abort = json!({"path": "x", "upload_id": begun["upload_id"]});
        for _ in 0..2 {
            door.post(&format!("{STORE}/mpu/abort/0/r"), abort.clone()).await.ok();
        }
        door.post(&format!("{STORE}/mpu/create/0/r"), json!({})).await.refused(400, INVALID, "'path'");
        let link = door.get(&format!("{STORE}/presigned/0/r/artifacts/large.bin")).await.ok();
        assert_eq!((&link["file_size"], &link["headers"]), (&json!(11), &json!({})));
    })
    .await;
}

#[tokio::test]
async fn beneath_a_frozen_folder_nothing_is_written() {
    on_each_engine(async |place| {
        let door = Door::on(place).await;
        put(&door, "0/r/artifacts/model/MLmodel", "a").await.ok();
        door.app.ctx().artifacts.freeze("0/r/artifacts/model", "registered as m v1").await;
        put(&door, "0/r/artifacts/model/MLmodel", "b").await.refused(
            400,
            "BAD_REQUEST",
            "are frozen: registered as m v1",
        );
        let gone = door.call(Method::DELETE, &format!("{STORE}/artifacts/0/r"), json!({})).await;
        gone.refused(400, "BAD_REQUEST", "are frozen");
        let refusal = door.post(&format!("{STORE}/mpu/create/0/r/artifacts/model"), json!({"path": "x"})).await;
        refusal.refused(400, "BAD_REQUEST", "are frozen");
        put(&door, "0/r/artifacts/other", "fine").await.ok();
    })
    .await;
}

#[tokio::test]
async fn the_artifacts_of_a_run_seen_from_the_run() {
    on_each_engine(async |place| {
        let door = Door::on(place).await;
        let run = door.run().await;
        let upload = format!("/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}");
        door.raw(Method::POST, &format!("{upload}&path=a/b.txt"), "text/plain", "hello").await.ok();
        let top = door.get(&format!("artifacts/list?run_id={run}")).await.ok();
        assert_eq!(top["root_uri"], format!("mlflow-artifacts:/0/{run}/artifacts"));
        assert_eq!(top["files"], json!([{"path": "a", "is_dir": true}]));
        let below = door.get(&format!("artifacts/list?run_uuid={run}&path=a")).await.ok();
        assert_eq!(below["files"], json!([{"path": "a/b.txt", "is_dir": false, "file_size": 5}]));
        assert_eq!(&door.get(&format!("/get-artifact?run_uuid={run}&path=a/b.txt")).await.body[..], b"hello");
        for (path, body, words) in [
            ("/ajax-api/2.0/mlflow/upload-artifact".to_owned(), "x", "Request must specify run_uuid."),
            (format!("{upload}&path="), "x", "Request must specify path."),
            (format!("{upload}&path=../t"), "x", "Invalid path"),
            (format!("{upload}&path=t"), "", "Request must specify data."),
        ] {
            door.raw(Method::POST, &path, "text/plain", body).await.refused(400, INVALID, words);
        }
        let large = door.raw(Method::POST, &format!("{upload}&path=t"), "text/plain", vec![0; (10 << 20) + 1]).await;
        large.refused(400, INVALID, "Artifact size is too large");
        let elsewhere = json!({"name": "s3", "artifact_location": "s3://bucket/x"});
        let id = door.post("experiments/create", elsewhere).await.ok()["experiment_id"].clone();
        let run = door.post("runs/create", json!({"experiment_id": id})).await.ok()["run"]["info"].clone();
        assert_eq!(run["artifact_uri"], format!("s3://bucket/x/{}/artifacts", run["run_id"].as_str().unwrap()));
        let path = format!("artifacts/list?run_id={}", run["run_id"].as_str().unwrap());
        door.get(&path).await.refused(501, "NOT_IMPLEMENTED", "not kept by this server");
    })
    .await;
}

#[tokio::test]
async fn logged_models() {
    on_each_engine(async |place| {
    let door = Door::on(place).await;
    let run = door.run().await;
    let body = json!({"experiment_id": "0", "name": "m", "model_type": "t", "source_run_id": run, "params": [{"key": "p", "value": "1"}]});
    let made = door.post("logged-models", body).await.ok()["model"].clone();
    let id = made["info"]["model_id"].as_str().unwrap();
    assert_eq!(made["info"]["artifact_uri"], format!("mlflow-artifacts:/0/models/{id}/artifacts"));
    assert_eq!(
        (&made["info"]["status"], &made["data"]["params"][0]["key"]),
        (&json!("LOGGED_MODEL_PENDING"), &json!("p"))
    );
    let path = format!("logged-models/{id}");
    let ready = json!({"model_id": id, "status": "LOGGED_MODEL_READY"});
    assert_eq!(door.call(Method::PATCH, &path, ready).await.ok()["model"]["info"]["status"], "LOGGED_MODEL_READY");
    door.call(Method::PATCH, &path, json!({"model_id": id})).await.refused(400, INVALID, "'status'");
    door.call(Method::PATCH, &format!("{path}/tags"), json!({"tags": [{"key": "a/b", "value": "v"}]})).await.ok();
    assert_eq!(door.get(&path).await.ok()["model"]["info"]["tags"], json!([{"key": "a/b", "value": "v"}]));
    door.call(Method::DELETE, &format!("{path}/tags/a%2Fb"), json!({})).await.ok();
    door.call(Method::DELETE, &format!("{path}/tags/none"), json!({})).await.refused(404, GONE, "No tag with key");
    door.post(&format!("{path}/params"), json!({"params": [{"key": "q", "value": "2"}]})).await.ok();
    let metric = |value: f64, dataset: &str| json!({"run_id": run, "key": "auc", "value": value, "timestamp": 1, "model_id": id, "dataset_name": dataset, "dataset_digest": "d"});
    door.post("runs/log-metric", metric(0.5, "x")).await.ok();
    door.post("runs/log-metric", metric(0.7, "y")).await.ok();
    let metrics = door.get(&path).await.ok()["model"]["data"]["metrics"].clone();
    assert_eq!((metrics.as_array().unwrap().len(), &metrics[0]["run_id"]), (2, &json!(run)));
    door.post("runs/outputs", json!({"run_id": run, "models": [{"model_id": id, "step": 3}]})).await.ok();
    let outputs = door.get(&format!("runs/get?run_id={run}")).await.ok()["run"]["outputs"].clone();
    assert_eq!(outputs, json!({"model_outputs": [{"model_id": id, "step": 3}]}));
    let found = async |more: Value| {
        let mut body = json!({"experiment_ids": ["0"]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        door.post("logged-models/search", body).await.ok()["models"].as_array().map_or(0, Vec::len)
    };
    let on = |name: &str| json!([{"dataset_name": name, "dataset_digest": "d"}]);
    assert_eq!(found(json!({"filter": "metrics.auc > 0.6", "datasets": on("y")})).await, 1);
    assert_eq!(found(json!({"filter": "metrics.auc > 0.6", "datasets": on("x")})).await, 0);
    assert_eq!(
        found(json!({"filter": "name = 'm' AND params.q = '2'", "order_by": [{"field_name": "metrics.auc"}]})).await,
        1
    );
    door.post("logged-models/search", json!({})).await.refused(400, INVALID, "'experiment_ids'");
    let by = json!({"experiment_ids": ["0"], "order_by": [{"field_name": "nope"}]});
    door.post("logged-models/search", by).await.refused(400, INVALID, "nope");
    put(&door, &format!("0/models/{id}/artifacts/MLmodel"), "x").await.ok();
    let listed = door.get(&format!("{path}/artifacts/directories")).await.ok();
    assert_eq!(listed["files"][0]["path"], "MLmodel");
    door.call(Method::DELETE, &path, json!({})).await.ok();
    door.get(&path).await.refused(404, GONE, "not found");
    assert_eq!(door.get(&format!("{path}?allow_deleted=true")).await.status, 200);
    door.get("logged-models/m-1").await.refused(404, GONE, "Logged model with ID 'm-1' not found.");
    door.post("logged-models", json!({"experiment_id": "0", "name": "a/b"})).await.refused(
        400,
        INVALID,
        "Invalid model name",
    );
    })
    .await;
}
