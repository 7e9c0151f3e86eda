"""Artifacts, tables, images and alerts of unmodified W&B scripts; scripts that go on, stop, share a run, or were offline."""

import json

import mlflow
import requests
from conftest import TOKEN, URL, opsroom_only, unique
from wandb_support import NO_KEY, all_runs, command, ended, files, need_wandb, only_run, run_script, start, values

need_wandb()
pytestmark = opsroom_only


def text_of(run, path):
    return mlflow.artifacts.load_text(f"{run.info.artifact_uri}/{path}")


def test_artifacts_are_logged_used_and_come_back_whole(tmp_path, client):
    project = unique("artifacts")
    said = run_script(
        tmp_path,
        f"""
        import os, wandb
        os.makedirs("data/deep")
        open("data/a.txt", "w").write("one")
        open("data/deep/b ü.bin", "wb").write(os.urandom(100_000))
        with wandb.init(project={project!r}, name="maker") as run:
            first = wandb.Artifact("raw", type="dataset", description="rows", metadata={{"rows": 3}})
            first.add_dir("data")
            run.log_artifact(first).wait()
            assert first.version == "v0" and "latest" in first.aliases
            same = wandb.Artifact("raw", type="dataset")
            same.add_dir("data")
            run.log_artifact(same, aliases=["checked"]).wait()
            assert same.version == "v0", "the same content is the same version"
            open("data/a.txt", "w").write("two")
            second = wandb.Artifact("raw", type="dataset")
            second.add_dir("data")
            second.add_reference("https://example.org/elsewhere.csv", "far", checksum=False)
            run.log_artifact(second, aliases=["best"]).wait()
            assert second.version == "v1"
        with wandb.init(project={project!r}, name="user") as run:
            for name, content in [("raw:v0", "one"), ("raw:checked", "one"), ("raw:latest", "two"), ("raw:best", "two")]:
                used = run.use_artifact(name)
                folder = used.download(root="got-" + name.replace(":", "-"), skip_cache=True, allow_missing_references=True)
                assert open(folder + "/a.txt").read() == content, name
                got, there = open(folder + "/deep/b ü.bin", "rb").read(), open("data/deep/b ü.bin", "rb").read()
                assert got == there
            assert run.use_artifact("raw:v0").metadata == {{"rows": 3}} and used.type == "dataset"
            try:
                run.use_artifact("raw:v7")
            except Exception as e:
                print("refused:", type(e).__name__)
        """,
    )
    assert "refused:" in said
    maker, user = all_runs(client, project)
    assert {"dataset/raw/v0/a.txt", "dataset/raw/v0/deep/b ü.bin", "dataset/raw/v1/a.txt"} <= set(files(client, maker))
    inputs = {i.dataset.name: json.loads(i.dataset.source) for i in user.inputs.dataset_inputs}
    assert inputs["raw"]["artifact"] in ("raw:v0", "raw:v1")


def test_a_model_of_a_script_is_registered_with_its_lineage(tmp_path, client):
    project, name = unique("models"), unique("net")
    run_script(
        tmp_path,
        f"""
        import wandb
        open("weights.bin", "wb").write(b"w" * 1000)
        with wandb.init(project={project!r}) as run:
            run.log({{"auc": 0.9}})
            model = wandb.Artifact("net", type="model")
            model.add_file("weights.bin")
            run.log_artifact(model, aliases=["candidate"])
        """,
    )
    run = only_run(client, project)
    logged = client.search_logged_models([run.info.experiment_id])
    assert [(m.name, m.source_run_id) for m in logged] == [("net", run.info.run_id)]
    client.create_registered_model(name)
    for source in [f"runs:/{run.info.run_id}/model/net/v0", f"models:/{logged[0].model_id}"]:
        version = client.create_model_version(name, source, run_id=run.info.run_id)
        assert version.run_id == run.info.run_id
    assert mlflow.artifacts.load_text(f"models:/{name}/1/weights.bin") == "w" * 1000


def test_tables_images_and_histograms_are_artifacts(tmp_path, client):
    project = unique("media")
    run_script(
        tmp_path,
        f"""
        import numpy, wandb
        with wandb.init(project={project!r}) as run:
            run.log({{
                "hist": wandb.Histogram(np_histogram=([1, 2], [0, 1, 2])),
                "table": wandb.Table(columns=["a", "b"], data=[[1, "x"], [2, "y"]]),
                "image": wandb.Image(numpy.zeros((8, 8, 3), dtype=numpy.uint8)),
                "loss": 0.5,
            }})
        """,
    )
    run = only_run(client, project)
    assert values(client, run, "loss") == [(0, 0.5)]
    assert set(run.data.metrics) == {"loss"} | {k for k in run.data.metrics if k.startswith("system/")}
    there = files(client, run)
    named = lambda start: [f for f in there if f.startswith(start)]  # noqa: E731
    assert json.loads(text_of(run, named("media/histogram/hist")[0]))["values"] == [1, 2]
    assert json.loads(text_of(run, named("media/table/table")[0]))["data"] == [[1, "x"], [2, "y"]]
    assert named("media/images/image") and named("run_table/")


def test_a_script_goes_on_where_it_stopped(tmp_path, client):
    project = unique("resumed")
    script = """
    import os, wandb
    run = wandb.init(project={project!r}, id="same", resume=os.environ["HOW"], config={{"lr": 0.1, "net": {{"depth": 3}}}})
    print("begins with", run.summary.get("loss"), run.config["lr"], run.config["net"])
    for i in range(10):
        run.log({{"loss": 1000 * int(os.environ["PART"]) + i}})
        print("part", os.environ["PART"], "line", i)
    run.finish()
    """.format(project=project)
    assert "does not exist" in run_script(tmp_path, script, code=1, HOW="must", PART="0")
    assert "begins with None 0.1" in run_script(tmp_path, script, HOW="never", PART="1")
    assert "begins with 1009 0.1 {'depth': 3}" in run_script(tmp_path, script, HOW="must", PART="2")
    assert "begins with 2009 0.1" in run_script(tmp_path, script, HOW="allow", PART="3")
    assert "already exists" in run_script(tmp_path, script, code=1, HOW="never", PART="4")
    run = only_run(client, project)
    assert values(client, run, "loss") == [(i, 1000.0 * (i // 10 + 1) + i % 10) for i in range(30)]
    assert run.info.status == "FINISHED" and run.data.params == {"lr": "0.1", "net.depth": "3"}
    console = [line.split(" ", 1)[1] for line in text_of(run, "output.log").splitlines()]
    assert [line for line in console if line.startswith("part")] == [
        f"part {part} line {i}" for part in (1, 2, 3) for i in range(10)
    ]


def test_two_scripts_with_one_run_lose_nothing(tmp_path, client):
    project = unique("shared")
    script = f"""
    import os, time, wandb
    run = wandb.init(project={project!r}, id="one")
    for i in range(20):
        run.log({{"x": int(os.environ["ME"]) * 1000 + i, "loss": 0.5}})
        time.sleep(0.1)
    run.finish()
    """
    folders = [tmp_path / "a", tmp_path / "b"]
    [folder.mkdir() for folder in folders]
    for process in [start(folder, script, ME=str(n)) for n, folder in enumerate(folders)]:
        ended(process)
    got = sorted(value for _, value in values(client, only_run(client, project), "x"))
    assert got == [float(n * 1000 + i) for n in range(2) for i in range(20)]


def test_the_room_stops_a_script(tmp_path, client):
    project = unique("stopped")
    script = f"""
    import time, wandb
    run = wandb.init(project={project!r})
    for i in range(600):
        run.log({{"x": i}})
        time.sleep(0.1)
    """
    process = start(tmp_path, script)
    while not (runs := all_runs(client, project)) or not values(client, runs[0], "x"):
        assert process.poll() is None
    # As `opsroom runs stop` and the room do.
    client.set_terminated(runs[0].info.run_id, "KILLED")
    client.set_tag(runs[0].info.run_id, "opsroom.stop_requested", "now")
    process.communicate(timeout=60)
    assert process.returncode != 0
    run = only_run(client, project)
    assert run.info.status == "KILLED" and 0 < len(values(client, run, "x")) < 600


def test_an_alert_becomes_an_incident(tmp_path, client):
    project = unique("alerting")
    run_script(
        tmp_path,
        f"""
        import wandb
        with wandb.init(project={project!r}) as run:
            run.alert("Loss is high", "it is 7", level="ERROR")
            run.alert("Loss is high", "still", level="ERROR")
        """,
    )
    headers = {"Authorization": f"Bearer {TOKEN}"} if TOKEN else {}
    incidents = requests.get(f"{URL}/api/v1/incidents", headers=headers, timeout=20).json()
    mine = [i for i in incidents if i["service"] == project]
    assert len(mine) == 1 and mine[0]["severity"] == 2, incidents
    assert "Loss is high: it is 7" in mine[0]["alerts"][0]["what"]


def test_an_offline_run_is_sent_later_and_twice_is_once(tmp_path, client):
    project = unique("offline")
    run_script(
        tmp_path,
        f"""
        import wandb
        with wandb.init(project={project!r}, name="away", mode="offline", config={{"lr": 1}}) as run:
            for i in range(50):
                run.log({{"loss": 1.0 / (i + 1)}})
                print("line", i)
            art = wandb.Artifact("rows", type="dataset")
            with art.new_file("a.txt") as f:
                f.write("hello")
            run.log_artifact(art)
        """,
    )
    folder = next(tmp_path.glob("wandb/offline-run-*"))
    command(tmp_path, "sync", str(folder))
    command(tmp_path, "sync", "--include-synced", str(folder))
    run = only_run(client, project)
    assert values(client, run, "loss") == [(i, 1.0 / (i + 1)) for i in range(50)]
    assert (run.info.run_name, run.info.status, run.data.params) == ("away", "FINISHED", {"lr": "1"})
    console = [line.split(" ", 1)[-1] for line in text_of(run, "output.log").splitlines()]
    assert [c for c in console if c.startswith("line")] == [f"line {i}" for i in range(50)]
    assert text_of(run, "dataset/rows/v0/a.txt") == "hello"
    assert not client.list_artifacts(run.info.run_id, "dataset/rows/v1"), "sent twice it is one version"


def test_a_large_artifact_is_streamed(tmp_path, client):
    project = unique("large")
    run_script(
        tmp_path,
        f"""
        import wandb
        with open("large.bin", "wb") as file:
            for i in range(64):
                file.write(bytes([i]) * (1 << 20))
        with wandb.init(project={project!r}) as run:
            large = wandb.Artifact("large", type="dataset")
            large.add_file("large.bin")
            run.log_artifact(large)
        """,
    )
    run = only_run(client, project)
    entries = client.list_artifacts(run.info.run_id, "dataset/large/v0")
    assert [(e.path, e.file_size) for e in entries] == [("dataset/large/v0/large.bin", 64 << 20)]


def test_what_has_not_arrived_is_not_committed():
    project, name = unique("halves"), unique("run")
    auth = ("api", TOKEN or NO_KEY)

    def ask(operation, **variables):
        body = {"query": f"mutation {operation}", "variables": variables}
        return requests.post(f"{URL}/graphql", json=body, auth=auth, timeout=20).json()

    ask("UpsertBucket", name=name, project=project, host="h")
    where = {"entityName": "opsroom", "projectName": project, "runName": name}
    made = ask(
        "CreateArtifact",
        input=where | {"artifactTypeName": "dataset", "artifactCollectionName": "d", "digest": "x", "clientID": "c"},
    )
    artifact = made["data"]["createArtifact"]["artifact"]
    assert artifact["state"] == "PENDING"
    assert "manifest" in ask("CommitArtifact", artifactID=artifact["id"])["errors"][0]["message"]
    made = ask("CreateArtifactManifest", artifactID=artifact["id"], includeUpload=True)
    url = made["data"]["createArtifactManifest"]["artifactManifest"]["file"]["uploadUrl"]
    manifest = {"version": 1, "contents": {"a.txt": {"digest": "x", "size": 3}}}
    assert requests.put(url, json=manifest, timeout=20).status_code == 200
    assert "a.txt" in ask("CommitArtifact", artifactID=artifact["id"])["errors"][0]["message"]
    files = [{"artifactID": artifact["id"], "name": "a.txt", "md5": "x"}]
    made = ask("CreateArtifactFiles", input={"artifactFiles": files, "storageLayout": "V2"})
    url = made["data"]["createArtifactFiles"]["files"]["edges"][0]["node"]["uploadUrl"]
    assert requests.put(url, data=b"ab", timeout=20).status_code == 200
    assert "whole" in ask("CommitArtifact", artifactID=artifact["id"])["errors"][0]["message"]
    assert requests.put(url, data=b"abc", timeout=20).status_code == 200
    assert ask("CommitArtifact", artifactID=artifact["id"])["data"]["commitArtifact"]["artifact"]["digest"] == "x"
