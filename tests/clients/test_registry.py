"""The model registry: versions, stages, aliases, tags, search, delete."""

import mlflow
import pytest
from conftest import unique
from mlflow.exceptions import MlflowException, RestException


@pytest.fixture
def model(client, experiment):
    """A registered model with three versions of one run's artifact folder."""
    name = unique("reg")
    client.create_registered_model(name, tags={"team": "ops"}, description="about it")
    run = client.create_run(experiment.experiment_id)
    client.log_text(run.info.run_id, "weights", "m/w.txt")
    for i in range(3):
        client.create_model_version(
            name, f"{run.info.artifact_uri}/m", run.info.run_id, tags={"n": str(i + 1)}, description=f"v{i + 1}"
        )
    return name


def stages(client, name):
    return {str(v.version): v.current_stage for v in client.search_model_versions(f"name = '{name}'")}


def test_life_of_a_model(client, model):
    got = client.get_registered_model(model)
    assert got.description == "about it" and got.tags == {"team": "ops"}
    assert [str(v.version) for v in got.latest_versions] == ["3"]
    client.update_registered_model(model, description="new")
    client.set_registered_model_tag(model, "a", "b")
    client.delete_registered_model_tag(model, "team")
    got = client.get_registered_model(model)
    assert got.description == "new" and got.tags == {"a": "b"}
    assert got.last_updated_timestamp >= got.creation_timestamp
    with pytest.raises(RestException) as error:
        client.create_registered_model(model)
    assert error.value.error_code == "RESOURCE_ALREADY_EXISTS"
    client.rename_registered_model(model, model + "-2")
    assert client.get_model_version(model + "-2", "1").name == model + "-2"
    with pytest.raises(RestException):
        client.get_registered_model(model)
    client.delete_registered_model(model + "-2")
    with pytest.raises(RestException) as error:
        client.get_registered_model(model + "-2")
    assert error.value.error_code == "RESOURCE_DOES_NOT_EXIST"


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_stages(client, model):
    assert stages(client, model) == {"1": "None", "2": "None", "3": "None"}
    client.transition_model_version_stage(model, "1", "Staging")
    assert client.transition_model_version_stage(model, "1", "production").current_stage == "Production"
    client.transition_model_version_stage(model, "2", "Production", archive_existing_versions=True)
    assert stages(client, model) == {"1": "Archived", "2": "Production", "3": "None"}
    latest = {v.current_stage: str(v.version) for v in client.get_latest_versions(model)}
    assert latest == {"None": "3", "Archived": "1", "Production": "2"}
    assert [str(v.version) for v in client.get_latest_versions(model, ["production"])] == ["2"]
    client.transition_model_version_stage(model, "2", "Archived")
    with pytest.raises(MlflowException, match="(?i)stage"):
        client.transition_model_version_stage(model, "2", "Nowhere")
    assert stages(client, model)["2"] == "Archived"


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_load_by_stage(client, model, tmp_path):
    client.transition_model_version_stage(model, "2", "Production")
    got = mlflow.artifacts.download_artifacts(f"models:/{model}/Production", dst_path=str(tmp_path))
    assert open(f"{got}/w.txt").read() == "weights"


def test_aliases(client, model):
    client.set_registered_model_alias(model, "champion", "1")
    client.set_registered_model_alias(model, "challenger", "2")
    client.set_registered_model_alias(model, "champion", "3")
    assert str(client.get_model_version_by_alias(model, "champion").version) == "3"
    assert {k: str(v) for k, v in client.get_registered_model(model).aliases.items()} == {
        "champion": "3",
        "challenger": "2",
    }
    assert client.get_model_version(model, "3").aliases == ["champion"]
    assert client.get_model_version(model, "1").aliases == []
    client.delete_registered_model_alias(model, "challenger")
    client.delete_registered_model_alias(model, "never-was")
    with pytest.raises(RestException, match="alias challenger not found"):
        client.get_model_version_by_alias(model, "challenger")
    for bad in ["v1", "latest", "a b", "", "x" * 256]:
        with pytest.raises(MlflowException):
            client.set_registered_model_alias(model, bad, "1")
    client.delete_model_version(model, "3")
    assert client.get_registered_model(model).aliases == {}


def test_versions(client, model):
    client.update_model_version(model, "1", description="changed")
    client.set_model_version_tag(model, "1", "opsroom.reason", "looks right")
    client.delete_model_version_tag(model, "1", "n")
    version = client.get_model_version(model, "1")
    assert version.description == "changed" and version.tags == {"opsroom.reason": "looks right"}
    assert client.get_model_version_download_uri(model, "1") == version.source
    client.delete_model_version(model, "3")
    with pytest.raises(RestException):
        client.get_model_version(model, "3")
    again = client.create_model_version(model, version.source, version.run_id)
    assert str(again.version) == "4", "a number is never used twice"


def test_search(client, model):
    run_id = client.get_model_version(model, "1").run_id

    def found(filter_string, **kwargs):
        return [str(v.version) for v in client.search_model_versions(filter_string, **kwargs)]

    assert found(f"name = '{model}'", order_by=["version_number ASC"]) == ["1", "2", "3"]
    assert sorted(found(f"run_id = '{run_id}'")) == ["1", "2", "3"]
    assert found(f"name = '{model}' and tags.n = '2'") == ["2"]
    assert found(f"name = '{model}' and version_number > 2") == ["3"]
    assert found(f"name LIKE '{model[:-1]}%' and tags.n != '2'", order_by=["version_number DESC"]) == ["3", "1"]
    page = client.search_model_versions(f"name = '{model}'", max_results=2, order_by=["version_number"])
    rest = client.search_model_versions(
        f"name = '{model}'", max_results=2, order_by=["version_number"], page_token=page.token
    )
    assert [str(v.version) for v in [*page, *rest]] == ["1", "2", "3"]

    assert [m.name for m in client.search_registered_models(f"name = '{model}'")] == [model]
    assert [m.name for m in client.search_registered_models(f"name ILIKE '{model.upper()}' and tags.team = 'ops'")] == [
        model
    ]
    assert client.search_registered_models(f"name = '{model}' and tags.team = 'other'") == []


def test_prompts_hide_among_models_unless_asked_for(client):
    name = unique("greeting")
    mlflow.genai.register_prompt(name=name, template="Say hello to {{who}}")
    assert mlflow.genai.load_prompt(f"prompts:/{name}/1").format(who="you") == "Say hello to you"
    assert client.search_registered_models(f"name = '{name}'") == []
    assert [p.name for p in mlflow.genai.search_prompts(f"name = '{name}'")] == [name]
