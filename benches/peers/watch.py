#!/usr/bin/env python3
"""Predictions on their way into the counters, beside whylogs' `log`: the same rows, in one run on one machine.

    cargo build --release
    python -m venv w && w/bin/pip install whylogs 'numpy<2' 'pandas<3'
    OPSROOM_BIN=target/release/opsroom WHYLOGS_PYTHON=w/bin/python python3 benches/peers/watch.py

20 columns (14 numbers, 6 texts), a score, a prediction and two slices a row. opsroom: NDJSON over HTTP, durable when it is
acknowledged, counted against the version's first window; CPU seconds are user and system of the agent alone, until the counts
are in their cells. whylogs: a DataFrame of as many rows at a time, CPU seconds of `why.log`, nothing kept on disk.
--rows N, --batch N, --json FILE keeps the figures. --kernel: the counting alone too, by `cargo bench --bench kernel`, in cells, of
which whylogs counts 20 a row.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

OPSROOM = os.environ.get("OPSROOM_BIN", "target/release/opsroom")
TICK = os.sysconf("SC_CLK_TCK")

WHYLOGS = """
import json, sys, time
import pandas as pd
import whylogs as why
batch = int(sys.argv[2])
rows = [json.loads(line) for line in open(sys.argv[1])]
frames = [pd.DataFrame(rows[i:i + batch]) for i in range(0, len(rows), batch)]
why.log(frames[0])
begin = time.process_time()
for frame in frames:
    why.log(frame)
print(time.process_time() - begin)
"""


def cpu_of(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def features(dice):
    row = {f"n{i}": round(dice.gauss(0, 1 + i), 4) for i in range(10)}
    row.update({f"i{i}": dice.randrange(10 ** (i + 1)) for i in range(4)})
    row.update({f"t{i}": f"v{min(int(dice.expovariate(0.2 / (i + 1))), 400)}" for i in range(6)})
    if dice.random() < 0.02:
        row["n0"] = None
    return row


def post(address, path, body):
    asked = urllib.request.Request(address + path, data=body, headers={"content-type": "application/x-ndjson"})
    with urllib.request.urlopen(asked) as answer:
        return json.loads(answer.read())


def opsroom(rows, batch, folder):
    home = Path(folder)
    names = ["CONFIG", "DATA", "STATE", "CACHE"]
    env = dict(os.environ, HOME=str(home), **{f"XDG_{n}_HOME": str(home / n.lower()) for n in names})
    agent = subprocess.Popen(
        [OPSROOM, "agent", "--listen", "127.0.0.1:0", "--router", "127.0.0.1:0"],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )
    try:
        address = agent.stdout.readline().split()[-1]
        dice = random.Random(7)
        bodies = []
        for start in range(0, len(rows), batch):
            lines = []
            for i, row in enumerate(rows[start:start + batch], start):
                score = dice.random()
                lines.append(json.dumps({
                    "id": f"p{i}", "service": "bench", "version": "1", "features": row, "prediction": int(score > 0.5),
                    "score": score, "slices": {"country": row["t0"], "channel": row["t1"]}, "latency_ms": 3.0,
                }))
            bodies.append("\n".join(lines).encode())
        post(address, "/api/v1/predictions", bodies[0])
        time.sleep(11)
        before, begin = cpu_of(agent.pid), time.time()
        taken = sum(post(address, "/api/v1/predictions", body)["accepted"] for body in bodies[1:])
        wall = time.time() - begin
        # Counts go to their cells every ten seconds.
        time.sleep(12)
        return taken, cpu_of(agent.pid) - before, wall
    finally:
        subprocess.run([OPSROOM, "agent", "stop"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        agent.wait(timeout=60)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--batch", type=int, default=5_000)
    parser.add_argument("--kernel", action="store_true")
    parser.add_argument("--json")
    asked = parser.parse_args()
    dice = random.Random(1)
    rows = [features(dice) for _ in range(asked.rows)]
    found = {"rows": asked.rows, "batch": asked.batch}
    with tempfile.TemporaryDirectory() as folder:
        taken, cpu, wall = opsroom(rows, asked.batch, folder)
        found["opsroom"] = {"rows": taken, "cpu_seconds": round(cpu, 2), "rows_per_cpu_second": round(taken / cpu), "wall_seconds": round(wall, 1)}
        print(f"opsroom  {taken:>8} rows  {cpu:7.2f} CPU s  {taken / cpu:>9.0f} rows a CPU second", flush=True)
        python = os.environ.get("WHYLOGS_PYTHON")
        if python:
            path = Path(folder) / "rows.ndjson"
            path.write_text("\n".join(json.dumps(r) for r in rows))
            spent = float(subprocess.run([python, "-c", WHYLOGS, str(path), str(asked.batch)], capture_output=True, text=True, check=True).stdout.split()[-1])
            found["whylogs"] = {"rows": len(rows), "cpu_seconds": round(spent, 2), "rows_per_cpu_second": round(len(rows) / spent)}
            print(f"whylogs  {len(rows):>8} rows  {spent:7.2f} CPU s  {len(rows) / spent:>9.0f} rows a CPU second")
            print(f"opsroom does {found['opsroom']['rows_per_cpu_second'] / found['whylogs']['rows_per_cpu_second']:.1f} times as many")
            if asked.kernel:
                told = subprocess.run(["cargo", "bench", "-q", "--bench", "kernel"], capture_output=True, text=True, check=True).stdout
                found["kernel"] = {"cells_per_cpu_second": int(told.split()[0])}
                cells = 20 * found["whylogs"]["rows_per_cpu_second"]
                print(f"kernel   {told.strip()}: {found['kernel']['cells_per_cpu_second'] / cells:.1f} times whylogs' {cells}")
    if asked.json:
        Path(asked.json).write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
