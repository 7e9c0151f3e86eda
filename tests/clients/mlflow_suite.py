"""MLflow's own REST tests, from a checkout of MLflow 3.x, against opsroom: a pytest plugin.

    cd MLFLOW_CHECKOUT
    OPSROOM_BIN=/path/to/opsroom PYTHONPATH=/path/to/opsroom/tests/clients pytest -p mlflow_suite \\
        tests/tracking/test_rest_tracking.py tests/tracking/test_model_registry.py tests/tracking/test_mlflow_artifacts.py

Every test gets an agent of its own with an empty store, as MLflow gives it a server. OPSROOM_URL instead of OPSROOM_BIN
uses one running agent for all (the few tests that count what is there then fail). The tests named in
mlflow_suite_exclusions.txt are skipped, each with its cause; OPSROOM_ALL=1 runs them as well.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

BIN, URL = os.environ.get("OPSROOM_BIN"), os.environ.get("OPSROOM_URL")
EXCLUSIONS = Path(__file__).with_name("mlflow_suite_exclusions.txt")


class Agent:
    """Stands in for the tests' own ServerThread, which takes MLflow's app and a port."""

    def __init__(self, app=None, port=0, artifacts=None):
        self.listen, self.artifacts = f"127.0.0.1:{port}", artifacts

    def __enter__(self):
        import mlflow

        # Some tests also call mlflow's own functions, which in MLflow's run find the server's database.
        url = URL or self.start()
        mlflow.set_tracking_uri(url)
        return url

    def start(self):
        self.home = tempfile.mkdtemp(prefix="opsroom-suite-")
        env = {k: v for k, v in os.environ.items() if not k.startswith(("OPSROOM_", "MLFLOW_"))}
        env |= {f"XDG_{kind}_HOME": self.home for kind in ("CONFIG", "DATA", "STATE", "CACHE")}
        command = [BIN, "agent", "--listen", self.listen, "--store", f"{self.home}/opsroom.db"]
        command += ["--artifacts", self.artifacts or f"{self.home}/artifacts"]
        with open(f"{self.home}/stderr", "w") as log:
            env["XDG_RUNTIME_DIR"] = self.home
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=env)
        for line in self.process.stdout:
            found = re.search(r"agent listening on (http://\S+)", line)
            if found:
                threading.Thread(target=self.process.stdout.read, daemon=True).start()
                return found[1]
        raise RuntimeError("the agent did not start: " + Path(f"{self.home}/stderr").read_text())

    def __exit__(self, *_):
        if URL:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)


@contextlib.contextmanager
def init_server(backend_uri, root_artifact_uri, extra_env=None, app=None, server_type="fastapi"):
    """Stands in for _init_server."""
    with Agent() as url:
        yield url


@contextlib.contextmanager
def launch_server(host, port, backend_store_uri, default_artifact_root, artifacts_destination):
    """Stands in for _launch_server of the artifact tests."""
    with Agent(port=port, artifacts=artifacts_destination) as url:
        yield url


def exclusions():
    """Test name -> cause; a line is `name: cause`, and a name ending in * is a prefix."""
    lines = [line for line in EXCLUSIONS.read_text().splitlines() if line.strip() and not line.startswith("#")]
    return dict((part.strip() for part in line.split(":", 1)) for line in lines)


def pytest_configure(config):
    if not (BIN or URL):
        return  # MLflow's own server code: the run to compare with
    sys.path.insert(0, os.getcwd())
    import tests.tracking.integration_test_utils as utils

    utils.ServerThread, utils._init_server = Agent, init_server


def pytest_collection_modifyitems(items):
    if not (BIN or URL):
        return
    listed = {} if os.environ.get("OPSROOM_ALL") else exclusions()
    for item in items:
        if hasattr(item.module, "_launch_server"):
            item.module._launch_server = launch_server
        for name, cause in listed.items():
            if item.originalname == name or (name.endswith("*") and item.originalname.startswith(name[:-1])):
                item.add_marker(pytest.mark.skip(reason="excluded: " + cause))
