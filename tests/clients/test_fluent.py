"""What runs beside a training loop: async logging, nested and parallel runs, system metrics, datasets."""

import threading
import time

import mlflow
import numpy as np
import pandas as pd
import pytest


def test_async_logging(experiment, client):
    with mlflow.start_run() as active:
        for step in range(300):
            mlflow.log_metric("loss", 1 / (step + 1), step=step, synchronous=False)
        last = mlflow.log_params({"a": 1, "b": 2}, synchronous=False)
        mlflow.set_tag("t", "x", synchronous=False)
        last.wait()
    mlflow.flush_async_logging()
    assert len(client.get_metric_history(active.info.run_id, "loss")) == 300
    data = client.get_run(active.info.run_id).data
    assert data.params == {"a": "1", "b": "2"} and data.tags["t"] == "x"


def test_async_artifacts(experiment, client):
    with mlflow.start_run() as active:
        mlflow.log_image(np.zeros((4, 4, 3), dtype=np.uint8), key="k", step=0, synchronous=False)
    mlflow.flush_artifact_async_logging()
    assert client.list_artifacts(active.info.run_id, "images")


def test_nested_runs(experiment, client):
    with mlflow.start_run(run_name="parent") as parent:
        for i in range(3):
            with mlflow.start_run(run_name=f"child-{i}", nested=True) as child:
                mlflow.log_metric("i", i)
    children = client.search_runs([experiment.experiment_id], f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    assert {r.info.run_name for r in children} == {"child-0", "child-1", "child-2"}
    assert mlflow.get_parent_run(child.info.run_id).info.run_id == parent.info.run_id


def test_many_threads_one_run(run, client):
    def work(k):
        for step in range(50):
            client.log_metric(run.info.run_id, f"m{k}", step, step=step)
            client.log_metric(run.info.run_id, "shared", k * 1000 + step, step=k * 1000 + step)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(client.get_metric_history(run.info.run_id, "shared")) == 300
    assert client.get_run(run.info.run_id).data.metrics["shared"] == 5049


@pytest.fixture
def fast_sampling():
    mlflow.set_system_metrics_sampling_interval(0.2)
    mlflow.set_system_metrics_samples_before_logging(1)
    yield
    mlflow.set_system_metrics_sampling_interval(None)
    mlflow.set_system_metrics_samples_before_logging(None)


def test_system_metrics(experiment, client, fast_sampling):
    with mlflow.start_run(log_system_metrics=True) as active:
        time.sleep(1.5)
    metrics = client.get_run(active.info.run_id).data.metrics
    assert 0 <= metrics["system/cpu_utilization_percentage"] <= 100
    assert len(client.get_metric_history(active.info.run_id, "system/system_memory_usage_megabytes")) >= 2


def test_datasets(experiment, client, tmp_path):
    frame = pd.DataFrame({"x": [1.0, 2.0], "late": [0, 1]})
    frame.to_csv(tmp_path / "f.csv", index=False)
    data = mlflow.data.from_pandas(frame, source=str(tmp_path / "f.csv"), targets="late", name="flights")
    with mlflow.start_run() as active:
        mlflow.log_input(data, context="training", tags={"split": "jan"})
        mlflow.log_input(mlflow.data.from_numpy(np.arange(6).reshape(3, 2), name="array"), context="eval")
        mlflow.log_input(data, context="training")  # again: still one input
    inputs = {i.dataset.name: i for i in client.get_run(active.info.run_id).inputs.dataset_inputs}
    assert set(inputs) == {"flights", "array"}
    logged = inputs["flights"]
    assert logged.dataset.digest == data.digest and logged.dataset.source_type == "local"
    assert "late" in logged.dataset.schema
    assert {t.key: t.value for t in logged.tags}["mlflow.data.context"] == "training"
    assert mlflow.data.get_source(logged).load()
    for filter_string in ["datasets.name = 'flights'", "dataset.context = 'eval'", f"dataset.digest = '{data.digest}'"]:
        assert len(client.search_runs([experiment.experiment_id], filter_string)) == 1
    assert client.search_runs([experiment.experiment_id], "dataset.name = 'other'") == []


def test_metric_of_a_dataset(experiment, client):
    data = mlflow.data.from_pandas(pd.DataFrame({"x": [1]}), name="holdout")
    with mlflow.start_run() as active:
        mlflow.log_metric("auc", 0.7, dataset=data)
    assert client.get_run(active.info.run_id).data.metrics == {"auc": 0.7}
