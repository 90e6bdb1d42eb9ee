"""A service that wastes on purpose: requests keep memory, spin, and fork children that spin.

It tells of itself at /metrics in Prometheus' text format, by that project's own client, and answers
queries as a Prometheus server does.
"""

from __future__ import annotations

import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

KEPT: list[bytes] = []
LEAK = int(os.environ["LEAK"])
SPIN = float(os.environ["SPIN"])

registry = CollectorRegistry()
requests = Counter("app_requests", "Requests.", ["path"], registry=registry)
seconds = Histogram("app_seconds", "How long they took.", registry=registry)
held = Gauge("app_held_bytes", "What is kept.", registry=registry)


def spin(cpu: float) -> None:
    end = time.process_time() + cpu
    while time.process_time() < end:
        pass


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        requests.labels(self.path.partition("?")[0]).inc()
        if self.path == "/hangs" and requests.labels("/hangs")._value.get() > 1:
            threading.Event().wait()
        if self.path in ("/metrics", "/hangs"):
            self.answer("text/plain; version=0.0.4", generate_latest(registry))
        elif self.path.startswith("/api/v1/query?"):
            value = {"metric": {}, "value": [0, "0.0025"]}
            told = {"status": "success", "data": {"resultType": "vector", "result": [value]}}
            self.answer("application/json", json.dumps(told).encode())
        else:
            with seconds.time():
                self.work()
            self.answer("text/plain", b"done")

    def work(self) -> None:
        if LEAK:
            KEPT.append(b"x" * LEAK)
            held.set(LEAK * len(KEPT))
        if SPIN:
            spin(SPIN / 2)
        if SPIN and len(KEPT) % 5 == 0:
            child = os.fork()
            if not child:
                spin(5 * SPIN / 2)
                os._exit(0)
            os.waitpid(child, 0)

    def answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
