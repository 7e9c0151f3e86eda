#!/usr/bin/env python3
"""Memory of an agent that watches 600 versions, and what days of them take on disk.

    cargo build --release
    OPSROOM_BIN=target/release/opsroom python3 benches/peers/live.py

200 services with 3 versions each, 20 columns, two slices. Memory: so many predictions a second for so long, in bodies of 500 rows;
resident memory of the agent every ten seconds. Disk: so many days, every version in every hour, then ten times as many rows; the
size of the counters (tables monitor_cells and monitor_arms) without the journal, which is capped by itself.
--seconds N, --rate N, --days N, --rows N (of a version in an hour), --only memory,disk, --json FILE keeps the figures.
"""

import argparse
import http.client
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

OPSROOM = os.environ.get("OPSROOM_BIN", "target/release/opsroom")
TICK = os.sysconf("SC_CLK_TCK")
ARMS = [(f"s{i // 3}", str(i % 3 + 1)) for i in range(600)]


def features(dice):
    row = {f"n{i}": round(dice.gauss(0, 1 + i), 4) for i in range(10)}
    row.update({f"i{i}": dice.randrange(10 ** (i + 1)) for i in range(4)})
    row.update({f"t{i}": f"v{min(int(dice.expovariate(0.2 / (i + 1))), 400)}" for i in range(6)})
    return json.dumps(row)


class Agent:
    def __init__(self, folder):
        home = Path(folder)
        self.store = home / "data/opsroom/opsroom.db"
        names = ["CONFIG", "DATA", "STATE", "CACHE"]
        self.env = dict(os.environ, HOME=str(home), **{f"XDG_{n}_HOME": str(home / n.lower()) for n in names})
        self.process = subprocess.Popen(
            [OPSROOM, "agent", "--listen", "127.0.0.1:0", "--router", "127.0.0.1:0"],
            env=self.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        address = self.process.stdout.readline().split()[-1]
        self.line = http.client.HTTPConnection(address.removeprefix("http://"), timeout=120)

    def post(self, body):
        self.line.request("POST", "/api/v1/predictions", body, {"content-type": "application/x-ndjson"})
        answer = json.loads(self.line.getresponse().read())
        assert not answer["rejected"], answer["rejected"][:3]
        return answer["accepted"]

    def memory(self):
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(l for l in lines if l.startswith("VmRSS")).split()[1]) / 1024

    def cpu(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def stop(self):
        subprocess.run([OPSROOM, "agent", "stop"], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        self.process.wait(timeout=120)


class Rows:
    def __init__(self):
        self.dice = random.Random(3)
        self.pool = [features(self.dice) for _ in range(5000)]
        self.id = 0

    def row(self, arm, when=None):
        self.id += 1
        score = self.dice.random()
        time_of = f', "time": "{when}"' if when else ""
        return (
            f'{{"id": "p{self.id}", "service": "{arm[0]}", "version": "{arm[1]}", "features": {self.pool[self.id * 7919 % 5000]}, '
            f'"prediction": {int(score > 0.5)}, "score": {score}, "latency_ms": {3 + score}, '
            f'"slices": {{"country": "c{self.id % 5}", "channel": "k{self.id % 3}"}}{time_of}}}'
        )


def memory(seconds, rate):
    with tempfile.TemporaryDirectory() as folder:
        agent, rows = Agent(folder), Rows()
        try:
            told, sent, begin, cpu = [], 0, time.time(), agent.cpu()
            next_look = 10
            while time.time() - begin < seconds:
                if sent > (time.time() - begin) * rate:
                    time.sleep(0.01)
                    continue
                sent += agent.post("\n".join(rows.row(ARMS[(sent + i) % 600]) for i in range(500)))
                if time.time() - begin > next_look:
                    told.append(round(agent.memory(), 1))
                    print(f"{next_look:>5} s  {sent:>9} predictions  {told[-1]:7.1f} MiB", flush=True)
                    next_look += 10
            used = agent.cpu() - cpu
            found = {"seconds": seconds, "rate": round(sent / (time.time() - begin)), "predictions": sent, "mib": told}
            found |= {"mib_most": max(told), "cpu_share": round(used / (time.time() - begin), 3)}
            print(f"most {found['mib_most']} MiB at {found['rate']} predictions a second, {found['cpu_share'] * 100:.0f} % of one CPU")
            return found
        finally:
            agent.stop()


def counters_bytes(store):
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as db:
        size = "select coalesce(sum(length(doc)), 0), count(*) from "
        cells, n = db.execute(size + "monitor_cells").fetchone()
        arms, _ = db.execute(size + "monitor_arms").fetchone()
        kinds = dict(db.execute("select span, count(*) from monitor_cells group by span"))
        by_span = dict(db.execute("select span, sum(length(doc)) from monitor_cells group by span"))
    return cells + arms, n, kinds, by_span


def disk(days, per_hour):
    with tempfile.TemporaryDirectory() as folder:
        agent, rows = Agent(folder), Rows()
        try:
            first = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0) - timedelta(days=days)
            begin = time.time()
            for hour in range(days * 24):
                lines = []
                for arm in ARMS:
                    for i in range(per_hour):
                        when = first + timedelta(hours=hour, seconds=i * 3600 / per_hour)
                        lines.append(rows.row(arm, when.strftime("%Y-%m-%dT%H:%M:%SZ")))
                for i in range(0, len(lines), 5000):
                    agent.post("\n".join(lines[i:i + 5000]))
            time.sleep(25)
            size, cells, kinds, by_span = counters_bytes(agent.store)
            found = {"days": days, "rows": rows.id, "bytes": size, "cells": cells, "by_span": kinds, "bytes_by_span": by_span}
            found["file_bytes"] = agent.store.stat().st_size
            print(f"{days} days, {rows.id} predictions: counters {size / 2**20:.0f} MiB in {cells} cells {kinds} "
                  f"{by_span} ({time.time() - begin:.0f} s)", flush=True)
            return found
        finally:
            agent.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--rate", type=int, default=5000)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--rows", type=int, default=10)
    parser.add_argument("--only", default="memory,disk")
    parser.add_argument("--json")
    asked = parser.parse_args()
    found = {}
    if "memory" in asked.only:
        found["memory"] = memory(asked.seconds, asked.rate)
    if "disk" in asked.only:
        found["disk"] = [disk(asked.days, asked.rows), disk(asked.days, asked.rows * 10)]
        once, tenfold = (d["bytes"] for d in found["disk"])
        print(f"ten times the traffic takes {tenfold / once:.2f} times the room")
    if asked.json:
        Path(asked.json).write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
