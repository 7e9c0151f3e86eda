"""MLflow 3's logged models: create, finalise, tags, params, metrics by dataset, search, delete."""

import mlflow
import pytest
from conftest import unique
from mlflow.entities import LoggedModelStatus, Metric
from mlflow.exceptions import MlflowException


def test_life(client, experiment):
    run = client.create_run(experiment.experiment_id)
    made = client.create_logged_model(
        experiment.experiment_id,
        "clf",
        source_run_id=run.info.run_id,
        tags={"a": "1"},
        params={"lr": "0.1"},
        model_type="sk",
    )
    assert made.status == LoggedModelStatus.PENDING and made.model_id.startswith("m-")
    assert made.artifact_location.endswith(f"models/{made.model_id}/artifacts")
    client.finalize_logged_model(made.model_id, LoggedModelStatus.READY)
    client.set_logged_model_tags(made.model_id, {"a": "2", "b": "3"})
    client.delete_logged_model_tag(made.model_id, "b")
    client.log_model_params(made.model_id, {"depth": "3"})
    got = client.get_logged_model(made.model_id)
    assert got.status == LoggedModelStatus.READY and got.name == "clf" and got.model_type == "sk"
    assert got.tags == {"a": "2"} and got.params == {"lr": "0.1", "depth": "3"}
    assert got.source_run_id == run.info.run_id
    client.delete_logged_model(made.model_id)
    with pytest.raises(MlflowException) as error:
        client.get_logged_model(made.model_id)
    assert error.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_a_model_gets_a_name_and_refuses_a_bad_one(client, experiment):
    assert client.create_logged_model(experiment.experiment_id).name
    with pytest.raises(MlflowException):
        client.create_logged_model(experiment.experiment_id, "a/b")


@pytest.fixture
def three(client, experiment):
    run = client.create_run(experiment.experiment_id)
    for i, auc in enumerate([0.7, 0.9, 0.8]):
        model = client.create_logged_model(
            experiment.experiment_id,
            f"m{i}",
            source_run_id=run.info.run_id,
            params={"i": str(i)},
            tags={"odd": str(i % 2)},
        )
        client.log_metric(
            run.info.run_id, "auc", auc, model_id=model.model_id, step=i, dataset_name="test", dataset_digest="d1"
        )
        client.log_batch(run.info.run_id, [Metric("acc", auc / 2, 1, 0, model_id=model.model_id)])
    return experiment.experiment_id


def test_search(client, three):
    def found(filter_string=None, **kwargs):
        return [m.name for m in client.search_logged_models([three], filter_string, **kwargs)]

    best = [{"field_name": "metrics.auc", "ascending": False}]
    assert found(order_by=best) == ["m1", "m2", "m0"]
    assert set(found("metrics.auc > 0.75")) == {"m1", "m2"}
    assert found("params.i = '2'") == ["m2"]
    assert found("tags.odd = '1'") == ["m1"]
    assert found("name = 'm0'") == ["m0"]
    assert set(found("name LIKE 'm%' and metrics.acc < 0.42")) == {"m0", "m2"}
    assert set(found("metrics.auc > 0.75", datasets=[{"dataset_name": "test", "dataset_digest": "d1"}])) == {"m1", "m2"}
    assert found("metrics.auc > 0.75", datasets=[{"dataset_name": "test", "dataset_digest": "d2"}]) == []
    assert found(order_by=[{"field_name": "creation_timestamp", "ascending": True}])[0] == "m0"
    page = client.search_logged_models([three], order_by=best, max_results=2)
    rest = client.search_logged_models([three], order_by=best, max_results=2, page_token=page.token)
    assert [m.name for m in [*page, *rest]] == ["m1", "m2", "m0"]


def test_metrics_belong_to_run_and_model(client, three):
    model = client.search_logged_models([three], "name = 'm1'")[0]
    metrics = {m.key: m for m in model.metrics}
    assert metrics["auc"].value == 0.9 and metrics["auc"].dataset_name == "test"
    assert metrics["acc"].value == 0.45
    run = client.get_run(model.source_run_id)
    assert run.data.metrics["auc"] == 0.8  # the greatest step


def test_external_models_and_active_model(experiment, client):
    made = mlflow.create_external_model(name="elsewhere", tags={"where": "s3"})
    assert client.get_logged_model(made.model_id).tags["where"] == "s3"
    name = unique("active")
    with mlflow.start_run() as run:
        active = mlflow.set_active_model(name=name)
        mlflow.log_metric("x", 1, model_id=active.model_id)
    mlflow.clear_active_model()
    assert [m.key for m in client.get_logged_model(active.model_id).metrics] == ["x"]
    assert run.info.run_id
