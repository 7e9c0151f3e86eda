//! MLflow's routes for experiments, runs, logging and metric histories: forms, answers, refusals.

use axum::http::Method;
use serde_json::{Value, json};

use crate::mlflow_support::Door;
use crate::stores::on_each_engine;

const INVALID: &str = "INVALID_PARAMETER_VALUE";
const GONE: &str = "RESOURCE_DOES_NOT_EXIST";
const NO_RUN: &str = "00000000000000000000000000000000";

#[tokio::test]
async fn probes_and_what_is_not_here() {
    on_each_engine(async |place| {
        let door = Door::on(place).await;
        assert_eq!(&door.get("/health").await.body[..], b"OK");
        assert_eq!(&door.get("/version").await.body[..], b"3.17.2");
        assert_eq!(door.get("/api/3.0/mlflow/server-info").await.ok()["workspaces_enabled"], false);
        for (path, status) in [
            ("/api/2.0/mlflow/webhooks", 501),
            ("/api/3.0/mlflow/datasets/search", 501),
            ("/api/3.0/mlflow/traces", 501),
            ("/ajax-api/3.0/mlflow/jobs/1", 501),
            ("/v1/traces", 501),
            ("/api/2.0/preview/mlflow/runs/get", 404),
            ("/api/9.9/x", 404),
            ("/nowhere", 404),
        ] {
            let answer = door.post(path, json!({})).await;
            assert_eq!(answer.status, status, "{path}");
            assert!(answer.json()["error_code"].is_string(), "{path}");
        }
        assert_eq!(door.get("runs/create").await.status, 405);
        assert_eq!(
            door.get("//api/2.0/mlflow//runs/get?run_id=x").await.headers["location"],
            "/api/2.0/mlflow/runs/get?run_id=x"
        );
    })
    .await;
}

#[tokio::test]
async fn experiments_live_under_both_prefixes() {
    on_each_engine(async |place| {
        let door = Door::on(place).await;
        let tags = json!([{"key": "team", "value": "ops"}]);
        let id =
            door.post("experiments/create", json!({"name": "e", "tags": tags})).await.ok()["experiment_id"].clone();
        assert_eq!(id, "1");
        door.post("experiments/create", json!({"name": "e"})).await.refused(
            400,
            "RESOURCE_ALREADY_EXISTS",
            "already exists",
        );
        let shown =
            door.get("/ajax-api/2.0/mlflow/experiments/get-by-name?experiment_name=e").await.ok()["experiment"].clone();
        assert_eq!(shown["artifact_location"], "mlflow-artifacts:/1");
        assert_eq!(shown["tags"], tags);
        assert!(shown["creation_time"].is_i64());
        door.get("experiments/get-by-name?experiment_name=none").await.refused(404, GONE, "Could not find experiment");
        door.get("experiments/get?experiment_id=99").await.refused(404, GONE, "No Experiment with id=99 exists");
        door.get("experiments/get?experiment_id=abc").await.refused(400, INVALID, "must be a valid integer");
        door.post("experiments/update", json!({"experiment_id": "1", "new_name": "f"})).await.ok();
        door.post("experiments/set-experiment-tag", json!({"experiment_id": "1", "key": "a", "value": "b"})).await.ok();
        door.post("experiments/delete-experiment-tag", json!({"experiment_id": "1", "key": "team"})).await.ok();
        let run = door.post("runs/create", json!({"experiment_id": "1"})).await.ok()["run"]["info"]["run_id"].clone();
        door.post("experiments/delete", json!({"experiment_id": "1"})).await.ok();
        door.post("experiments/delete", json!({"experiment_id": "1"})).await.refused(404, GONE, "");
        let one = door.get("experiments/get?experiment_id=1").await.ok()["experiment"].clone();
        assert_eq!((&one["lifecycle_stage"], &one["name"]), (&json!("deleted"), &json!("f")));
        let gone = door.get(&format!("runs/get?run_id={}", run.as_str().unwrap())).await.ok();
        assert_eq!(gone["run"]["info"]["lifecycle_stage"], "deleted");
        door.post("runs/create", json!({"experiment_id": "1"})).await.refused(
            400,
            INVALID,
            "must be in the 'active' state",
        );
        door.post("experiments/restore", json!({"experiment_id": "1"})).await.ok();
    })
    .await;
}

#[tokio::test]
async fn experiment_search_pages_and_views() {
    on_each_engine(async |place| {
        let door = Door::on(place).await;
        for name in ["a", "b", "c"] {
            door.post("experiments/create", json!({"name": name})).await.ok();
        }
        door.post("experiments/delete", json!({"experiment_id": "2"})).await.ok();
        let names = |page: &Value| -> Vec<String> {
            let found = page["experiments"].as_array().cloned().unwrap_or_default();
            found.iter().map(|e| e["name"].as_str().unwrap().to_owned()).collect()
        };
        let first = door.post("experiments/search", json!({"max_results": 2, "order_by": ["name"]})).await.ok();
        assert_eq!(names(&first), ["Default", "a"]);
        let token = first["next_page_token"].clone();
        let rest = json!({"max_results": 2, "order_by": ["name"], "page_token": token});
        let second = door.post("experiments/search", rest).await.ok();
        assert_eq!((names(&second), second.get("next_page_token")), (vec!["c".to_owned()], None));
        let deleted = door.get("experiments/search?max_results=9&view_type=DELETED_ONLY").await.ok();
        assert_eq!(names(&deleted), ["b"]);
        let unknown = door.post("experiments/search", json!({"max_results": 9, "view_type": "NO_SUCH"})).await.ok();
        assert_eq!(names(&unknown).len(), 3, "an unknown name of an enum counts as none");
        door.post("experiments/search", json!({})).await.refused(400, INVALID, "max_results");
        door.post("experiments/search", json!({"max_results": 50_001})).await.refused(400, INVALID, "max_results");
        let filter = json!({"max_results": 9, "filter": "foo = 1"});
        door.post("experiments/search", filter).await.refused(400, INVALID, "Invalid attribute key");
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_in_mlflows_words() {
    on_each_engine(async |place| {
        let door = Door::on(place).await;
        let run = door.run().await;
        let metric = |key: &str, value: Value| {
            let mut body = json!({"run_id": run, "key": "m", "value": 1, "timestamp": 59, "step": 26});
            body[key] = value;
            body
        };
        for (path, body, words) in [
            ("experiments/create", json!({"name": 123}), "Invalid value 123 for parameter 'name' supplied"),
            ("experiments/create", json!({}), "Missing value for required parameter 'name'."),
            (
                "experiments/create",
                json!({"name": "x", "artifact_location": 9.0}),
                "Invalid value 9.0 for parameter 'artifact_location'",
            ),
            ("experiments/create", json!({"name": "x", "tags": "5"}), "Invalid value \"5\" for parameter 'tags'"),
            ("runs/log-metric", metric("run_id", json!(31)), "Invalid value 31 for parameter 'run_id' supplied"),
            ("runs/log-metric", metric("key", json!(31)), "Invalid value 31 for parameter 'key' supplied"),
            ("runs/log-metric", metric("step", json!("foo")), "Invalid value \"foo\" for parameter 'step' supplied"),
            (
                "runs/log-metric",
                metric("timestamp", json!("foo")),
                "Invalid value \"foo\" for parameter 'timestamp' supplied",
            ),
            ("runs/log-metric", metric("timestamp", json!(-1)), "for parameter 'timestamp' supplied"),
            ("runs/log-metric", metric("run_id", Value::Null), "Missing value for required parameter 'run_id'"),
            ("runs/log-metric", metric("key", Value::Null), "Missing value for required parameter 'key'"),
            ("runs/log-metric", metric("key", json!("a!b")), "Names may only contain"),
            ("runs/log-metric", metric("key", json!("../up")), "must not resolve to other names"),
            ("runs/log-metric", metric("key", json!("k".repeat(251))), "exceeds the maximum length of 250"),
            (
                "runs/set-tag",
                json!({"run_id": run, "key": "k", "value": 41}),
                "Invalid value 41 for parameter 'value' supplied",
            ),
            (
                "runs/log-batch",
                json!({"run_id": run, "params": "foo"}),
                "Invalid value \"foo\" for parameter 'params' supplied",
            ),
            (
                "runs/log-batch",
                json!({"run_id": run, "metrics": [{"key": "m", "value": 2.5}]}),
                "Missing value for required parameter 'metrics[0].timestamp'",
            ),
            (
                "runs/log-batch",
                json!({"run_id": run, "metrics": [metric("step", json!(1)), {"key": "m", "value": "foo", "timestamp": 1}]}),
                "Invalid value \"foo\" for parameter 'metrics[1].value' supplied",
            ),
            ("runs/log-batch", json!({"run_id": run, "tags": [{"value": "v"}]}), "'tags[0].key'"),
            (
                "runs/log-batch",
                json!({"run_id": run, "params": [{"key": "d", "value": "1"}, {"key": "d", "value": "1"}]}),
                "Duplicate parameter keys have been submitted: ['d']",
            ),
            (
                "runs/log-batch",
                json!({"run_id": run, "tags": vec![json!({"key": "t", "value": ""}); 101]}),
                "at most 100 tags. Got 101 tags",
            ),
            (
                "runs/search",
                json!({"experiment_ids": ["0"], "max_results": 60_000}),
                "Invalid value 60000 for parameter 'max_results' supplied",
            ),
            (
                "runs/search",
                json!({"experiment_ids": ["0"], "max_results": 0}),
                "Invalid value 0 for parameter 'max_results' supplied",
            ),
            ("runs/search", json!({"experiment_ids": ["0"], "page_token": "not a token"}), "Invalid page token"),
            (
                "runs/search",
                json!({"experiment_ids": ["0"], "filter": "metrics.a = 'x'"}),
                "Expected numeric value type for metric",
            ),
            ("runs/log-inputs", json!({"datasets": []}), "Missing value for required parameter 'run_id'"),
            ("runs/log-model", json!({"run_id": run, "model_json": "{"}), "Malformed model info"),
            ("runs/log-model", json!({"run_id": run, "model_json": "{}"}), "missing mandatory fields"),
            ("experiments/search-datasets", json!({}), "at least one experiment_id"),
        ] {
            door.post(path, body).await.refused(400, INVALID, words);
        }
        let many: Vec<Value> = (0..1001).map(|n| json!({"key": "m", "value": n, "timestamp": 1})).collect();
        let words = "A batch logging request can contain at most 1000 metrics. Got 1001 metrics.";
        door.post("runs/log-batch", json!({"run_id": run, "metrics": many})).await.refused(400, INVALID, words);
        for body in ["{", "[1,2]", "", "\"text\"", "{\"run_id\":"] {
            let answer = door.raw(Method::POST, "runs/log-metric", "application/json", body.to_owned()).await;
            answer.refused(400, INVALID, "Missing value for required parameter");
        }
        let plain = door.raw(Method::POST, "runs/log-metric", "text/plain", "a=1").await;
        plain.refused(400, INVALID, "Content-Type must be one of ['application/json']");
        assert_eq!(door.data(&run).await["metrics"], Value::Null, "a refused call leaves nothing behind");
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_a_400() {
    on_each_engine(async |place| {
        let settings = opsroom::config::AgentSettings { body_bytes_max: 1000, ..Default::default() };
        let door = Door::on_with(place, settings).await;
        let body = json!({"run_id": NO_RUN, "key": "t", "value": "x".repeat(1000)});
        door.post("runs/set-tag", body).await.refused(400, INVALID, "larger than 1000 bytes");
    })
    .await;
}

#[tokio::test]
async fn a_run_from_begin_to_end() {
    on_each_engine(async |place| {
        let door = Door::on(place).await;
        let tags = json!([{"key": "mlflow.runName", "value": "first"}]);
        let body = json!({"experiment_id": "0", "user_id": "kim", "start_time": "17", "tags": tags});
        let run = door.post("runs/create", body).await.ok()["run"].clone();
        let id = run["info"]["run_id"].as_str().unwrap();
        assert_eq!(run["info"]["run_uuid"], id);
        assert_eq!((&run["info"]["run_name"], &run["info"]["start_time"]), (&json!("first"), &json!(17)));
        assert_eq!(run["info"]["artifact_uri"], format!("mlflow-artifacts:/0/{id}/artifacts"));
        assert_eq!((&run["info"]["status"], run["info"].get("end_time")), (&json!("RUNNING"), None));
        assert_eq!((&run["inputs"], &run["data"]["tags"]), (&json!({}), &tags));
        let end = json!({"run_uuid": id, "status": "FINISHED", "end_time": 99, "run_name": "second"});
        let info = door.post("runs/update", end).await.ok()["run_info"].clone();
        assert_eq!(
            (&info["status"], &info["end_time"], &info["run_name"]),
            (&json!("FINISHED"), &json!(99), &json!("second"))
        );
        assert_eq!(door.data(id).await["tags"][0]["value"], "second");
        door.post("runs/set-tag", json!({"run_id": id, "key": "mlflow.runName", "value": "third"})).await.ok();
        let found =
            door.post("runs/search", json!({"experiment_ids": ["0", "0"], "filter": "run_name = 'third'"})).await.ok();
        assert_eq!(found["runs"].as_array().unwrap().len(), 1);
        door.post("runs/delete-tag", json!({"run_id": id, "key": "none"})).await.refused(
            404,
            GONE,
            "No tag with name: none",
        );
        door.post("runs/delete", json!({"run_id": id})).await.ok();
        let words = format!("The run {id} must be in the 'active' state. Current state is deleted.");
        door.post("runs/set-tag", json!({"run_id": id, "key": "a", "value": "b"})).await.refused(400, INVALID, &words);
        door.post("runs/restore", json!({"run_id": id})).await.ok();
        door.post("runs/set-tag", json!({"run_uuid": id, "key": "a", "value": "b"})).await.ok();
        for path in ["runs/set-tag", "runs/delete-tag", "runs/delete", "runs/restore", "runs/update"] {
            let body = json!({"run_id": NO_RUN, "key": "a"});
            door.post(path, body).await.refused(404, GONE, &format!("Run with id={NO_RUN} not found"));
        }
        door.get("runs/get?run_id=fake").await.refused(404, GONE, "Run with id=fake not found");
        assert_eq!(door.post("runs/search", json!({"experiment_ids": []})).await.ok(), json!({}));
    })
    .await;
}

#[tokio::test]
async fn numbers_that_json_does_not_have() {
    on_each_engine(async |place| {
        let door = Door::on(place).await;
        let run = door.run().await;
        let log = async |key: &str, value: &str| {
            let body =
                format!("{{\"run_id\": \"{run}\", \"key\": \"{key}\", \"value\": {value}, \"timestamp\": \"1\"}}");
            door.raw(Method::POST, "runs/log-metric", "application/json; charset=utf-8", body).await.ok();
        };
        log("a", "NaN").await;
        log("b", "\"Infinity\"").await;
        log("c", "-Infinity").await;
        log("d", "\"1e3\"").await;
        let values: Vec<Value> =
            door.data(&run).await["metrics"].as_array().unwrap().iter().map(|m| m["value"].clone()).collect();
        assert_eq!(values, [json!("NaN"), json!("Infinity"), json!("-Infinity"), json!(1000.0)]);
        let history = door.get(&format!("metrics/get-history?run_id={run}&metric_key=a")).await.ok();
        assert_eq!(history["metrics"], json!([{"key": "a", "value": "NaN", "timestamp": 1, "step": 0}]));
    })
    .await;
}

#[tokio::test]
async fn params_do_not_change() {
    on_each_engine(async |place| {
    let door = Door::on(place).await;
    let run = door.run().await;
    let one = |value: &str| json!({"run_id": run, "key": "p", "value": value});
    door.post("runs/log-parameter", one("1")).await.ok();
    door.post("runs/log-parameter", one("1")).await.ok();
    let words = format!(
        "Changing param values is not allowed. Param with key='p' was already logged with value='1' for run ID='{run}'. Attempted logging new value '2'."
    );
    door.post("runs/log-parameter", one("2")).await.refused(400, INVALID, &words);
    let batch = json!({"run_id": run, "params": [{"key": "q", "value": "1"}, {"key": "p", "value": "3"}]});
    let words = format!(
        "Params were already logged='[{{'key': 'p', 'old_value': '1', 'new_value': '3'}}]' for run ID='{run}'."
    );
    door.post("runs/log-batch", batch).await.refused(400, INVALID, &words);
    assert_eq!(door.data(&run).await["params"], json!([{"key": "p", "value": "1"}]));
    })
    .await;
}

#[tokio::test]
async fn histories_page_and_thin() {
    on_each_engine(async |place| {
        let door = Door::on(place).await;
        let (run, other) = (door.run().await, door.run().await);
        for id in [&run, &other] {
            let points: Vec<Value> =
                (0..10).map(|n| json!({"key": "m", "value": n, "timestamp": 100 + n, "step": n})).collect();
            door.post("runs/log-batch", json!({"run_id": id, "metrics": points})).await.ok();
        }
        let steps = |answer: &Value| -> Vec<i64> {
            let list = answer["metrics"].as_array().cloned().unwrap_or_default();
            list.iter().map(|m| m["step"].as_i64().unwrap()).collect()
        };
        let path = format!("metrics/get-history?run_id={run}&metric_key=m&max_results=4");
        let first = door.get(&path).await.ok();
        assert_eq!(steps(&first), [0, 1, 2, 3]);
        let token = first["next_page_token"].as_str().unwrap().replace('=', "%3D");
        assert_eq!(steps(&door.get(&format!("{path}&page_token={token}")).await.ok()), [4, 5, 6, 7]);
        assert_eq!(door.get(&format!("metrics/get-history?run_id={NO_RUN}&metric_key=m")).await.ok(), json!({}));
        for bad in ["max_results=0", "max_results=-5", "page_token=invalid_token"] {
            let path = format!("metrics/get-history?run_id={run}&metric_key=m&{bad}");
            assert_eq!(door.get(&path).await.status, 400, "{bad}");
        }
        let bulk = "/ajax-api/2.0/mlflow/metrics/get-history-bulk";
        let answer = door.get(&format!("{bulk}?run_id={run}&run_id={other}&metric_key=m&max_results=15")).await.ok();
        assert_eq!(answer["metrics"].as_array().unwrap().len(), 15);
        assert_eq!(answer["metrics"][0]["run_id"], json!(run.clone().min(other.clone())));
        assert_eq!(door.get(&format!("{bulk}?run_id={run}&metric_key=none")).await.ok(), json!({"metrics": []}));
        door.get(&format!("{bulk}?metric_key=m")).await.refused(400, INVALID, "must specify at least one run_id");
        door.get(&format!("{bulk}?run_id=1")).await.refused(400, INVALID, "must specify a metric_key");
        let thin = format!("metrics/get-history-bulk-interval?run_ids={run}&metric_key=m");
        assert_eq!(steps(&door.get(&format!("{thin}&max_results=5")).await.ok()), [0, 2, 4, 6, 9]);
        assert_eq!(steps(&door.get(&format!("{thin}&start_step=3&end_step=5")).await.ok()), [3, 4, 5]);
        for (bad, words) in [
            ("max_results=0", "max_results must be between 1 and 2500"),
            ("start_step=1", "both must be specified"),
            ("start_step=2&end_step=1", "end_step must be greater than start_step. "),
        ] {
            door.get(&format!("{thin}&{bad}")).await.refused(400, INVALID, words);
        }
        let none = door.get("metrics/get-history-bulk-interval?metric_key=m").await;
        none.refused(400, INVALID, "Missing value for required parameter 'run_ids'.");
    })
    .await;
}

#[tokio::test]
async fn inputs_and_the_datasets_of_an_experiment() {
    on_each_engine(async |place| {
        let door = Door::on(place).await;
        let run = door.run().await;
        let dataset = json!({"name": "n", "digest": "d", "source_type": "local", "source": "s", "profile": "{}"});
        let tags = json!([{"key": "mlflow.data.context", "value": "training"}]);
        let body = json!({"run_id": run, "datasets": [{"dataset": dataset, "tags": tags}]});
        door.post("runs/log-inputs", body.clone()).await.ok();
        door.post("runs/log-inputs", body).await.ok();
        let found = door
            .post("runs/search", json!({"experiment_ids": ["0"], "filter": "dataset.context = 'training'"}))
            .await
            .ok();
        assert_eq!(found["runs"][0]["inputs"]["dataset_inputs"], json!([{"dataset": dataset, "tags": tags}]));
        let summaries =
            door.post("/ajax-api/2.0/mlflow/experiments/search-datasets", json!({"experiment_ids": ["0"]})).await.ok();
        let one = json!({"experiment_id": "0", "name": "n", "digest": "d", "context": "training"});
        assert_eq!(summaries["dataset_summaries"], json!([one]));
        let model = json!({"artifact_path": "m", "flavors": {}, "utc_time_created": "now", "run_id": run}).to_string();
        for _ in 0..2 {
            door.post("runs/log-model", json!({"run_id": run, "model_json": model})).await.ok();
        }
        let tags = door.data(&run).await["tags"].clone();
        let history = tags.as_array().unwrap().iter().find(|t| t["key"] == "mlflow.log-model.history").unwrap();
        let models: Vec<Value> = serde_json::from_str(history["value"].as_str().unwrap()).unwrap();
        assert_eq!((models.len(), &models[1]["artifact_path"]), (2, &json!("m")));
    })
    .await;
}
