"""A promotion that gates refuse: the client is told once, clearly, and does not retry."""

import time

import pytest
from conftest import TOKEN, URL, opsroom_only, unique
from mlflow.exceptions import RestException
import requests

pytestmark = opsroom_only


def command(body, reason="tests"):
    headers = {"authorization": f"Bearer {TOKEN}"} if TOKEN else {}
    answer = requests.post(f"{URL}/api/v1/commands", json={"command": body, "reason": reason}, headers=headers, timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
def gated(client, experiment):
    """A model with two versions, and a gate before prod that asks for one approval."""
    name = unique("gated")
    client.create_registered_model(name)
    run = client.create_run(experiment.experiment_id)
    client.log_text(run.info.run_id, "weights", "m/w.txt")
    for _ in range(2):
        client.create_model_version(name, f"{run.info.artifact_uri}/m", run.info.run_id)
    gate = {"name": "second-look", "model": name, "stage": "prod", "kind": "approvals", "approvals": 1}
    command({"room": "gates", "do": "set-gates", "model": name, "stage": "prod", "gates": [gate]})
    return name


@pytest.mark.skipif(not TOKEN, reason="setting gates needs a token")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_promotion_is_refused_and_not_retried(client, gated):
    for refused in (
        lambda: client.transition_model_version_stage(gated, "1", "Production"),
        lambda: client.set_registered_model_alias(gated, "champion", "1"),
    ):
        began = time.monotonic()
        with pytest.raises(RestException) as error:
            refused()
        assert time.monotonic() - began < 5, "the client retried"
        assert error.value.error_code == "BAD_REQUEST"
        assert "may not go to prod" in str(error.value) and "second-look" in str(error.value)
    assert client.get_model_version(gated, "1").current_stage == "None"
    assert client.get_registered_model(gated).aliases == {}
    # Other stages and aliases are free.
    assert client.transition_model_version_stage(gated, "1", "Staging").current_stage == "Staging"
    client.set_registered_model_alias(gated, "challenger", "1")
    # A waiver makes way, for the version that it names and for no other.
    waiver = {"room": "gates", "do": "waive-gate", "model": gated, "version": 1, "gate": "second-look"}
    command(waiver | {"until": "2099-01-01T00:00:00Z"}, reason="nobody is there")
    assert client.transition_model_version_stage(gated, "1", "Production").current_stage == "Production"
    with pytest.raises(RestException):
        client.transition_model_version_stage(gated, "2", "Production")
