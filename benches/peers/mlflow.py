#!/usr/bin/env python3
"""MLflow's own server on SQLite and an opsroom agent under the same load, one after the other, in one run.

    apt-get install wrk; pip install mlflow==3.17.2; cargo build --release
    OPSROOM_BIN=target/release/opsroom python benches/peers/mlflow.py

Prints the table of ratios; --json FILE keeps the figures. Sections (--only, comma separated): start, batch,
single, search, history, large. Every timed request is sent by wrk (see load.lua), so that no Python stands in
the measured path. Beside each wall time stands the CPU time the server used for one request: on a busy machine
that is the steadier of the two. Both servers answer only what is durable: MLflow's SQLite runs with
synchronous=FULL, as does opsroom's. MLflow's 10,000 runs and 100,000 points go straight into its database file
(through its door they would take half an hour); opsroom is filled through its own REST door.
"""

import argparse
import json
import os
import random
import shutil
import sqlite3
import sys
import tempfile
import time
import uuid
from pathlib import Path

from server import Server

METRICS = ["acc", "loss"] + [f"m{i}" for i in range(8)]
RATES = ["0.1", "0.01", "0.001", "0.0001"]
# row: (label, unit, is bigger better, wanted, how the wanted figure is meant)
ROWS = {
    "start_s": ("start to first healthy answer", "s", False, 50, "ratio"),
    "batch_c1": ("log-batch of 1000 metrics, 1 connection", "metrics/s", True, 100, "ratio"),
    "batch_c8": ("log-batch of 1000 metrics, 8 connections", "metrics/s", True, 100, "ratio"),
    "single_c8": ("log-metric, 8 connections", "requests/s", True, 100, "ratio"),
    "search_filter_ms": ("search 10,000 runs: filter and order, p50", "ms", False, 30, "ratio"),
    "search_order_ms": ("search 10,000 runs: order alone, p50", "ms", False, 300, "ratio"),
    "history_ms": ("history of 100,000 points, p50", "ms", False, 20, "ratio"),
    "interval_ms": ("bulk history thinned to 320, p50", "ms", False, 20, "ratio"),
    "memory_mib": ("resident memory after the load", "MiB", False, 60, "below"),
    "large_p99_ms": ("search 100,000 runs: filter and order, p99", "ms", False, 50, "below"),
}


def fill_mlflow(database, experiment, count):
    """The same runs, straight into MLflow's tables."""
    rnd, base, place = random.Random(1), int(time.time() * 1000) - count * 1000, f"mlflow-artifacts:/{experiment}"
    runs, latest, metrics, params, tags = [], [], [], [], []
    for i in range(count):
        run, at = uuid.uuid4().hex, base + i * 1000
        runs.append(
            (
                run,
                f"run-{i}",
                "LOCAL",
                "x.py",
                "",
                "u",
                "FINISHED",
                at,
                at + 900,
                None,
                "",
                "active",
                f"{place}/{run}/artifacts",
                int(experiment),
            )
        )
        tags.append(("mlflow.runName", f"run-{i}", run))
        for key in METRICS:
            value = rnd.random()
            latest.append((key, value, at, 0, 0, run))
            metrics.append((key, value, at, run, 0, 0))
        params += [("lr", rnd.choice(RATES), run)] + [(f"p{j}", str(rnd.randint(0, 9)), run) for j in range(9)]
    with sqlite3.connect(database, timeout=60) as db:
        db.executemany(
            "insert into runs(run_uuid,name,source_type,source_name,entry_point_name,user_id,status,start_time,end_time,deleted_time,"
            "source_version,lifecycle_stage,artifact_uri,experiment_id) values(?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            runs,
        )
        db.executemany(
            "insert into latest_metrics(key,value,timestamp,step,is_nan,run_uuid) values(?,?,?,?,?,?)", latest
        )
        db.executemany("insert into metrics(key,value,timestamp,run_uuid,step,is_nan) values(?,?,?,?,?,?)", metrics)
        db.executemany("insert into params(key,value,run_uuid) values(?,?,?)", params)
        db.executemany("insert into tags(key,value,run_uuid) values(?,?,?)", tags)


def history_mlflow(database, run, count, at):
    with sqlite3.connect(database, timeout=60) as db:
        points = [("loss", 1 / (i + 1), at + i, run, i, 0) for i in range(count)]
        db.executemany("insert into metrics(key,value,timestamp,run_uuid,step,is_nan) values(?,?,?,?,?,?)", points)
        db.execute(
            "insert into latest_metrics(key,value,timestamp,step,is_nan,run_uuid) values('loss',?,?,?,0,?)",
            (1 / count, at + count, count - 1, run),
        )


def history_rest(server, run, count, at):
    for base in range(0, count, 1000):
        points = [
            {"key": "loss", "value": 1 / (i + 1), "timestamp": at + i, "step": i} for i in range(base, base + 1000)
        ]
        server.call("POST", "runs/log-batch", {"run_id": run, "metrics": points})


def measure(server, only, show, database=None):
    """All sections on one server. `database` is MLflow's SQLite file, for its direct filling."""
    first = server.start()
    try:
        if "start" in only:  # the second start is the kinder one: the store exists
            show("first_start_s", first)
            server.stop()
            show("start_s", server.start())
        server.load("single", *server.runs(4), connections=8, seconds=3)  # every worker has answered once
        server.settle()
        for connections in (1, 8):
            if "batch" in only:
                runs = server.runs(connections)
                found = server.load("batch", *runs, connections=connections)
                show(f"batch_c{connections}", 1000 * found["per_s"], found)
        if "single" in only:
            found = server.load("single", *server.runs(8), connections=8)
            show("single_c8", found["per_s"], found)
        if "search" in only:
            experiment = server.experiment()
            fill_mlflow(database, experiment, 10_000) if database else server.fill(experiment, 10_000)
            seconds = 20 if database else 5
            for work in ("filter", "order"):
                found = server.load(work, experiment, seconds=seconds)
                show(f"search_{work}_ms", found["p50_ms"], found)
        if "history" in only:
            run, at = server.runs(1)[0], int(time.time() * 1000)
            history_mlflow(database, run, 100_000, at) if database else history_rest(server, run, 100_000, at)
            for work in ("history", "interval"):
                found = server.load(work, run, seconds=10)
                show(f"{work}_ms", found["p50_ms"], found)
        show("memory_mib", server.memory())
        if "large" in only and not database:
            experiment = server.experiment()
            server.fill(experiment, 100_000)
            found = server.load("filter", experiment, seconds=10)
            show("large_p50_ms", found["p50_ms"], found)
            show("large_p99_ms", found["p99_ms"])
            show("large_memory_mib", server.memory())
    finally:
        server.stop()


def table(figures):
    lines = ["| work | MLflow | opsroom | ratio | wanted | met |", "|---|--:|--:|--:|--:|---|"]
    for key, (label, unit, bigger, wanted, kind) in ROWS.items():
        theirs, ours = figures.get("mlflow", {}).get(key), figures.get("opsroom", {}).get(key)
        ratio = (ours / theirs if bigger else theirs / ours) if theirs and ours else None
        met = None if ours is None else ours < wanted if kind == "below" else ratio and ratio >= wanted
        cell = lambda x: "" if x is None else f"{x:,.0f}" if x >= 100 else f"{x:.3g}"  # noqa: E731
        aim = f"< {wanted} {unit}" if kind == "below" else f"{wanted} ×"
        said = "" if met is None else "yes" if met else "no"
        lines.append(f"| {label} ({unit}) | {cell(theirs)} | {cell(ours)} | {cell(ratio)} | {aim} | {said} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="start,batch,single,search,history,large")
    parser.add_argument("--side", choices=["both", "mlflow", "opsroom"], default="both")
    parser.add_argument("--mlflow", default=shutil.which("mlflow") or "mlflow", help="the mlflow command")
    parser.add_argument("--opsroom", default=os.environ.get("OPSROOM_BIN", "target/release/opsroom"))
    parser.add_argument("--baseline", help="a --json file of earlier figures, for the side that is not measured")
    parser.add_argument("--json", help="write the figures there")
    args = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is missing: apt-get install wrk")
    figures = json.loads(Path(args.baseline).read_text()) if args.baseline else {}
    figures["machine"] = {"cores": os.cpu_count(), "load": os.getloadavg()[0]}
    sides = {
        "mlflow": [
            os.path.abspath(args.mlflow),
            "server",
            "--host",
            "127.0.0.1",
            "--port",
            "{port}",
            "--backend-store-uri",
            "sqlite:///{dir}/mlflow.db",
            "--artifacts-destination",
            "{dir}/artifacts",
        ],
        "opsroom": [
            os.path.abspath(args.opsroom),
            "agent",
            "--listen",
            "127.0.0.1:{port}",
            "--store",
            "{dir}/opsroom.db",
            "--artifacts",
            "{dir}/artifacts",
        ],
    }
    for side, command in sides.items():
        if args.side not in ("both", side):
            continue
        with tempfile.TemporaryDirectory(prefix=f"bench-{side}-") as directory:
            figures[side] = {"cpu_ms_per_request": {}}

            def show(key, value, found=None, side=side):
                figures[side][key] = round(value, 4)
                cpu = ""
                if found:
                    figures[side]["cpu_ms_per_request"][key] = round(found["cpu_ms"], 4)
                    cpu = f"   {found['cpu_ms']:,.3f} ms CPU a request, {found['n']:,} requests"
                print(f"{side:8} {key:18} {value:12,.3f}{cpu}", flush=True)

            measure(
                Server(side, command, directory),
                args.only.split(","),
                show,
                f"{directory}/mlflow.db" if side == "mlflow" else None,
            )
    print("\n" + table(figures))
    if args.json:
        Path(args.json).write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
