"""scikit-learn as it is used: autolog, log_model, register, alias, load."""

import mlflow
import numpy as np
import pytest
from conftest import unique
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

X, Y = make_classification(n_samples=120, n_features=4, random_state=1)
LOG = {"pip_requirements": ["scikit-learn"]}  # spares the client a slow look for imports


@pytest.fixture
def autolog(experiment):
    mlflow.sklearn.autolog(log_datasets=True, extra_tags={"by": "autolog"}, silent=True)
    yield experiment
    mlflow.sklearn.autolog(disable=True)


def test_autolog(autolog, client):
    with mlflow.start_run() as active:
        LogisticRegression(C=0.5).fit(X, Y)
    run = client.get_run(active.info.run_id)
    assert run.data.params["C"] == "0.5"
    assert 0.5 < run.data.metrics["training_accuracy_score"] <= 1
    assert run.data.tags["estimator_name"] == "LogisticRegression"
    assert {f.path for f in client.list_artifacts(run.info.run_id)} >= {
        "estimator.html",
        "training_confusion_matrix.png",
    }
    assert [tag.value for tag in run.inputs.dataset_inputs[0].tags] == ["train"]
    model_id = run.outputs.model_outputs[0].model_id
    model = mlflow.get_logged_model(model_id)
    assert model.source_run_id == run.info.run_id and str(model.status) == "READY"
    assert {m.key for m in model.metrics} >= {"training_accuracy_score"}
    assert mlflow.sklearn.load_model(f"runs:/{run.info.run_id}/model").predict(X[:3]).shape == (3,)


def test_autolog_of_a_search_makes_children(autolog, client):
    with mlflow.start_run() as active:
        GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2).fit(X, Y)
    children = client.search_runs(
        [autolog.experiment_id], f"tags.mlflow.parentRunId = '{active.info.run_id}'", order_by=["params.C"]
    )
    assert [r.data.params["C"] for r in children] == ["0.1", "1.0"]
    assert "best_C" in client.get_run(active.info.run_id).data.params


def test_log_register_alias_load(experiment, client, tmp_path):
    name, model = unique("flight-delay"), LogisticRegression().fit(X, Y)
    with mlflow.start_run() as active:
        info = mlflow.sklearn.log_model(model, name="model", registered_model_name=name, input_example=X[:2], **LOG)
    assert str(info.registered_model_version) == "1"
    version = client.get_model_version(name, "1")
    assert version.run_id == active.info.run_id and version.status == "READY"
    assert version.source == f"models:/{info.model_id}"
    client.set_registered_model_alias(name, "champion", "1")

    expected = model.predict(X)
    for uri in [
        f"models:/{name}@champion",
        f"models:/{name}/1",
        f"models:/{name}/latest",
        info.model_uri,
        f"runs:/{active.info.run_id}/model",
    ]:
        assert np.array_equal(mlflow.pyfunc.load_model(uri).predict(X), expected), uri
    got = mlflow.artifacts.download_artifacts(f"models:/{name}@champion", dst_path=str(tmp_path))
    assert mlflow.models.Model.load(got).signature is not None
    # the logged model knows where it went
    assert name in mlflow.get_logged_model(info.model_id).tags["mlflow.modelVersions"]


def test_register_model_afterwards(experiment, client):
    name = unique("later")
    with mlflow.start_run() as active:
        info = mlflow.sklearn.log_model(LogisticRegression().fit(X, Y), name="clf", **LOG)
    first = mlflow.register_model(f"runs:/{active.info.run_id}/clf", name, tags={"why": "test"})
    second = mlflow.register_model(info.model_uri, name)
    assert (str(first.version), str(second.version)) == ("1", "2")
    assert client.get_model_version(name, "1").tags == {"why": "test"}
    assert client.get_model_version(name, "2").run_id == active.info.run_id


def test_a_python_model_with_code(experiment, client):
    class Doubler(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input: list[int]) -> list[int]:
            return [2 * x for x in model_input]

    name = unique("doubler")
    with mlflow.start_run():
        mlflow.pyfunc.log_model(
            name="model", python_model=Doubler(), registered_model_name=name, pip_requirements=["mlflow"]
        )
    assert mlflow.pyfunc.load_model(f"models:/{name}/1").predict([1, 2]) == [2, 4]
