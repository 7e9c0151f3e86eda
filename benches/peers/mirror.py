#!/usr/bin/env python3
"""A mirror of an MLflow server with 10,000 runs: the first pass, and a second one with nothing new.

    cargo build --release
    python -m venv w && w/bin/pip install -r tests/clients/requirements.txt
    OPSROOM_BIN=target/release/opsroom w/bin/python benches/peers/mirror.py

MLflow's own server (one worker, SQLite) has 10,000 runs in ten experiments, with a metric and five params each, written
into its tables. `opsroom import mlflow URL` mirrors it into an agent, twice. Told for each pass: wall seconds, and CPU seconds
of all of MLflow's processes meanwhile, which is what the mirror costs the team that runs it. --runs N, --json FILE.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")

FILL = """
import sqlite3, sys, time, uuid
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
count = int(sys.argv[1])
store = SqlAlchemyStore("sqlite:///mlflow.db", "mlflow-artifacts:/")
begin = int(time.time() * 1000) - count * 1000
homes = [int(store.create_experiment(f"experiment {e}")) for e in range(10)]
ids = [uuid.uuid4().hex for _ in range(count)]
db = sqlite3.connect("mlflow.db")
def rows(table, **of):
    names = ", ".join(of)
    db.executemany(f"insert into {table} ({names}) values ({', '.join('?' * len(of))})", zip(*of.values()))
at = [begin + i * 1000 for i in range(count)]
home = [homes[i % 10] for i in range(count)]
rows("runs", run_uuid=ids, name=[f"run-{i}" for i in range(count)], source_type=["UNKNOWN"] * count, user_id=["u"] * count,
     status=["FINISHED"] * count, start_time=at, end_time=[t + 500 for t in at], lifecycle_stage=["active"] * count, experiment_id=home,
     artifact_uri=[f"mlflow-artifacts:/{e}/{id}/artifacts" for e, id in zip(home, ids)])
rows("tags", key=["mlflow.runName"] * count, value=[f"run-{i}" for i in range(count)], run_uuid=ids)
for k in range(1):
    value = [float(i + k) for i in range(count)]
    metric = dict(key=[f"m{k}"] * count, value=value, timestamp=at, run_uuid=ids, step=[0] * count, is_nan=[False] * count)
    rows("metrics", **metric)
    rows("latest_metrics", **metric)
for k in range(5):
    rows("params", key=[f"p{k}"] * count, value=[str(i % 7) for i in range(count)], run_uuid=ids)
db.commit()
"""


def family(pid):
    pids = [pid]
    for one in pids:
        try:
            pids += [int(p) for p in Path(f"/proc/{one}/task/{one}/children").read_text().split()]
        except OSError:
            pass
    return pids


def cpu(pid):
    total = 0
    for one in family(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += (int(fields[11]) + int(fields[12])) / TICK
    return total


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    opsroom = str(Path(os.environ.get("OPSROOM_BIN", "target/release/opsroom")).resolve())
    with tempfile.TemporaryDirectory() as folder:
        names = ["CONFIG", "DATA", "STATE", "CACHE"]
        env = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "OPSROOM_"))}
        env |= {"HOME": folder, "MLFLOW_DISABLE_TELEMETRY": "true"} | {f"XDG_{n}_HOME": f"{folder}/{n.lower()}" for n in names}
        begin = time.time()
        subprocess.run([sys.executable, "-c", FILL, str(asked.runs)], env=env, cwd=folder, check=True, stderr=subprocess.DEVNULL)
        print(f"filled in {time.time() - begin:.0f} s", flush=True)
        port = free_port()
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
             "--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "./artifacts"],
            env=env, cwd=folder, start_new_session=True, **quiet,
        )
        agent = subprocess.Popen(
            [opsroom, "agent", "--listen", "127.0.0.1:0", "--router", "127.0.0.1:0"], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        try:
            for _ in range(600):
                with socket.socket() as s:
                    if s.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.2)
            time.sleep(5)
            agent.stdout.readline()
            env["OPSROOM_AGENT"] = agent.stdout.readline().split()[-1]
            found = {"runs": asked.runs, "passes": []}
            for name in ["first", "second", "third"]:
                before, begin = cpu(server.pid), time.time()
                done = subprocess.run([opsroom, "import", "mlflow", f"http://127.0.0.1:{port}", "--json"], env=env, capture_output=True, text=True, check=True)
                wall, spent = time.time() - begin, cpu(server.pid) - before
                report = json.loads(done.stdout)
                found["passes"].append({"pass": name, "runs_new": report["runs_new"], "seconds": round(wall, 2), "mlflow_cpu_seconds": round(spent, 2)})
                print(f"{name:6} pass: {report['runs_new']:6} runs new  {wall:7.2f} s  {spent:7.2f} s of MLflow's CPU", flush=True)
        finally:
            subprocess.run([opsroom, "agent", "stop"], env=env, check=False, **quiet)
            agent.wait(timeout=60)
            os.killpg(server.pid, 9)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
