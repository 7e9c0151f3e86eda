#!/usr/bin/env python3
"""A run of 1,000,000 points, from its `.wandb` file to complete charts: `opsroom open` beside LEET, W&B's own terminal viewer.

    cargo build --release
    python -m venv w && w/bin/pip install -r tests/clients/requirements.txt
    OPSROOM_BIN=target/release/opsroom w/bin/python benches/peers/wandb.py

The file is made once by W&B's client (offline; 100,000 steps of 10 metrics, about 80 MB; ten minutes), or given with --file
RUN_FOLDER. Each viewer runs in a tmux of its own, 120x40, as a person would see it; its screen is read every 20 ms, and the
charts count as complete at the first moment from which their cells stay as they are at the end (five seconds without a
change; only braille and block characters are compared, so clocks and blinking dots do not count). CPU seconds are user and
system of the viewer's processes up to that moment, peak memory is VmHWM then. Both are opened on the run alone: LEET by
`--run-file`, opsroom by the file. The file is read once before, so that the disk plays no part. Runs alternate; the median
is told, with all figures in --json FILE. Only Python's standard library and tmux are needed beside wandb.

With --live: how long a point takes from `wandb.log` in a script, whose client sends every second, to the screen of a room that
shows the run: the value is looked for in the cells of the terminal every 20 ms. A point each 3.3 s, so that they fall on
different moments of the client's second.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
QUIET_S = 5
LIMIT_S = 180

MAKE = """
import math, sys, wandb
steps = int(sys.argv[1])
run = wandb.init(project="million", name="a million points", settings=wandb.Settings(console="off", x_disable_stats=True))
for i in range(steps):
    run.log({f"m{k}": math.sin(i * 1e-3 * (k + 1)) + 1 / (i + 1) for k in range(10)})
run.finish()
"""


def private(folder, **more):
    names = ["CONFIG", "DATA", "STATE", "CACHE"]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "OPSROOM_", "TMUX"))}
    env |= {"HOME": str(folder), "WANDB_CONFIG_DIR": str(folder), "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    return env | {f"XDG_{n}_HOME": str(folder / n.lower()) for n in names} | more


def made(folder, steps):
    """The folder of a run by W&B's client."""
    env = private(folder, WANDB_MODE="offline", WANDB_SILENT="true", WANDB_DIR=str(folder))
    subprocess.run([sys.executable, "-c", MAKE, str(steps)], env=env, cwd=folder, check=True)
    return next((folder / "wandb").glob("offline-run-*"))


def family(pid):
    """A process and all beneath it."""
    pids = [pid]
    for one in pids:
        try:
            pids += [int(p) for p in Path(f"/proc/{one}/task/{one}/children").read_text().split()]
        except OSError:
            pass
    return pids


def cpu(pids):
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += (int(fields[11]) + int(fields[12])) / TICK
    return total


def peak_mib(pids):
    total = 0
    for pid in pids:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    return total


def charts(screen):
    """What is drawn of curves on a screen: its braille and block cells with their places."""
    return "\n".join("".join(c if "\u2800" < c <= "\u28ff" or "\u2581" <= c <= "\u2588" else " " for c in line).rstrip() for line in screen.splitlines())


class Terminal:
    """A tmux of its own with one window."""

    def __init__(self, folder, command, env):
        self.socket = str(folder / "tmux")
        self.env = env
        self.begin = time.monotonic()
        self.tmux("new-session", "-d", "-s", "w", "-x", "120", "-y", "40", "exec " + " ".join(f"'{c}'" for c in command))

    def tmux(self, *args):
        return subprocess.run(["tmux", "-S", self.socket, "-f", "/dev/null", *args], env=self.env, capture_output=True, text=True, check=False).stdout

    def pid(self):
        return int(self.tmux("list-panes", "-t", "w", "-F", "#{pane_pid}").strip() or 0)

    def screen(self):
        return self.tmux("capture-pane", "-p", "-t", "w")

    def close(self):
        self.tmux("kill-server")


def watched(command, env, folder):
    """Seconds, CPU seconds and peak memory until the charts are as they stay."""
    terminal = Terminal(folder, command, env)
    try:
        pid = terminal.pid()
        seen, complete = "", None
        while time.monotonic() - terminal.begin < LIMIT_S:
            now = time.monotonic() - terminal.begin
            drawn = charts(terminal.screen())
            if drawn != seen:
                pids = family(pid)
                seen, complete = drawn, (now, cpu(pids), peak_mib(pids))
            elif complete and seen.strip() and now - complete[0] > QUIET_S:
                break
            time.sleep(0.02)
        if not complete or not seen.strip():
            sys.exit(f"{command[0]} drew nothing:\n{terminal.screen()}")
        return dict(zip(("seconds", "cpu_seconds", "peak_mib"), complete)), terminal.screen()
    finally:
        terminal.close()


LIVE = """
import sys, time, wandb
run = wandb.init(project="live", id="live", name="live", settings=wandb.Settings(console="off"))
run.log({"mark": 1})
time.sleep(12)
for nth in range(int(sys.argv[1])):
    value = 2001 + nth
    print(value, time.time(), flush=True)
    run.log({"mark": value})
    time.sleep(3.3)
run.finish()
"""


def live(opsroom, folder, count):
    """Seconds from `wandb.log` to the screen, for so many points."""
    env = private(folder, WANDB_API_KEY="local" + "0" * 40, WANDB_SILENT="true", WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL="1")
    agent = subprocess.Popen([opsroom, "agent", "--listen", "127.0.0.1:0", "--router", "127.0.0.1:0"], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    terminal = script = None
    try:
        env["WANDB_BASE_URL"] = agent.stdout.readline().split()[-1]
        env["OPSROOM_AGENT"] = agent.stdout.readline().split()[-1]
        script = subprocess.Popen([sys.executable, "-c", LIVE, str(count)], env=env, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        time.sleep(8)
        terminal = Terminal(folder, [opsroom], env)
        took = []
        for line in script.stdout:
            value, at = line.split()
            shown = f"{int(value) / 1000:.3f}k"
            while not any(form in terminal.screen() for form in (value, f"{int(value):,}", shown)):
                if time.time() - float(at) > 30:
                    sys.exit(f"{value} never came to the screen:\n{terminal.screen()}")
                time.sleep(0.02)
            took.append(time.time() - float(at))
            print(f"point {value} was on the screen after {took[-1]:.2f} s", flush=True)
        return took, terminal.screen()
    finally:
        if terminal:
            terminal.close()
        if script:
            script.wait(timeout=60)
        subprocess.run([opsroom, "agent", "stop"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        agent.wait(timeout=60)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, help="the folder of a run that is there already")
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--live", type=int, metavar="POINTS", help="measure live points instead")
    parser.add_argument("--screens", type=Path, help="a folder for the last screens")
    asked = parser.parse_args()
    # This file has the package's name and must not be found for it.
    sys.path = [place for place in sys.path if Path(place or ".").resolve() != Path(__file__).resolve().parent]
    sys.modules.pop("wandb", None)
    import wandb

    core = Path(wandb.__file__).parent / "bin" / "wandb-core"
    opsroom = os.environ.get("OPSROOM_BIN", "target/release/opsroom")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        folder = Path(folder)
        if asked.live:
            took, screen = live(str(Path(opsroom).resolve()), folder, asked.live)
            print(f"median {statistics.median(took):.2f} s, worst {max(took):.2f} s of {len(took)} points")
            if asked.screens:
                asked.screens.mkdir(exist_ok=True)
                (asked.screens / "live.txt").write_text(screen)
            if asked.json:
                asked.json.write_text(json.dumps({"seconds": took}, indent=1) + "\n")
            return 0
        run = (asked.file or made(folder, asked.steps)).resolve()
        log = next(run.glob("run-*.wandb"))
        log.read_bytes()
        viewers = {
            "leet": [str(core), "leet", "run", "--no-observability", "--run-file", str(log), str(run.parent)],
            "opsroom": [str(Path(opsroom).resolve()), "open", str(log)],
        }
        found = {"bytes": log.stat().st_size, "wandb": wandb.__version__, "runs": {name: [] for name in viewers}}
        for nth in range(asked.times):
            for name, command in viewers.items():
                home = folder / f"{name}-{nth}"
                home.mkdir()
                figures, screen = watched(command, private(home), home)
                found["runs"][name].append(figures)
                print(f"{name:8} {figures['seconds']:7.2f} s  {figures['cpu_seconds']:6.2f} CPU s  {figures['peak_mib']:6.1f} MiB", flush=True)
                if asked.screens:
                    asked.screens.mkdir(exist_ok=True)
                    (asked.screens / f"{name}.txt").write_text(screen)
                shutil.rmtree(home, ignore_errors=True)
    middle = {name: {k: statistics.median(f[k] for f in all_of) for k in all_of[0]} for name, all_of in found["runs"].items()}
    found["median"] = middle
    for key in ("seconds", "cpu_seconds", "peak_mib"):
        ratio = middle["leet"][key] / max(middle["opsroom"][key], 1e-9)
        print(f"{key}: leet {middle['leet'][key]:.2f}, opsroom {middle['opsroom'][key]:.2f}: {ratio:.1f} times")
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
