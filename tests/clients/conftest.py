"""Unmodified MLflow clients against a live agent.

    pip install -r tests/clients/requirements.txt
    opsroom agent --listen 127.0.0.1:6270 &
    OPSROOM_URL=http://127.0.0.1:6270 pytest tests/clients

The server need not be empty: every test works in an experiment of its own. OPSROOM_TOKEN, when set, is
sent as MLFLOW_TRACKING_TOKEN and turns on test_auth.py. OPSROOM_PEER=1 says that the server is
MLflow's own, and leaves out what only opsroom promises: what passes there must pass here.
"""

import os
import time
import uuid
from contextlib import contextmanager

import pytest

URL = os.environ.get("OPSROOM_URL", "").rstrip("/")
TOKEN = os.environ.get("OPSROOM_TOKEN")

# Set before mlflow is imported: it reads some of these once.
os.environ["MLFLOW_TRACKING_URI"] = URL
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
os.environ["GIT_PYTHON_REFRESH"] = "quiet"
os.environ["MPLBACKEND"] = "Agg"
if TOKEN:
    os.environ["MLFLOW_TRACKING_TOKEN"] = TOKEN

import mlflow  # noqa: E402
import requests  # noqa: E402
from mlflow import MlflowClient  # noqa: E402

opsroom_only = pytest.mark.skipif(
    bool(os.environ.get("OPSROOM_PEER")), reason="opsroom promises more here than MLflow does"
)


def pytest_configure(config):
    if not URL:
        pytest.exit("OPSROOM_URL is not set: start an agent and give its address", returncode=2)


def unique(name):
    return f"{name}-{uuid.uuid4().hex[:8]}"


@contextmanager
def within(seconds):
    """The client retries 429 and 5xx for minutes: an answer that comes late was a retry storm."""
    start = time.monotonic()
    yield
    took = time.monotonic() - start
    assert took < seconds, f"took {took:.1f} s, more than {seconds} s: the client retried"


@pytest.fixture
def client():
    return MlflowClient()


@pytest.fixture
def rest():
    """Raw calls, for what no client would send: rest("POST", "runs/log-metric", {...})."""
    session = requests.Session()
    if TOKEN:
        session.headers["Authorization"] = f"Bearer {TOKEN}"

    def call(method, path, json=None, **kwargs):
        if not path.startswith("/"):
            path = "/api/2.0/mlflow/" + path
        return session.request(method, URL + path, json=json, timeout=20, **kwargs)

    return call


@pytest.fixture
def experiment():
    """An experiment of the test's own, made the active one."""
    made = mlflow.set_experiment(unique("clients"))
    yield made
    while mlflow.active_run():
        mlflow.end_run("KILLED")


@pytest.fixture
def run(experiment, client):
    """A fresh run, not the active one."""
    return client.create_run(experiment.experiment_id)
