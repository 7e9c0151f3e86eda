"""The script everyone starts with: params, metrics, tags, history, and the life of runs and experiments."""

import math
import time

import mlflow
import pytest
from conftest import unique
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException


def test_fluent_script(experiment, client):
    with mlflow.start_run(run_name="first", tags={"team": "flights"}, description="a note") as active:
        mlflow.log_param("lr", 0.01)
        mlflow.log_params({"depth": 3, "empty": ""})
        mlflow.log_metric("loss", 0.5)
        mlflow.log_metrics({"acc": 0.75, "f1": 0.5}, step=2)
        mlflow.set_tags({"stage": "try", "unicode": "naïve – 模型 🚀"})
    run = client.get_run(active.info.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "first"
    assert run.info.end_time >= run.info.start_time > 0
    assert run.info.artifact_uri.endswith(f"/{run.info.run_id}/artifacts")
    assert run.data.params == {"lr": "0.01", "depth": "3", "empty": ""}
    assert run.data.metrics == {"loss": 0.5, "acc": 0.75, "f1": 0.5}
    assert run.data.tags["unicode"] == "naïve – 模型 🚀"
    assert run.data.tags["mlflow.runName"] == "first"
    assert run.data.tags["mlflow.note.content"] == "a note"


def test_a_run_without_a_name_is_given_one(experiment, client):
    run = client.create_run(experiment.experiment_id)
    assert run.info.run_name
    assert client.get_run(run.info.run_id).data.tags["mlflow.runName"] == run.info.run_name


def test_not_a_number_and_infinities(run, client):
    for key, value in {"nan": math.nan, "up": math.inf, "down": -math.inf, "tiny": 5e-324}.items():
        client.log_metric(run.info.run_id, key, value)
    metrics = client.get_run(run.info.run_id).data.metrics
    assert math.isnan(metrics["nan"])
    assert metrics["up"] >= 1.797e308 and metrics["down"] <= -1.797e308
    assert metrics["tiny"] == 5e-324
    assert math.isnan(client.get_metric_history(run.info.run_id, "nan")[0].value)


def test_every_bit_of_a_float_survives(run, client):
    values = [0.1 + 0.2, 1 / 3, 1e-300, 123456789.123456789, -0.0, 2.0**53 + 2]
    client.log_batch(run.info.run_id, [Metric("x", v, 1000 + i, i) for i, v in enumerate(values)])
    assert [m.value for m in client.get_metric_history(run.info.run_id, "x")] == values


def test_history_keeps_every_point_and_latest_is_the_greatest_step(run, client):
    points = [(0.3, 30, 2), (0.1, 10, 0), (0.9, 5, 7), (0.2, 20, 1), (0.0, 99, -4)]
    for value, at, step in points:
        client.log_metric(run.info.run_id, "loss", value, timestamp=at, step=step)
    client.log_metric(run.info.run_id, "loss", 0.2, timestamp=20, step=1)  # the same point again is one point
    history = client.get_metric_history(run.info.run_id, "loss")
    assert {(m.value, m.timestamp, m.step) for m in history} == set(points)
    assert len(history) == len(points)
    assert client.get_run(run.info.run_id).data.metrics["loss"] == 0.9


def test_long_history_in_batches(run, client, rest):
    run_id = run.info.run_id
    for base in range(0, 5000, 1000):
        client.log_batch(run_id, [Metric("loss", 1 / (i + 1), 1_000_000 + i, i) for i in range(base, base + 1000)])
    history = client.get_metric_history(run_id, "loss")
    assert [m.step for m in history] == list(range(5000))
    # pages of the raw call
    seen, token = [], None
    while True:
        page = rest(
            "GET",
            "metrics/get-history",
            params={"run_id": run_id, "metric_key": "loss", "max_results": 1700, "page_token": token},
        ).json()
        seen += [m["step"] for m in page["metrics"]]
        token = page.get("next_page_token")
        if not token:
            break
    assert seen == list(range(5000))
    # thinned, as a chart asks for it
    thin = rest(
        "GET", "metrics/get-history-bulk-interval", params={"run_ids": run_id, "metric_key": "loss", "max_results": 320}
    ).json()["metrics"]
    assert 300 <= len(thin) <= 325
    assert thin[0]["step"] == 0 and thin[-1]["step"] == 4999
    bulk = rest(
        "GET", "/ajax-api/2.0/mlflow/metrics/get-history-bulk", params={"run_id": run_id, "metric_key": "loss"}
    ).json()["metrics"]
    assert len(bulk) == 5000 and bulk[0]["run_id"] == run_id


def test_batch_of_everything(run, client):
    now = int(time.time() * 1000)
    client.log_batch(
        run.info.run_id,
        metrics=[Metric(f"m/{i}", i * 0.5, now, 0) for i in range(500)],
        params=[Param(f"p {i}", f"value {i}") for i in range(100)],
        tags=[RunTag(f"t.{i}", str(i)) for i in range(100)],
    )
    data = client.get_run(run.info.run_id).data
    assert len(data.metrics) == 500 and data.metrics["m/7"] == 3.5
    assert len(data.params) == 100 and data.params["p 99"] == "value 99"
    assert data.tags["t.42"] == "42"


def test_log_batch_synchronous_wrapper_splits_large_sets(experiment, client):
    with mlflow.start_run() as active:
        mlflow.log_metrics({f"k{i}": float(i) for i in range(1500)})
        mlflow.log_params({f"p{i}": i for i in range(150)})
    data = client.get_run(active.info.run_id).data
    assert len(data.metrics) == 1500 and len(data.params) == 150


def test_tags_are_overwritten_and_deleted(run, client):
    run_id = run.info.run_id
    client.set_tag(run_id, "k", "1")
    client.set_tag(run_id, "k", "2")
    assert client.get_run(run_id).data.tags["k"] == "2"
    client.delete_tag(run_id, "k")
    assert "k" not in client.get_run(run_id).data.tags
    with pytest.raises(MlflowException, match="k"):
        client.delete_tag(run_id, "k")


def test_rename_resume_fail(experiment, client):
    with pytest.raises(ZeroDivisionError):
        with mlflow.start_run() as active:
            1 / 0
    run_id = active.info.run_id
    assert client.get_run(run_id).info.status == "FAILED"
    with mlflow.start_run(run_id=run_id):
        assert client.get_run(run_id).info.status == "RUNNING"
        mlflow.log_metric("more", 1)
    client.update_run(run_id, name="renamed")
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED" and run.info.run_name == "renamed"
    assert run.data.tags["mlflow.runName"] == "renamed"
    client.set_tag(run_id, "mlflow.runName", "by tag")
    assert client.get_run(run_id).info.run_name == "by tag"


def test_delete_and_restore_a_run(run, client, experiment):
    client.delete_run(run.info.run_id)
    assert client.get_run(run.info.run_id).info.lifecycle_stage == "deleted"
    assert client.search_runs([experiment.experiment_id]) == []
    assert len(client.search_runs([experiment.experiment_id], run_view_type=ViewType.DELETED_ONLY)) == 1
    with pytest.raises(MlflowException, match="active"):
        client.log_metric(run.info.run_id, "x", 1)
    client.restore_run(run.info.run_id)
    assert len(client.search_runs([experiment.experiment_id])) == 1


def test_life_of_an_experiment(client):
    name = unique("life")
    experiment_id = client.create_experiment(name, tags={"owner": "ops"})
    run = client.create_run(experiment_id)
    made = client.get_experiment(experiment_id)
    assert made.name == name and made.tags == {"owner": "ops"} and made.creation_time > 0
    assert client.get_experiment_by_name(name).experiment_id == experiment_id
    assert client.get_experiment_by_name(unique("missing")) is None
    client.set_experiment_tag(experiment_id, "owner", "ml")
    client.set_experiment_tag(experiment_id, "extra", "1")
    client.delete_experiment_tag(experiment_id, "extra")
    client.rename_experiment(experiment_id, name + "-2")
    client.delete_experiment(experiment_id)
    assert client.get_experiment(experiment_id).lifecycle_stage == "deleted"
    assert client.get_run(run.info.run_id).info.lifecycle_stage == "deleted"
    with pytest.raises(MlflowException):
        client.create_run(experiment_id)
    with pytest.raises(MlflowException):
        client.create_experiment(name + "-2")  # a deleted one keeps its name
    client.restore_experiment(experiment_id)
    back = client.get_experiment(experiment_id)
    assert back.lifecycle_stage == "active" and back.name == name + "-2" and back.tags == {"owner": "ml"}
    assert client.get_run(run.info.run_id).info.lifecycle_stage == "active"


def test_the_default_experiment_is_there(client):
    assert client.get_experiment("0").name == "Default"
