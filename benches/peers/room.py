"""The room on a store of many runs: first frame, scroll, sort, filter, groups, and its memory.

  python benches/peers/room.py --opsroom target/release/opsroom

Fills an agent of its own through MLflow's REST door with 100,000 runs (10 metrics, 10 params each), opens the room in a
pty of 120x40, and measures from a key to the end of what it led to on the terminal: the last byte before 120 ms of
silence. The clock's own second is left out (later writes below 60 bytes). Besides: 400 single cursor moves (p99 of key to
frame), the room's own CPU while nothing happens, and the chart of a metric of 1,000,000 points from Enter to drawn. Only
Python's standard library is needed.
"""

import argparse
import fcntl
import http.client
import json
import os
import pty
import random
import select
import signal
import statistics
import struct
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path

from server import Server

METRICS = ["val_loss", "val_auc"] + [f"m{i}" for i in range(8)]
RATES = ["0.1", "0.01", "0.001", "0.0001"]
SILENCE_S = 0.12
CLOCK_BYTES = 60


def fill(server, experiment, count, connections=8):
    """Two requests a run: create, then one batch with all it logs."""
    base = int(time.time() * 1000) - count * 1000
    failed = []

    def part(first):
        line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
        rnd = random.Random(first)

        def post(path, body):
            text = json.dumps(body)
            line.request("POST", "/api/2.0/mlflow/" + path, text, {"Content-Type": "application/json"})
            answer = line.getresponse()
            text = answer.read()
            if answer.status != 200:
                failed.append(text[:200])
            return json.loads(text)

        for i in range(first, count, connections):
            at = base + i * 1000
            made = post("runs/create", {"experiment_id": experiment, "start_time": at, "run_name": f"run-{i}"})
            run = made["run"]["info"]["run_id"]
            metrics = [{"key": key, "value": rnd.random(), "timestamp": at, "step": 0} for key in METRICS]
            params = [{"key": "lr", "value": rnd.choice(RATES)}]
            params += [{"key": f"p{j}", "value": str(rnd.randint(0, 9))} for j in range(9)]
            post("runs/log-batch", {"run_id": run, "metrics": metrics, "params": params})
            if failed:
                return

    threads = [threading.Thread(target=part, args=(n,)) for n in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        sys.exit(f"filling failed: {failed[0]}")


def fill_one(server, experiment, points):
    """A run whose single metric has so many points."""
    line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
    rnd = random.Random(7)

    def post(path, body):
        text = json.dumps(body)
        line.request("POST", "/api/2.0/mlflow/" + path, text, {"Content-Type": "application/json"})
        answer = line.getresponse()
        text = answer.read()
        if answer.status != 200:
            sys.exit(f"filling failed: {text[:200]}")
        return json.loads(text)

    now = int(time.time() * 1000)
    made = post("runs/create", {"experiment_id": experiment, "start_time": now, "run_name": "long-run"})
    run = made["run"]["info"]["run_id"]
    for at in range(0, points, 1000):
        rows = [
            {"key": "long_loss", "value": 1 / (1 + i / 1e5) + rnd.random() / 10, "timestamp": now + i, "step": i}
            for i in range(at, min(at + 1000, points))
        ]
        post("runs/log-batch", {"run_id": run, "metrics": rows})
    post("runs/update", {"run_id": run, "status": "FINISHED"})


class Room:
    """opsroom's room in a pty, and what it writes."""

    def __init__(self, command, env):
        self.began = time.perf_counter()
        self.pid, self.tty = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], command, env)
        fcntl.ioctl(self.tty, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        os.set_blocking(self.tty, False)

    def read(self, wait):
        ready, _, _ = select.select([self.tty], [], [], wait)
        try:
            return os.read(self.tty, 1 << 20) if ready else b""
        except OSError:
            return b""

    def until(self, text, patience=20):
        """Seconds since the start until the text was written."""
        seen = b""
        while text not in seen:
            seen += self.read(0.05)
            if time.perf_counter() - self.began > patience:
                sys.exit(f"the room never showed {text!r}: {seen[-2000:]!r}")
        return time.perf_counter() - self.began

    def drain(self, seconds=1.0):
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            self.read(0.05)

    def press(self, keys):
        """Seconds from the keys to the last byte before silence, and the bytes written."""
        os.write(self.tty, keys.encode())
        began = last = time.perf_counter()
        written, answered = 0, False
        while True:
            got = self.read(SILENCE_S)
            now = time.perf_counter()
            if got and (len(got) >= CLOCK_BYTES or not answered):
                last, written, answered = now, written + len(got), True
            elif not got and answered and now - last >= SILENCE_S:
                return last - began, written
            if now - began > 20:
                sys.exit(f"no answer to {keys!r}")

    def frame(self, keys):
        """Seconds from the keys to the frame that answers them; what is drawn once the cursor rests comes later."""
        os.write(self.tty, keys.encode())
        began = time.perf_counter()
        while len(self.read(5)) < CLOCK_BYTES:
            pass
        seconds = time.perf_counter() - began
        self.drain(0.25)
        return seconds

    def memory(self):
        """MiB of memory of its own (PSS)."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return int(text.split("Pss:")[1].split()[0]) / 1024

    def cpu(self):
        """CPU seconds of its own so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self):
        os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)


# what, keys, keys that lead back
STEPS = [
    ("cursor down", "j", "k"),
    ("page down", "\x1b[6~", "\x1b[5~"),
    ("to the last run", "G", "gg"),
    ("reverse the order", "S", "S"),
    ("sort by val_loss", "sval_loss\r", "sstarted\r"),
    ("filter val_auc>0.9 lr=0.01", "/val_auc>0.9 lr=0.01\r", "/\x1b"),
    ("group by lr", "bparam lr\r", "bone by one\r"),
]


def measure(args, server, env, figures):
    command = [args.opsroom, "--agent", f"http://127.0.0.1:{server.port}"]
    starts = []
    for _ in range(5):
        room = Room(command, env)
        starts.append(room.until(b"run-"))
        room.drain()
        figures["room_mib_opened"] = room.memory()
        room.close()
    figures["first_rows_ms"] = 1000 * statistics.median(starts)
    room = Room(command, env)
    room.until(b"run-")
    room.drain(2)
    for name, keys, back in STEPS:
        times = []
        for _ in range(7):
            seconds, written = room.press(keys)
            times.append(1000 * seconds)
            room.drain(0.3)
            room.press(back)
            room.drain(0.3)
        figures[name] = {"ms": round(statistics.median(times), 1), "max_ms": round(max(times), 1), "bytes": written}
    moves = []
    for i in range(400):
        moves.append(1000 * room.frame("j" if i % 40 < 20 else "k"))
    figures["key_to_frame_ms"] = {"p50": round(statistics.median(moves), 1), "p99": round(sorted(moves)[-4], 1)}
    room.drain(2)
    before, began = room.cpu(), time.perf_counter()
    room.drain(20)
    figures["idle_cpu_percent"] = round(100 * (room.cpu() - before) / (time.perf_counter() - began), 2)
    figures["room_mib_used"] = room.memory()
    figures["agent_mib"] = server.memory()
    room.close()


def measure_chart(args, server, env, figures):
    """From Enter on the run with the long metric to its chart."""
    times = []
    for i in range(5):
        # A state of its own: the room would open where the last one was left.
        fresh = {**env, "XDG_STATE_HOME": f"{env['XDG_STATE_HOME']}-{i}"}
        room = Room([args.opsroom, "--agent", f"http://127.0.0.1:{server.port}"], fresh)
        room.until(b"long-run")
        room.drain(2)
        times.append(1000 * room.press("\r")[0])
        room.close()
    figures["chart_ms"] = {"median": round(statistics.median(times), 1), "max": round(max(times), 1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--opsroom", default=os.environ.get("OPSROOM_BIN", "target/release/opsroom"))
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--points", type=int, default=1_000_000)
    args = parser.parse_args()
    args.opsroom = os.path.abspath(args.opsroom)
    with tempfile.TemporaryDirectory(prefix="opsroom-room-") as directory:
        command = [args.opsroom, "agent", "--listen", "127.0.0.1:{port}", "--store", "{dir}/opsroom.db"]
        command += ["--artifacts", "{dir}/artifacts"]
        server = Server("opsroom", command, directory)
        server.start()
        try:
            began = time.perf_counter()
            experiment = server.experiment()
            fill(server, experiment, args.runs)
            server.settle()
            figures = {"runs": args.runs, "filled_s": round(time.perf_counter() - began, 1)}
            home = {f"XDG_{kind}_HOME": f"{directory}/xdg" for kind in ("CONFIG", "DATA", "STATE", "CACHE")}
            env = {**os.environ, **home, "TERM": "xterm-256color", "LANG": "C.UTF-8", "COLORTERM": "truecolor"}
            measure(args, server, env, figures)
            fill_one(server, experiment, args.points)
            server.settle()
            measure_chart(args, server, env, figures)
            print(json.dumps(figures, indent=1))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
