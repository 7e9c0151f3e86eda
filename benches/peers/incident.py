#!/usr/bin/env python3
"""`opsroom incident N` from the shell to the first frame, and to the figures: the two waits of whoever was just woken.

    cargo build --release
    OPSROOM_BIN=target/release/opsroom python3 benches/peers/incident.py

60 services with 3 versions, 20 columns and 8 slices each, an hour of predictions with labels, an incident on every third service.
The room opens in a pty of 120x40; first frame: the incident's number stands on the screen; live: its slices do.
--services N, --rows N (of a version), --times N, --json FILE keeps the figures.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

from live import OPSROOM, Agent, features
from room import Room


def fill(agent, services, rows_of_one):
    dice = random.Random(5)
    now = datetime.now(timezone.utc)
    for service in range(services):
        lines, labels = [], []
        for version in range(1, 4):
            for i in range(rows_of_one):
                when = (now - timedelta(seconds=3590 * (i + 1) / rows_of_one)).strftime("%Y-%m-%dT%H:%M:%SZ")
                name, score = f"s{service}-{version}-{i}", round(dice.random(), 4)
                lines.append(
                    f'{{"id": "{name}", "service": "s{service}", "version": "{version}", "time": "{when}", '
                    f'"features": {features(dice)}, "prediction": {int(score > 0.5)}, "score": {score}, "latency_ms": 5, '
                    f'"slices": {{"country": "c{i % 5}", "channel": "k{i % 3}"}}}}'
                )
                labels.append(json.dumps({"id": name, "label": int(dice.random() < score)}))
        agent.post("\n".join(lines))
        agent.post("\n".join(labels), "labels")
        if service % 3 == 0:
            call = [OPSROOM, "incident", "raise", f"s{service}", "auc", "auc 0.61 < 0.66", "--severity", "1"]
            subprocess.run(call, env=agent.env, check=True, stdout=subprocess.DEVNULL)


class Terminal(Room):
    """One that answers what a terminal is asked: its background, and what it is."""

    def read(self, wait):
        got = super().read(wait)
        if b"\x1b[c" in got:
            os.write(self.tty, b"\x1b]11;rgb:1010/1010/1010\x1b\\\x1b[?62;22c")
        return got


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, default=60)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--times", type=int, default=9)
    parser.add_argument("--json")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        agent = Agent(folder)
        try:
            fill(agent, asked.services, asked.rows)
            time.sleep(12)
            env = {**agent.env, "TERM": "xterm-256color", "LANG": "C.UTF-8", "COLORTERM": "truecolor"}
            first, live = [], []
            for i in range(asked.times):
                room = Terminal([os.path.abspath(OPSROOM), "incident", str(i % (asked.services // 3) + 1)], env)
                first.append(1000 * room.until(b"INC-"))
                live.append(1000 * room.until(b"country="))
                room.close()
        finally:
            agent.stop()
    found = {"first_frame_ms": [round(x, 1) for x in first], "live_ms": [round(x, 1) for x in live]}
    found |= {"first_frame_median_ms": round(statistics.median(first), 1), "live_median_ms": round(statistics.median(live), 1)}
    print(json.dumps(found, indent=1))
    if asked.json:
        Path(asked.json).write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
