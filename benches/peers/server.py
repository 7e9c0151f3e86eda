"""A server under the load of load.lua: started, filled, driven with wrk, weighed, stopped."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

LUA = Path(__file__).with_name("load.lua")


class Server:
    """A server process in a directory of its own, and the few REST calls that prepare a load."""

    def __init__(self, name, command, directory):
        self.name, self.command, self.directory = name, command, directory
        self.process = None

    def start(self):
        """Starts it and returns the seconds until /health answers 200."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [part.format(port=self.port, dir=self.directory) for part in self.command]
        home = {f"XDG_{kind}_HOME": f"{self.directory}/xdg" for kind in ("CONFIG", "DATA", "STATE", "CACHE")}
        env = {**os.environ, **home, "XDG_RUNTIME_DIR": self.directory, "MLFLOW_DISABLE_TELEMETRY": "true"}
        with open(f"{self.directory}/log", "ab") as log:
            began = time.perf_counter()
            self.process = subprocess.Popen(
                command, env=env, cwd=self.directory, stdout=log, stderr=log, start_new_session=True
            )
        while True:
            try:
                probe = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                probe.request("GET", "/health")
                if probe.getresponse().status == 200:
                    return time.perf_counter() - began
            except (OSError, http.client.HTTPException):
                pass
            if self.process.poll() is not None or time.perf_counter() - began > 120:
                sys.exit(f"{self.name} did not start: see {self.directory}/log")
            time.sleep(0.0005)

    def stop(self):
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)  # the group this script made
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        connection.request(
            method, "/api/2.0/mlflow/" + path, json.dumps(body) if body else None, {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            sys.exit(f"{self.name}: {method} {path} answered {answer.status}: {text[:300]}")
        return json.loads(text)

    def experiment(self):
        return self.call("POST", "experiments/create", {"name": uuid.uuid4().hex})["experiment_id"]

    def runs(self, count, experiment="0"):
        body = {"experiment_id": experiment, "start_time": int(time.time() * 1000)}
        return [self.call("POST", "runs/create", body)["run"]["info"]["run_id"] for _ in range(count)]

    def processes(self, file):
        """The text of /proc/PID/file of each process in the server's session."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.getsid(int(pid)) == self.process.pid:
                    yield Path(f"/proc/{pid}/{file}").read_text()
            except OSError:
                continue

    def memory(self):
        """MiB of all its processes; pages shared between them are counted once (PSS)."""
        return (
            sum(int(text.split("Pss:")[1].split()[0]) for text in self.processes("smaps_rollup") if "Pss:" in text)
            / 1024
        )

    def cpu(self):
        """Seconds of user and system time so far, of all its processes."""
        fields = (text.rsplit(")", 1)[1].split() for text in self.processes("stat"))
        return sum(int(f[11]) + int(f[12]) for f in fields) / os.sysconf("SC_CLK_TCK")

    def settle(self):
        """Waits until it is idle: MLflow goes on importing for long after its first healthy answer."""
        for _ in range(60):
            before = self.cpu()
            time.sleep(1)
            if self.cpu() - before < 0.15:
                return

    def load(self, work, *args, connections=1, seconds=8):
        """One wrk run of load.lua; fails if any answer was not a success."""
        url = f"http://127.0.0.1:{self.port}"
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{seconds}s",
            "--timeout",
            "120s",
            "-s",
            str(LUA),
            url,
            "--",
            work,
            *map(str, args),
        ]
        before = self.cpu()
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found = json.loads(out.split("RESULT ")[1])
        found["cpu_ms"] = 1000 * (self.cpu() - before) / max(found["n"], 1)
        if found["errors"]:
            sys.exit(f"{self.name}: {found['errors']} failed answers in {work}: {found}")
        return found

    def fill(self, experiment, count, connections=32):
        """Makes runs with 10 metrics and 10 params through REST; wrk stays until it is told to end."""
        url = f"http://127.0.0.1:{self.port}"
        each = count // connections
        command = [
            "wrk",
            f"-t{connections}",
            f"-c{connections}",
            "-d900s",
            "--timeout",
            "120s",
            "-s",
            str(LUA),
            url,
            "--",
            "fill",
            experiment,
            str(each),
        ]
        wrk = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        left = connections
        for line in wrk.stdout:
            if line.startswith("FAILED"):
                wrk.kill()
                sys.exit(f"{self.name}: filling {line}")
            left -= line.startswith("FILLED")
            if not left:
                wrk.send_signal(signal.SIGINT)
                break
        wrk.communicate()
