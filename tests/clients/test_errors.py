"""Errors in MLflow's own form, at once: a permanent refusal must never start the client's retries."""

import time

import mlflow
import pytest
from conftest import opsroom_only, unique, within
from mlflow.exceptions import MlflowException
from mlflow.utils.rest_utils import http_request

NONE = "0" * 32


def refused(code, words=""):
    """A context: the client raises this error code, with these words, within two seconds."""

    class Refused:
        def __enter__(self):
            self.start, self.raises = time.monotonic(), pytest.raises(MlflowException)
            self.info = self.raises.__enter__()

        def __exit__(self, *exc):
            done = self.raises.__exit__(*exc)
            assert time.monotonic() - self.start < 2, "the client retried"
            assert self.info.value.error_code == code
            assert words in str(self.info.value)
            return done

    return Refused()


def test_a_param_does_not_change(run, client):
    run_id = run.info.run_id
    client.log_param(run_id, "p", 1)
    client.log_param(run_id, "p", 1)
    with refused("INVALID_PARAMETER_VALUE", "Changing param values is not allowed"):
        client.log_param(run_id, "p", 2)
    with mlflow.start_run(run_id=run_id), refused("INVALID_PARAMETER_VALUE", "Changing param values is not allowed"):
        mlflow.log_params({"q": 1, "p": 3})
    params = client.get_run(run_id).data.params
    assert params["p"] == "1"


def test_unknown_things(client, experiment):
    missing = "RESOURCE_DOES_NOT_EXIST"
    with refused(missing, "not found"):
        client.get_run(NONE)
    with refused(missing):
        client.log_metric(NONE, "x", 1)
    with refused(missing):
        client.log_param(NONE, "x", 1)
    with refused(missing):
        client.delete_run(NONE)
    with refused(missing):
        client.get_experiment("999999999")
    with refused(missing):
        client.create_run("999999999")
    with refused(missing):
        client.get_registered_model(unique("none"))
    with refused(missing):
        client.get_model_version(unique("none"), "1")
    with refused(missing):
        client.get_logged_model("m-" + NONE)
    with refused(missing):
        client.set_registered_model_alias(unique("none"), "a", "1")
    assert client.get_metric_history(NONE, "x") == []


def test_names_and_sizes(run, rest):
    run_id, now = run.info.run_id, 1000

    def bad(path, body, words="", status=400):
        with within(2):
            answer = rest("POST", path, body)
        assert answer.status_code == status, answer.text
        assert answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"
        assert words in answer.json()["message"], answer.json()["message"]

    metric = {"run_id": run_id, "key": "m", "value": 1, "timestamp": now, "step": 0}
    bad("runs/log-metric", {**metric, "key": "k" * 251}, "exceeds the maximum length of 250")
    bad("runs/log-metric", {**metric, "key": "../up"})
    bad("runs/log-metric", {**metric, "key": "/abs"})
    bad("runs/log-metric", {**metric, "key": "a!b"})
    bad("runs/log-metric", {**metric, "timestamp": "soon"}, "timestamp")
    bad("runs/log-metric", {**metric, "step": "one"}, "step")
    bad(
        "runs/log-metric",
        {"run_id": run_id, "value": 1, "timestamp": now},
        "Missing value for required parameter 'key'",
    )
    bad("runs/log-parameter", {"run_id": run_id, "key": 31, "value": "x"}, "Invalid value 31 for parameter 'key'")
    bad("runs/log-batch", {"run_id": run_id, "metrics": [metric | {"run_id": None} for _ in range(1001)]}, "1000")
    bad(
        "runs/log-batch",
        {"run_id": run_id, "params": [{"key": f"p{i}", "value": "x"} for i in range(101)]},
        "100 params",
    )
    bad("runs/log-batch", {"run_id": run_id, "tags": [{"key": f"t{i}", "value": "x"} for i in range(101)]}, "100 tags")
    bad(
        "runs/log-batch",
        {"run_id": run_id, "params": [{"key": "d", "value": "1"}, {"key": "d", "value": "2"}]},
        "Duplicate parameter keys",
    )
    bad("runs/search", {"experiment_ids": ["0"], "max_results": 60000}, "max_results")
    bad("runs/search", {"experiment_ids": ["0"], "page_token": "not a token"})
    bad("experiments/create", {}, "Missing value for required parameter 'name'")
    bad("experiments/create", {"name": ""})
    bad("experiments/create", {"name": "x" * 501})
    bad("registered-models/create", {"name": "a/b"})
    data = rest("GET", "runs/get", params={"run_id": run_id}).json()["run"].get("data", {})
    assert not data.get("metrics") and not data.get("params"), "a refused call left something behind"


def test_long_values_are_cut_not_refused(run, client):
    client.log_param(run.info.run_id, "long", "x" * 7000)
    client.set_tag(run.info.run_id, "long", "y" * 9000)
    data = client.get_run(run.info.run_id).data
    assert len(data.params["long"]) == 6000 and len(data.tags["long"]) == 8000


@opsroom_only  # MLflow's own server falls over some of these with 500, and a client would retry
def test_broken_bodies(run, rest):
    for body in [b"{", b"[1,2]", b"\xff\xfe", b"", b'"text"', b'{"run_id":' * 2000]:
        with within(2):
            answer = rest("POST", "runs/log-metric", data=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400, (body[:20], answer.status_code)
        assert answer.json()["error_code"]
    assert rest("POST", "runs/log-metric", data=b"a=1", headers={"Content-Type": "text/plain"}).status_code == 400


def test_an_error_is_json_in_mlflows_form(rest):
    answer = rest("GET", "runs/get", params={"run_id": NONE})
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("application/json")
    assert set(answer.json()) >= {"error_code", "message"}


@pytest.mark.parametrize("path", ["/api/2.0/mlflow/no/such/route", "/api/2.0/preview/mlflow/runs/get", "/api/9.9/x"])
def test_an_unknown_route_is_answered_at_once(path):
    with within(2):
        answer = http_request(
            mlflow.utils.credentials.get_default_host_creds(mlflow.get_tracking_uri()), path, "POST", json={}
        )
    assert answer.status_code in (404, 501)


@opsroom_only
def test_what_is_not_offered_is_refused_at_once(client):
    """Webhooks, evaluation datasets, gateway: 404 or 501 in one answer, never 500 or 503."""
    for call in [
        client.list_webhooks,
        lambda: mlflow.genai.datasets.search_datasets(max_results=1),
        lambda: client.delete_webhook("w"),
    ]:
        with within(2), pytest.raises(MlflowException):
            call()


def test_wrong_method(rest):
    assert rest("GET", "runs/create").status_code in (404, 405)


def test_the_probes_a_client_makes(rest):
    health = rest("GET", "/health")
    assert health.status_code == 200 and health.text == "OK"
    version = rest("GET", "/version").text.strip()
    assert int(version.split(".")[0]) >= 3
    info = rest("GET", "/api/3.0/mlflow/server-info")
    assert info.status_code == 200 and info.json()["workspaces_enabled"] is False


def test_foreign_hosts_and_origins_are_refused(rest):
    assert (
        rest("GET", "experiments/get", params={"experiment_id": "0"}, headers={"Host": "evil.example"}).status_code
        == 403
    )
    answer = rest("POST", "experiments/create", {"name": unique("csrf")}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert rest("GET", "/health", headers={"Host": "evil.example"}).status_code == 200
    fine = rest("POST", "experiments/create", {"name": unique("local")}, headers={"Origin": "http://localhost:3000"})
    assert fine.status_code == 200
