"""What scripts read back with `wandb.Api`, sweeps, and artifacts that are linked to the registry."""

import json

import mlflow
import pytest
import requests
from conftest import TOKEN, URL, opsroom_only, unique
from wandb_support import NO_KEY, all_runs, need_wandb, run_script, values

need_wandb()
pytestmark = opsroom_only


def test_runs_are_read_back(tmp_path):
    project = unique("read back")
    said = run_script(
        tmp_path,
        f"""
        import math, wandb
        for i, state in enumerate(["a", "b", "c"]):
            run = wandb.init(project={project!r}, name=state, group="g" + str(i % 2), tags=["t", state], notes="n",
                             config={{"lr": 0.1 * (i + 1), "net": {{"depth": i}}}}, reinit=True)
            for step in range(30):
                run.log({{"loss": 1 / (step + 1), "acc": step * (i + 1), "deep": {{"x": step}}}})
                if step % 10 == 0:
                    run.log({{"rare": step}}, commit=False)
            run.summary["best"] = i
            run.summary["verdict"] = "good"
            run.finish()
        api = wandb.Api()
        path = api.default_entity + "/" + {project!r}
        runs = api.runs(path)
        assert len(runs) == 3 and [r.name for r in runs] == ["a", "b", "c"], [r.name for r in runs]
        names = lambda **how: [r.name for r in api.runs(path, **how)]
        assert names(order="-created_at") == ["c", "b", "a"]
        assert names(filters={{"config.lr": {{"$gt": 0.15}}}}) == ["b", "c"]
        assert names(filters={{"$or": [{{"display_name": {{"$regex": "^a"}}}}, {{"tags": {{"$in": ["c"]}}}}]}}) == ["a", "c"]
        assert names(filters={{"group": "g0", "state": "finished"}}, order="-summary_metrics.best") == ["c", "a"]
        assert names(per_page=2) == ["a", "b", "c"]
        run = api.run(path + "/" + runs[0].id)
        assert run.state == "finished" and run.tags == ["a", "t"] and run.group == "g0" and run.notes == "n"
        assert run.config == {{"lr": 0.1, "net": {{"depth": 0}}}}, run.config
        assert run.summary["best"] == 0 and run.summary["verdict"] == "good" and run.summary["loss"] == 1 / 30
        history = run.history(pandas=False)
        assert len(history) == 30 and history[3]["loss"] == 0.25 and history[3]["_step"] == 3, history[:4]
        some = run.history(keys=["rare"], pandas=False)
        assert [row["rare"] for row in some] == [0, 10, 20], some
        assert len(run.history(samples=10, pandas=False)) == 10
        scanned = list(run.scan_history())
        assert [row["acc"] for row in scanned] == list(range(30)) and scanned[5]["deep.x"] == 5, scanned[5]
        scanned = list(run.scan_history(keys=["loss", "_step"], page_size=7))
        assert [row["loss"] for row in scanned] == [1 / (i + 1) for i in range(30)], scanned
        assert run.lastHistoryStep == 29
        files = {{f.name for f in run.files()}}
        assert {{"requirements.txt", "config.yaml"}} <= files, files
        run.file("config.yaml").download(root="down", replace=True)
        assert "depth" in open("down/config.yaml").read()
        run.config["added"] = 7
        run.tags.append("later")
        run.update()
        again = api.run(path + "/" + runs[0].id)
        assert again.config["added"] == 7 and "later" in again.tags and again.config["lr"] == 0.1, (again.config, again.tags)
        assert {project!r} in [p.name for p in api.projects()]
        try:
            api.run(path + "/nobody")
        except Exception as e:
            print("refused", type(e).__name__, e)
        """,
    )
    assert "refused" in said and "nobody" in said.split("refused")[1], said


def test_runs_of_mlflow_are_read_too(tmp_path, client, experiment):
    with mlflow.start_run(run_name="by mlflow") as run:
        mlflow.log_param("lr", "0.5")
        for step in range(5):
            mlflow.log_metric("loss", step * 2.0, step=step)
    run_script(
        tmp_path,
        f"""
        import wandb
        api = wandb.Api()
        run = api.run(api.default_entity + "/" + {experiment.name!r} + "/" + {run.info.run_id!r})
        assert run.name == "by mlflow" and run.config == {{"lr": "0.5"}} and run.summary["loss"] == 8.0
        assert [row["loss"] for row in run.scan_history()] == [0, 2, 4, 6, 8]
        """,
    )


def test_artifacts_are_read_back(tmp_path):
    project = unique("lists")
    run_script(
        tmp_path,
        f"""
        import wandb
        with wandb.init(project={project!r}) as run:
            for content in ["one", "two"]:
                art = wandb.Artifact("rows", type="dataset", metadata={{"of": content}})
                with art.new_file("a.txt") as f:
                    f.write(content)
                run.log_artifact(art, aliases=[content]).wait()
        with wandb.init(project={project!r}) as user:
            user.use_artifact("rows:one")
        api = wandb.Api()
        path = api.default_entity + "/" + {project!r}
        art = api.artifact(path + "/rows:one")
        assert art.metadata == {{"of": "one"}} and art.version == "v0"
        assert open(art.download("got") + "/a.txt").read() == "one"
        assert art.logged_by().id == run.id
        assert sorted(a.version for a in api.run(path + "/" + run.id).logged_artifacts()) == ["v0", "v1"]
        assert [a.version for a in api.run(path + "/" + user.id).used_artifacts()] == ["v0"]
        assert [a.version for a in api.artifacts("dataset", path + "/rows")] == ["v1", "v0"]
        assert api.artifact_exists(path + "/rows:two") and not api.artifact_exists(path + "/rows:three")
        """,
    )


SWEEP = """
import sys, wandb
config = {config!r}
def train():
    with wandb.init() as run:
        for i in range(3):
            run.log({{"loss": run.config["lr"] * (i + 1)}})
sweep = wandb.sweep(config, project={project!r})
print("sweep", sweep)
wandb.agent(sweep, function=train, project={project!r}, count={count})
"""


@pytest.mark.parametrize("count", [None, 2])
def test_a_grid_is_swept(tmp_path, client, count):
    project = unique("grid")
    config = {
        "method": "grid",
        "name": "all of them",
        "metric": {"name": "loss", "goal": "minimize"},
        "parameters": {"lr": {"values": [0.1, 0.2]}, "depth": {"values": [1, 2]}, "who": {"value": "kim"}},
    }
    said = run_script(tmp_path, SWEEP.format(config=config, project=project, count=count))
    sweep = next(line.split()[1] for line in said.splitlines() if line.startswith("sweep "))
    runs = all_runs(client, project)
    assert len(runs) == (count or 4)
    tried = {(r.data.params["depth"], r.data.params["lr"]) for r in runs}
    assert len(tried) == len(runs) and tried <= {(d, lr) for d in "12" for lr in ("0.1", "0.2")}
    assert {r.data.params["who"] for r in runs} == {"kim"}
    assert {r.data.tags["wandb.sweep"] for r in runs} == {sweep} and {r.info.status for r in runs} == {"FINISHED"}
    if count is None:
        run_script(
            tmp_path,
            f"""
            import wandb
            api = wandb.Api()
            sweep = api.sweep(api.default_entity + "/" + {project!r} + "/" + {sweep!r})
            assert sweep.state == "FINISHED" and len(sweep.runs) == 4, (sweep.state, len(sweep.runs))
            assert sweep.best_run().config["lr"] == 0.1
            """,
        )


def test_a_random_sweep_is_stopped_from_the_command_line(tmp_path, client):
    project = unique("random")
    config = {"method": "random", "parameters": {"lr": {"min": 0.5, "max": 1.5}}}
    said = run_script(tmp_path, SWEEP.format(config=config, project=project, count=3))
    sweep = next(line.split()[1] for line in said.splitlines() if line.startswith("sweep "))
    tried = [float(r.data.params["lr"]) for r in all_runs(client, project)]
    assert len(set(tried)) == 3 and all(0.5 <= lr <= 1.5 for lr in tried)
    from wandb_support import command

    command(tmp_path, "sweep", "--stop", f"opsroom/{project}/{sweep}")
    said = command(tmp_path, "agent", f"opsroom/{project}/{sweep}")
    assert len(all_runs(client, project)) == 3, said


EARLY = """
import time, wandb
config = {config!r}
def train():
    with wandb.init() as run:
        # The bad ones would go on for a minute.
        for i in range({{0.1: 4, 0.2: 3}}.get(run.config["lr"], 600)):
            run.log({{"loss": run.config["lr"] / (i + 1)}})
            time.sleep(0.1)
sweep = wandb.sweep(config, project={project!r})
wandb.agent(sweep, function=train, project={project!r})
"""


def test_hyperband_ends_what_is_not_among_the_best(tmp_path, client):
    project = unique("hyperband")
    config = {
        "method": "grid",
        "metric": {"name": "loss", "goal": "minimize"},
        "early_terminate": {"type": "hyperband", "min_iter": 4, "eta": 4},
        "parameters": {"lr": {"values": [0.1, 0.2, 50.0]}},
    }
    run_script(tmp_path, EARLY.format(config=config, project=project))
    runs = {r.data.params["lr"]: r for r in all_runs(client, project)}
    assert set(runs) == {"0.1", "0.2", "50"}
    assert {runs[lr].info.status for lr in ("0.1", "0.2")} == {"FINISHED"}
    ended = runs["50"]
    points = len(client.get_metric_history(ended.info.run_id, "loss"))
    assert 4 <= points < 600, points
    assert "is not among the best 1 of 2 runs" in ended.data.tags["opsroom.ended_early"], ended.data.tags
    assert ended.info.status == "FAILED"


def test_what_cannot_be_swept_is_said(tmp_path):
    config = {"method": "bayes", "metric": {"name": "loss"}, "parameters": {"lr": {"min": 0.1, "max": 1.0}}}
    said = run_script(tmp_path, SWEEP.format(config=config, project=unique("bayes"), count=1), code=1)
    assert "bayes" in said and "random" in said, said


@pytest.mark.parametrize("registry", ["wandb-registry-model", "model-registry"])
def test_linked_artifacts_are_versions_of_registered_models(tmp_path, client, rest, registry):
    project, model = unique("linked"), unique("net")
    run_script(
        tmp_path,
        f"""
        import wandb
        with wandb.init(project={project!r}, name="maker") as run:
            data = wandb.Artifact("rows", type="dataset")
            with data.new_file("rows.csv") as f:
                f.write("a\\n1\\n")
            run.log_artifact(data).wait()
        for content in ["one", "two"]:
            with wandb.init(project={project!r}, name="trainer " + content) as run:
                run.use_artifact("rows:latest")
                art = wandb.Artifact("weights", type="model", description="of " + content)
                with art.new_file("model.txt") as f:
                    f.write(content)
                run.log_artifact(art)
                linked = run.link_artifact(art, {registry!r} + "/" + {model!r}, aliases=["champion"])
                assert linked.name.startswith({model!r}), linked.name
                run.link_artifact(art, {registry!r} + "/" + {model!r})
        with wandb.init(project={project!r}, name="user") as run:
            art = run.use_artifact("opsroom/" + {registry!r} + "/" + {model!r} + ":champion")
            assert open(art.download("got") + "/model.txt").read() == "two"
        """,
    )
    versions = client.search_model_versions(f"name = '{model}'")
    assert sorted(int(v.version) for v in versions) == [1, 2], "linked twice is registered once"
    assert client.get_model_version_by_alias(model, "champion").version == "2"
    found = requests.get(f"{URL}/api/v1/models/{model}", timeout=20, auth=("api", TOKEN or NO_KEY))
    view = found.json() if found.status_code == 200 else rest("GET", f"/api/v1/models/{model}").json()
    newest = max(view["versions"], key=lambda v: v["version"])
    assert newest["artifact"]["files"] == 1 and newest["artifact"]["digest"].startswith("blake3:")
    assert [d["name"] for d in newest["datasets"]] == ["rows"], "lineage"
    assert newest["tags"]["wandb.artifact"] == "weights:v1" and newest["description"] == "of two"
    by_name = {r.info.run_name: r for r in all_runs(client, project)}
    assert newest["run_id"] == by_name["trainer two"].info.run_id
    with open(mlflow.artifacts.download_artifacts(f"models:/{model}/1", dst_path=str(tmp_path / "m")) + "/model.txt") as f:
        assert f.read() == "one"
    assert json.dumps(view).count("wandb.artifact_id") == 2


def test_an_artifact_is_linked_to_registries_only(tmp_path):
    project = unique("nowhere")
    said = run_script(
        tmp_path,
        f"""
        import wandb
        with wandb.init(project={project!r}) as run:
            art = wandb.Artifact("weights", type="model")
            with art.new_file("model.txt") as f:
                f.write("x")
            run.log_artifact(art).wait()
            run.link_artifact(art, "portfolio")
        """,
        code=1,
    )
    assert "no registry" in said and "wandb-registry-model" in said, said
