"""Unmodified W&B scripts log to a live agent."""

import json
import math
import time

import mlflow
import pytest
import requests
from conftest import TOKEN, URL, opsroom_only, unique, within
from wandb_support import NO_KEY, all_runs, ended, files, need_wandb, only_run, run_script, start, values

need_wandb()
pytestmark = opsroom_only


def test_all_that_a_script_logs_arrives(tmp_path, client):
    project = unique("wandb live")
    run_script(
        tmp_path,
        f"""
        import wandb
        run = wandb.init(project={project!r}, name="nice name", group="sweep-1", job_type="train", tags=["base", "v 2"],
                         notes="a note", config={{"lr": 0.1, "net": {{"depth": 3, "dims": [1, 2]}}, "who": "kim"}})
        run.define_metric("epoch")
        run.define_metric("val/*", step_metric="epoch")
        run.define_metric("acc", summary="max")
        for i in range(20):
            run.log({{"loss": 1 / (i + 1), "nested": {{"a": i, "b": {{"c": 2.5}}}}, "val/loss": i * 2.0, "epoch": i // 2,
                     "acc": float("nan") if i == 2 else i / 20, "top@5": 0.5, "text": f"x{{i}}", "up": True,
                     "far": -float("inf")}})
            print("step", i)
        run.log({{"late": 1.0}}, step=50)
        run.summary["best"] = 0.93
        run.summary["verdict"] = "good"
        run.config.update({{"added": 7}})
        """,
    )
    run = only_run(client, project)
    assert (run.info.run_name, run.info.status) == ("nice name", "FINISHED")
    expected = {"lr": "0.1", "net.depth": "3", "net.dims": "[1,2]", "who": "kim", "added": "7"}
    assert run.data.params == expected
    tags = run.data.tags
    assert (tags["base"], tags["v 2"], tags["wandb.group"], tags["wandb.job_type"]) == ("true", "true", "sweep-1", "train")
    assert (tags["mlflow.note.content"], tags["summary.verdict"]) == ("a note", "good")
    assert values(client, run, "loss") == [(i, 1 / (i + 1)) for i in range(20)]
    assert values(client, run, "nested.a") == [(i, float(i)) for i in range(20)]
    assert values(client, run, "nested.b.c") == [(i, 2.5) for i in range(20)]
    assert values(client, run, "val/loss") == [(i, i * 2.0) for i in range(20)]
    accuracy = values(client, run, "acc")
    assert [step for step, _ in accuracy] == list(range(20)) and math.isnan(accuracy[2][1])
    assert values(client, run, "far") == [(i, -math.inf) for i in range(20)]
    assert values(client, run, "top@5") == [(i, 0.5) for i in range(20)]
    assert values(client, run, "late") == [(50, 1.0)]
    assert values(client, run, "best") == [(50, 0.93)]
    assert run.data.metrics["acc.max"] == 0.95 or math.isnan(run.data.metrics["acc.max"])
    assert any(key.startswith("system/") for key in run.data.metrics)
    assert not any(key.startswith(("_", "summary/")) for key in run.data.metrics)
    assert {"output.log", "wandb-metadata.json", "requirements.txt", "config.yaml"} <= set(files(client, run))
    console = mlflow.artifacts.load_text(run.info.artifact_uri + "/output.log").splitlines()
    assert [line.split(" ", 1)[1] for line in console[:20]] == [f"step {i}" for i in range(20)]


def test_points_are_seen_while_the_script_goes_on(tmp_path, client):
    project = unique("moving")
    script = f"""
    import time, wandb
    run = wandb.init(project={project!r})
    for i in range(12):
        run.log({{"loss": 1.0 / (i + 1)}})
        print("step", i)
        time.sleep(0.5)
    """
    process = start(tmp_path, script)
    seen, deadline = 0, time.monotonic() + 60
    while not seen and time.monotonic() < deadline:
        runs = all_runs(client, project)
        seen = len(values(client, runs[0], "loss")) if runs else 0
        time.sleep(0.1)
    assert 0 < seen < 12 and runs[0].info.status == "RUNNING"
    ended(process)
    assert len(values(client, only_run(client, project), "loss")) == 12


@pytest.mark.parametrize("how, code, status", [("raise ValueError", 1, "FAILED"), ("raise KeyboardInterrupt", None, "KILLED")])
def test_how_a_script_ended_is_how_its_run_ends(tmp_path, client, how, code, status):
    project = unique("ends")
    process = start(tmp_path, f"import wandb\nwandb.init(project={project!r}).log({{'x': 1}})\n{how}\n")
    said, _ = process.communicate(timeout=120)
    assert process.returncode != 0 and (code is None or process.returncode == code), said
    assert only_run(client, project).info.status == status


@pytest.mark.parametrize("project", ["ü ñ 日本", "a.b-c_d", "'quoted' & <odd>", "100 percent"])
def test_odd_names_of_projects(tmp_path, client, project):
    project = unique(project)
    run_script(tmp_path, f"import wandb\nwandb.init(project={project!r}).log({{'x': 1}})\n")
    assert values(client, only_run(client, project), "x") == [(0, 1.0)]


def ask(query, key=None, **variables):
    auth = ("api", key or TOKEN or NO_KEY)
    return requests.post(f"{URL}/graphql", json={"query": query, "variables": variables}, auth=auth, timeout=20)


def test_unknown_operations_are_answered_at_once():
    answer = ask("query NobodyKnowsThis { x }")
    assert answer.status_code == 200 and "NobodyKnowsThis" in answer.json()["errors"][0]["message"]
    assert ask("mutation UpsertBucket { x }").json()["errors"]
    assert requests.post(f"{URL}/graphql", data="{", auth=("api", TOKEN or NO_KEY), timeout=20).json()["errors"]


def test_addresses_of_uploads_cannot_be_made_up():
    project, run = unique("uploads"), unique("run")
    ask("mutation UpsertBucket", name=run, project=project, host="h")
    answer = ask("mutation CreateRunFiles", project=project, run=run, files=["a b.txt", "../../x"]).json()
    given = answer["data"]["createRunFiles"]["files"]
    url = given[0]["uploadUrl"]
    assert url.startswith(URL + "/") and "/../" not in given[1]["uploadUrl"]
    assert requests.put(url, data=b"hello", timeout=20).status_code == 200
    for other in [url.replace("a%20b", "c"), url[:-1], url.replace("/storage/", "/storage/x")]:
        assert requests.put(other, data=b"x", timeout=20).status_code in (403, 404), other
    assert requests.get(url, timeout=20).status_code == 403, "what may be written may not be read with it"


@pytest.mark.parametrize("key", ["x" * 40, "x" * 100, "short"])
def test_a_wrong_key_is_refused_at_once(tmp_path, key):
    with within(2):
        assert ask("query Viewer { viewer { id } }", key=key).status_code == 401
    with within(30):
        said = run_script(
            tmp_path, "import wandb\nwandb.init(project='p')", code=1, WANDB_API_KEY=key, WANDB_INIT_TIMEOUT="20"
        )
    assert "unknown" in said or "401" in said or "API key" in said, said


def test_repeated_and_damaged_lines(client):
    project, name = unique("lines"), unique("run")
    ask("mutation UpsertBucket", name=name, project=project, host="h")

    def send(offset, lines, **more):
        body = {"files": {"wandb-history.jsonl": {"offset": offset, "content": lines}}} | more
        url = f"{URL}/files/opsroom/{project}/{name}/file_stream"
        answer = requests.post(url, json=body, auth=("api", TOKEN or NO_KEY), timeout=20)
        assert answer.status_code == 200, answer.text

    line = '{{"_step": {0}, "_timestamp": 17{0}0000000.5, "x": {1}}}'.format
    send(0, [line(0, 0.5), line(1, "NaN")])
    send(0, [line(0, 0.5), line(1, "NaN"), line(2, 2.5)])  # sent again, and more
    send(0, [line(0, 7.5)])  # another script
    send(3, ["no json", "[]", line(4, "Infinity")])
    # An object whose name no disk takes is left out, and nothing else is.
    for step, key in [(5, "k" * 300), (6, "k" * 245)]:
        send(step + 1, [json.dumps({"_step": step, "x": step, key: {"_type": "histogram", "bins": [0, 1], "values": [2]}})])
    send(8, [], complete=True, exitcode=0)
    run = only_run(client, project)
    got = sorted((step, str(value)) for step, value in values(client, run, "x"))
    assert got == [(0, "0.5"), (0, "7.5"), (1, "nan"), (2, "2.5"), (4, "inf"), (5, "5.0"), (6, "6.0")]
    assert run.info.status == "FINISHED"
