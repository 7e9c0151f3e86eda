"""Artifacts through the server: files, folders, odd names, ranges, large files in parts, delete, escapes."""

import os

import mlflow
import pytest
from conftest import TOKEN, URL, opsroom_only
from mlflow.artifacts import download_artifacts, list_artifacts
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from requests import Request, Session

PROXY = "/api/2.0/mlflow-artifacts/artifacts/"


def proxied(run, path=""):
    """The proxy's path of an artifact: the client's own mapping of mlflow-artifacts: URIs."""
    assert run.info.artifact_uri.startswith("mlflow-artifacts:/")
    return PROXY + run.info.artifact_uri.split(":/", 1)[1].lstrip("/") + ("/" + path if path else "")


def test_files_and_folders(experiment, tmp_path):
    (tmp_path / "tree/deep/er").mkdir(parents=True)
    (tmp_path / "tree/a.txt").write_text("a")
    (tmp_path / "tree/deep/b.bin").write_bytes(bytes(range(256)) * 100)
    (tmp_path / "tree/deep/er/empty").write_bytes(b"")
    with mlflow.start_run() as run:
        mlflow.log_artifact(tmp_path / "tree/a.txt")
        mlflow.log_artifacts(tmp_path / "tree", "folder")
        mlflow.log_text("hello", "notes/hello.txt")
        mlflow.log_dict({"a": [1, 2]}, "notes/d.json")
    run_id = run.info.run_id

    def listed(path=None):
        # the client reads a size of 0 as None
        return {(f.path, f.is_dir, f.file_size or None) for f in list_artifacts(run_id=run_id, artifact_path=path)}

    assert listed() == {("a.txt", False, 1), ("folder", True, None), ("notes", True, None)}
    assert listed("folder") == {("folder/a.txt", False, 1), ("folder/deep", True, None)}
    assert listed("folder/deep/er") == {("folder/deep/er/empty", False, None)}
    assert listed("nowhere") == set()
    got = download_artifacts(run_id=run_id, artifact_path="folder", dst_path=tmp_path / "down")
    assert open(os.path.join(got, "deep/b.bin"), "rb").read() == bytes(range(256)) * 100
    assert os.path.getsize(os.path.join(got, "deep/er/empty")) == 0
    assert mlflow.artifacts.load_text(run.info.artifact_uri + "/notes/hello.txt") == "hello"
    assert mlflow.artifacts.load_dict(run.info.artifact_uri + "/notes/d.json") == {"a": [1, 2]}


def test_a_whole_run(run, client, tmp_path):
    client.log_text(run.info.run_id, "1", "x/y.txt")
    client.log_text(run.info.run_id, "2", "z.txt")
    got = download_artifacts(run_id=run.info.run_id, dst_path=tmp_path / "all")
    assert sorted(os.listdir(got)) == ["x", "z.txt"]


def test_overwrite(run, client):
    client.log_text(run.info.run_id, "old and longer", "x.txt")
    client.log_text(run.info.run_id, "new", "x.txt")
    assert mlflow.artifacts.load_text(run.info.artifact_uri + "/x.txt") == "new"
    assert client.list_artifacts(run.info.run_id)[0].file_size == 3


ODD = [
    "with space.txt",
    "ünïcode 模型.txt",
    "a+b=c&d.txt",
    "50%.txt",
    "semi;colon,comma.txt",
    "..dots..txt",
    "'quote'.txt",
    ".hidden",
    "UPPER.TXT",
    "q(1)[2]{3}.txt",
]


@pytest.mark.parametrize("name", ODD)
def test_odd_names(run, client, tmp_path, name):
    (tmp_path / name).write_text(name)
    client.log_artifact(run.info.run_id, str(tmp_path / name), "dir with space")
    assert [f.path for f in client.list_artifacts(run.info.run_id, "dir with space")] == ["dir with space/" + name]
    (tmp_path / "down").mkdir()
    got = client.download_artifacts(run.info.run_id, "dir with space/" + name, str(tmp_path / "down"))
    assert open(got).read() == name


def test_delete(run, client):
    for path in ["keep.txt", "go/a.txt", "go/b.txt"]:
        client.log_text(run.info.run_id, path, path)
    store = get_artifact_repository(run.info.artifact_uri)
    store.delete_artifacts("go/a.txt")
    assert [f.path for f in client.list_artifacts(run.info.run_id, "go")] == ["go/b.txt"]
    store.delete_artifacts("go")
    assert [f.path for f in client.list_artifacts(run.info.run_id)] == ["keep.txt"]


def test_images_figures_tables(experiment, client):
    import matplotlib.pyplot as plt
    import numpy as np
    import pandas as pd

    with mlflow.start_run() as active:
        figure, axes = plt.subplots(figsize=(2, 2))
        axes.plot([0, 1])
        mlflow.log_figure(figure, "plots/line.png")
        mlflow.log_image(np.zeros((8, 8, 3), dtype=np.uint8), key="dot", step=3)
        mlflow.log_table(pd.DataFrame({"a": [1, 2]}), "table.json")
        mlflow.log_table({"a": [3]}, "table.json")
    plt.close(figure)
    assert [f.path for f in client.list_artifacts(active.info.run_id, "plots")] == ["plots/line.png"]
    assert len(client.list_artifacts(active.info.run_id, "images")) == 2
    assert list(mlflow.load_table("table.json", run_ids=[active.info.run_id])["a"]) == [1, 2, 3]


def test_missing(run, client, tmp_path, rest):
    with pytest.raises(MlflowException):
        client.download_artifacts(run.info.run_id, "not/there.txt", str(tmp_path))
    assert rest("GET", proxied(run, "not/there.txt")).status_code == 404


def test_large_file_in_parts(run, client, tmp_path, monkeypatch):
    """With multi-part on, the client sends parts if the server offers it, else one stream: both must arrive whole."""
    for name in ["UPLOAD", "DOWNLOAD"]:
        monkeypatch.setenv(f"MLFLOW_ENABLE_PROXY_MULTIPART_{name}", "true")
        monkeypatch.setenv(f"MLFLOW_MULTIPART_{name}_MINIMUM_FILE_SIZE", "1000000")
        monkeypatch.setenv(f"MLFLOW_MULTIPART_{name}_CHUNK_SIZE", str(5 * 1024 * 1024))
    content = os.urandom(12_345_678)
    (tmp_path / "large.bin").write_bytes(content)
    client.log_artifact(run.info.run_id, str(tmp_path / "large.bin"))
    (tmp_path / "down").mkdir()
    got = client.download_artifacts(run.info.run_id, "large.bin", str(tmp_path / "down"))
    assert open(got, "rb").read() == content


def test_chunked_upload_without_a_length(run, rest):
    def parts():
        for i in range(64):
            yield bytes([i]) * 1000

    assert rest("PUT", proxied(run, "chunked.bin"), data=parts()).status_code == 200
    assert rest("GET", proxied(run, "chunked.bin")).content == b"".join(bytes([i]) * 1000 for i in range(64))


@opsroom_only
@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("bytes=0-9", 206, slice(0, 10)),
        ("bytes=990-", 206, slice(990, None)),
        ("bytes=-5", 206, slice(-5, None)),
        ("bytes=5000-", 416, None),
    ],
)
def test_ranges(run, rest, asked, status, part):
    body = bytes(i % 251 for i in range(1000))
    rest("PUT", proxied(run, "r.bin"), data=body)
    answer = rest("GET", proxied(run, "r.bin"), headers={"Range": asked})
    assert answer.status_code == status
    if part:
        assert answer.content == body[part]
        assert answer.headers["content-range"].endswith("/1000")


@pytest.mark.parametrize("path", ["../x", "..%2f..%2fetc/passwd", "a/../../x", "%2e%2e/x", "/etc/passwd"])
def test_escapes_are_refused(rest, path):
    # `requests` would tidy the path away: set it on the prepared request
    prepared = Request(
        "PUT", URL + PROXY, data=b"x", headers={"Authorization": f"Bearer {TOKEN}"} if TOKEN else {}
    ).prepare()
    prepared.url = URL + PROXY + path
    assert Session().send(prepared, timeout=20).status_code in (400, 404)
    assert rest("GET", PROXY.rstrip("/"), params={"path": "../.."}).status_code == 400
