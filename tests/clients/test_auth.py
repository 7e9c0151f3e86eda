"""Tokens, as MLflow's client sends them: Bearer and Basic. Needs OPSROOM_TOKEN."""

import mlflow
import pytest
from conftest import TOKEN, unique, within
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

pytestmark = pytest.mark.skipif(not TOKEN, reason="OPSROOM_TOKEN is not set")
NAMES = ["MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"]


@pytest.fixture
def sign_in(monkeypatch):
    def use(token=None, username=None, password=None):
        for name, value in zip(NAMES, [token, username, password]):
            monkeypatch.delenv(name, raising=False)
            if value:
                monkeypatch.setenv(name, value)
        return MlflowClient()

    return use


def test_bearer(sign_in):
    client = sign_in(token=TOKEN)
    assert client.get_experiment(client.create_experiment(unique("bearer")))


def test_basic(sign_in, tmp_path):
    client = sign_in(username="opsroom", password=TOKEN)
    experiment_id = client.create_experiment(unique("basic"))
    run = client.create_run(experiment_id)
    client.log_text(run.info.run_id, "hello", "a.txt")
    assert mlflow.artifacts.load_text(run.info.artifact_uri + "/a.txt") == "hello"


@pytest.mark.parametrize(
    "given",
    [{"token": "x" * 40}, {"username": "opsroom", "password": "y" * 40}, {"token": TOKEN[:-1] if TOKEN else "z"}],
    ids=["bearer", "basic", "cut short"],
)
def test_a_wrong_one_is_refused_at_once(sign_in, given):
    client = sign_in(**given)
    with within(2), pytest.raises(MlflowException) as error:
        client.create_experiment(unique("intruder"))
    assert (
        error.value.get_http_status_code() == 401 or "401" in str(error.value) or "UNAUTHENTICATED" in str(error.value)
    )
