#!/usr/bin/env python3
"""Memory of an agent that watches 600 versions, and what days of them take on disk.

    cargo build --release
    OPSROOM_BIN=target/release/opsroom python3 benches/peers/live.py

200 services with 3 versions each, 20 columns, slices by two names. Memory: so many predictions a second for so long, in bodies of
500 rows; resident memory of the agent every ten seconds. Disk: counters of a version do not know of other versions, and those of an
hour nothing of other hours, so a few versions at the rate that each of the 600 has are measured for some hours, and told for 600 and
seven days: hours, the newest two to three of which are kept by the minute, without the journal, which is capped by itself. Then a
tenth of the traffic, to see what ten times costs.
--seconds N, --rate N, --hours N, --versions N (on disk), --slices N (values of each name), --only memory,disk, --json FILE keeps the figures.
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

    def post(self, body, what="predictions"):
        self.line.request("POST", f"/api/v1/{what}", body, {"content-type": "application/x-ndjson"})
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
    def __init__(self, values):
        self.values = values
        self.dice = random.Random(3)
        self.pool = [features(self.dice) for _ in range(5000)]
        self.id = 0

    def of_slice(self):
        return self.dice.randrange(self.values) if self.values > 1 else 0

    def row(self, arm, when=None):
        self.id += 1
        score = self.dice.random()
        time_of = f', "time": "{when}"' if when else ""
        return (
            f'{{"id": "p{self.id}", "service": "{arm[0]}", "version": "{arm[1]}", "features": {self.pool[self.id * 7919 % 5000]}, '
            f'"prediction": {int(score > 0.5)}, "score": {score}, "latency_ms": {3 + score}, '
            f'"slices": {{"country": "c{self.of_slice()}", "channel": "k{self.of_slice()}"}}{time_of}}}'
        )


def memory(seconds, rate, values):
    with tempfile.TemporaryDirectory() as folder:
        agent, rows = Agent(folder), Rows(values)
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
        arms = db.execute("select coalesce(sum(length(doc)), 0) from monitor_arms").fetchone()[0]
        by_span = {
            span: {"cells": cells, "bytes": size, "stretches": stretches}
            for span, cells, size, stretches in db.execute(
                "select span, count(*), sum(length(doc)), count(distinct minute) from monitor_cells group by span"
            )
        }
        # What a row takes beside its document: its keys, and both again in the index.
        pages = dict(db.execute("select name, sum(pgsize) from dbstat where name like '%monitor_cells%' group by name"))
    return arms, by_span, sum(pages.values())


def disk(hours, versions, rows_an_hour, values):
    """Bytes of 600 versions in seven days, told from those of a few in some hours."""
    with tempfile.TemporaryDirectory() as folder:
        agent, rows, begin = Agent(folder), Rows(values), time.time()
        try:
            this_hour = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0)
            for back in range(hours, 0, -1):
                first = this_hour - timedelta(hours=back)
                # An hour is one cell in the end, however its rows lie in it: only those that stay minutes are spread over them.
                length = 3600 if back <= 3 else 60
                lines = []
                for i in range(rows_an_hour):
                    when = (first + timedelta(seconds=i * length / rows_an_hour)).strftime("%Y-%m-%dT%H:%M:%SZ")
                    lines.extend(rows.row(arm, when) for arm in ARMS[:versions])
                    if len(lines) >= 5000 or i == rows_an_hour - 1:
                        agent.post("\n".join(lines))
                        lines = []
            while True:
                time.sleep(11)
                arms, by_span, file_bytes = counters_bytes(agent.store)
                if by_span[60]["stretches"] + by_span[1]["stretches"] // 60 >= hours:
                    break
            share = file_bytes / sum(s["bytes"] for s in by_span.values())
            hour, minute = (by_span[s]["bytes"] / by_span[s]["stretches"] / versions for s in (60, 1))
            whole = len(ARMS) * (arms / versions + share * (hour * (7 * 24 - 2) + minute * 3 * 60))
            found = {"hours": hours, "versions": versions, "rows_an_hour": rows_an_hour, "by_span": by_span, "arms": arms,
                     "file_share": share, "hour_bytes": hour, "minute_bytes": minute, "seven_days_bytes": round(whole)}
            print(f"{rows_an_hour} rows of a version in an hour: {hour / 1024:.1f} KiB an hour, {minute / 1024:.1f} KiB a minute, "
                  f"{share:.2f} of that in the file; 600 versions in seven days {whole / 2**30:.2f} GiB "
                  f"({rows.id} rows, {time.time() - begin:.0f} s)", flush=True)
            return found
        finally:
            agent.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--rate", type=int, default=5000)
    parser.add_argument("--hours", type=int, default=8)
    parser.add_argument("--versions", type=int, default=6)
    parser.add_argument("--slices", type=int, default=1)
    parser.add_argument("--only", default="memory,disk")
    parser.add_argument("--json")
    asked = parser.parse_args()
    found = {}
    if "memory" in asked.only:
        found["memory"] = memory(asked.seconds, asked.rate, asked.slices)
    if "disk" in asked.only:
        rows = asked.rate * 3600 // len(ARMS)
        found["disk"] = [disk(asked.hours, asked.versions, n, asked.slices) for n in (rows // 10, rows)]
        once, tenfold = (d["seven_days_bytes"] for d in found["disk"])
        print(f"ten times the traffic takes {tenfold / once:.2f} times the room")
    if asked.json:
        Path(asked.json).write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
