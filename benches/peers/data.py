#!/usr/bin/env python3
"""Data versions beside DVC, and the training profile beside whylogs, in one run on one machine.

    python -m venv v && v/bin/pip install dvc pyarrow numpy && cargo build --release
    OPSROOM_BIN=target/release/opsroom DVC_BIN=v/bin/dvc v/bin/python benches/peers/data.py

Prints CPU seconds (user and system, of the client and of the agent it talks to) for adding 100,000 files of 4 KiB, adding
them again unchanged, and for a file of 1 GiB of which one byte changes, with the bytes that each stores for it. The
profile of a Parquet file of 1,000,000 rows and 20 mixed columns is given in cells a CPU second; whylogs needs numpy<2
(with pyarrow<19 and pandas<3) and an interpreter of its own: WHYLOGS_PYTHON names it, and without it that row shows opsroom alone.
Sections (--only, comma separated): files, large, profile. --json FILE keeps the figures.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

OPSROOM = os.environ.get("OPSROOM_BIN", "target/release/opsroom")
DVC = os.environ.get("DVC_BIN", "dvc")
TICK = os.sysconf("SC_CLK_TCK")

WHYLOGS = """
import sys, time, pandas as pd, pyarrow.parquet as pq, whylogs as why
from whylogs.core import DatasetProfile
file = pq.ParquetFile(sys.argv[1])
frames = [batch.to_pandas() for batch in file.iter_batches(batch_size=50_000)]
begin = time.process_time()
profile = DatasetProfile()
for frame in frames:
    profile.track(frame)
print(time.process_time() - begin)
"""


def cpu_of(pid):
    """User and system seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def children_cpu():
    times = os.times()
    return times.children_user + times.children_system


def tree_bytes(folder):
    return sum(f.stat().st_size for f in Path(folder).rglob("*") if f.is_file())


class Agent:
    def __init__(self, home):
        names = ["CONFIG", "DATA", "STATE", "CACHE"]
        self.env = dict(os.environ, HOME=str(home), **{f"XDG_{n}_HOME": str(home / n.lower()) for n in names})
        self.artifacts = home / "data/opsroom/artifacts"
        self.process = subprocess.Popen(
            [OPSROOM, "agent", "--listen", "127.0.0.1:0"], env=self.env, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2):
            self.process.stdout.readline()

    def run(self, *args):
        """Answer, wall seconds, CPU seconds of client and agent."""
        os.sync()  # what was written before is not paid by who comes next
        agent, mine, begin = cpu_of(self.process.pid), children_cpu(), time.monotonic()
        done = subprocess.run([OPSROOM, *args, "--json"], env=self.env, stdout=subprocess.PIPE, check=True)
        wall = time.monotonic() - begin
        return json.loads(done.stdout), wall, children_cpu() - mine + cpu_of(self.process.pid) - agent

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Dvc:
    def __init__(self, folder):
        self.folder = folder
        subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
        self.run("init", "-q")
        self.run("config", "core.analytics", "false")

    def run(self, *args):
        os.sync()
        mine, begin = children_cpu(), time.monotonic()
        subprocess.run([DVC, *args], cwd=self.folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return None, time.monotonic() - begin, children_cpu() - mine

    def stored(self):
        return tree_bytes(self.folder / ".dvc/cache")


def row(figures, label, ours, theirs, unit="CPU s"):
    ratio = theirs / ours if ours and theirs else float("nan")
    figures[label] = {"opsroom": ours, "peer": theirs, "ratio": ratio}
    print(f"{label:44} {ours:14.2f} {theirs if theirs is not None else float('nan'):14.2f} {ratio:8.1f} x  {unit}", flush=True)


def make_tree(folder, files, size):
    noise = os.urandom(size + files)
    for i in range(files):
        place = folder / f"{i // 1000:03}"
        if i % 1000 == 0:
            place.mkdir(parents=True)
        (place / f"{i:06}.bin").write_bytes(noise[i : i + size])


def files_section(figures, agent, work, count):
    tree = work / "dvc/tree"
    make_tree(tree, count, 4096)
    dvc = Dvc(work / "dvc")
    time.sleep(3)
    for label in ["first", "unchanged"]:
        _, _, theirs = dvc.run("add", "-q", "tree")
        _, _, ours = agent.run("data", "add", str(tree), "--name", "files", "--no-profile")
        row(figures, f"add {count} files of 4 KiB, {label}", ours, theirs)


def large_section(figures, agent, work):
    folder = work / "large"
    folder.mkdir()
    large = folder / "large.bin"
    with large.open("wb") as out:
        for _ in range(64):
            out.write(os.urandom(16 << 20))
    dvc = Dvc(folder)
    _, _, theirs = dvc.run("add", "-q", "large.bin")
    _, _, ours = agent.run("data", "add", str(large), "--name", "large")
    row(figures, "add 1 GiB, first", ours, theirs)
    before = dvc.stored()
    dvc.run("unprotect", "large.bin")
    with large.open("r+b") as out:
        out.seek(512 << 20)
        byte = out.read(1)
        out.seek(512 << 20)
        out.write(bytes([byte[0] ^ 1]))
    _, _, theirs = dvc.run("add", "-q", "large.bin")
    answer, _, ours = agent.run("data", "add", str(large), "--name", "large")
    row(figures, "add 1 GiB again, one byte changed", ours, theirs)
    row(figures, "new bytes stored for it", answer["bytes_stored"] / 2**20, (dvc.stored() - before) / 2**20, "MiB")


def profile_section(figures, agent, work, rows):
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(7)
    columns = {f"n{i}": random.normal(size=rows) for i in range(8)}
    columns |= {f"l{i}": random.lognormal(size=rows) for i in range(3)}
    columns |= {f"i{i}": random.integers(0, 10 ** (2 + i), size=rows) for i in range(3)}
    words = np.array([f"word-{i}" for i in range(2000)])
    columns |= {f"s{i}": words[random.integers(0, 10 * 4**i % 2000 + 5, size=rows)] for i in range(6)}
    path = work / "mixed.parquet"
    pq.write_table(pa.table(columns), path)
    _, _, bare = agent.run("data", "add", str(path), "--name", "bare", "--no-profile")
    _, _, whole = agent.run("data", "add", str(path), "--name", "profiled")
    ours = rows * len(columns) / max(whole - bare, 1e-3) / 1e6
    theirs = None
    if "WHYLOGS_PYTHON" in os.environ:
        out = subprocess.run(
            [os.environ["WHYLOGS_PYTHON"], "-c", WHYLOGS, str(path)], stdout=subprocess.PIPE, check=True, text=True
        )
        theirs = rows * len(columns) / float(out.stdout.split()[-1]) / 1e6
    ratio = ours / theirs if theirs else float("nan")
    figures["profile"] = {"opsroom": ours, "peer": theirs, "ratio": ratio}
    shown = f"{theirs:14.2f}" if theirs else f"{'-':>14}"
    print(f"{'profile of ' + str(rows) + ' x 20 mixed Parquet':44} {ours:14.2f} {shown} {ratio:8.1f} x  million cells a CPU s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="files,large,profile")
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="opsroom-data-"))
    (work / "home").mkdir()
    (work / "dvc").mkdir()
    agent, figures = Agent(work / "home"), {}
    print(f"{'':44} {'opsroom':>14} {'peer':>14} {'ratio':>8}")
    try:
        sections = asked.only.split(",")
        if "files" in sections:
            files_section(figures, agent, work, asked.files)
        if "large" in sections:
            large_section(figures, agent, work)
        if "profile" in sections:
            profile_section(figures, agent, work, asked.rows)
    finally:
        agent.stop()
        shutil.rmtree(work, ignore_errors=True)
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
