"""What the tests of W&B's client share: unmodified scripts, each in a process of its own, as its users run them."""

import importlib.util
import os
import subprocess
import sys
import textwrap

import pytest
from conftest import TOKEN, URL

# As `opsroom connect wandb` prints them.
NO_KEY = "local" + "0" * 40


def need_wandb():
    """Skips a module aloud; where everything must be tested, fails."""
    if importlib.util.find_spec("wandb"):
        return
    message = "the module wandb is missing: pip install -r tests/clients/requirements.txt"
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message, allow_module_level=True)


def environment(folder, **more):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "MLFLOW_"))}
    env |= {
        "WANDB_BASE_URL": URL,
        "WANDB_API_KEY": TOKEN or NO_KEY,
        "WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1",
        "WANDB_DIR": str(folder),
        "WANDB_DATA_DIR": str(folder / "data"),
        "WANDB_CACHE_DIR": str(folder / "cache"),
        "WANDB_CONFIG_DIR": str(folder / "config"),
        "HOME": str(folder),
    }
    return env | more


def start(folder, script, **more):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=folder,
        env=environment(folder, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process, code=0, seconds=120):
    said, _ = process.communicate(timeout=seconds)
    assert process.returncode == code, said
    return said


def run_script(folder, script, code=0, **more):
    return ended(start(folder, script, **more), code)


def command(folder, *args, **more):
    done = subprocess.run(
        [sys.executable, "-m", "wandb", *args],
        cwd=folder,
        env=environment(folder, **more),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def only_run(client, project):
    """The one run of a project, as MLflow's client sees it."""
    runs = all_runs(client, project)
    assert len(runs) == 1, [r.info.run_name for r in runs]
    return runs[0]


def all_runs(client, project):
    experiment = client.get_experiment_by_name(project)
    return list(client.search_runs([experiment.experiment_id], order_by=["start_time asc"])) if experiment else []


def values(client, run, key):
    return [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, key)]


def files(client, run, path=None):
    """All files of a run, by path."""
    found = []
    for entry in client.list_artifacts(run.info.run_id, path):
        found += files(client, run, entry.path) if entry.is_dir else [entry.path]
    return found
