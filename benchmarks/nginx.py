"""nginx as the server of the benchmarks: one worker on a core of its own, HTTP and TLS 1.3."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.measuring import SERVER_CORE, BenchmarkError, answer_of, free_port, started

_CONFIGURATION = """\
daemon off;
%(user)s
worker_processes 1;
pid nginx.pid;
error_log stderr;
events { worker_connections 15000; }
http {
    access_log off;
    default_type application/json;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    keepalive_time 1h;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    ssl_certificate certificate.pem;
    ssl_certificate_key key.pem;
    ssl_protocols TLSv1.3;
    server {
        listen 127.0.0.1:%(port)d backlog=15000;
        listen 127.0.0.1:%(tls_port)d ssl;
        location / {
            return 200 '%(product)s';
        }
        location = /orders { return 201 '{"id":4711,"state":"accepted","total":"129.90"}'; }
        location = /status { stub_status; }
    }
}
"""

_PRODUCT = {
    "id": 4711,
    "sku": "SKU-00004711",
    "name": "Reactive zero-defect firmware",
    "price": "129.90",
    "stock": 81,
}


class Counters(NamedTuple):
    """What nginx has seen since its start, this question among it."""

    connections: int
    requests: int


@dataclass(frozen=True, slots=True)
class Nginx:
    """A running server: where it listens, and the certificate to trust for TLS."""

    port: int
    tls_port: int
    certificate: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        return f"https://127.0.0.1:{self.tls_port}"

    def counters(self) -> Counters:
        """Ask for the counters, which costs one connection and one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/status")
            lines = connection.getresponse().read().decode().splitlines()
        finally:
            connection.close()
        _, handled, requests = (int(word) for word in lines[2].split())
        return Counters(handled, requests)


@contextmanager
def nginx_running() -> Iterator[Nginx]:
    """A server that is there within the block. Raises BenchmarkError when it cannot be started."""
    program = find_nginx()
    if program is None:
        raise BenchmarkError("nginx is missing: apt install nginx-light")
    with tempfile.TemporaryDirectory(prefix="benchmark-nginx-") as place:
        folder = Path(place)
        server = Nginx(free_port(), free_port(), folder / "certificate.pem")
        _make_certificate(folder)
        configuration = folder / "nginx.conf"
        configuration.write_text(
            _CONFIGURATION
            % {
                # Only root can choose the worker's user, and by default it could not read here.
                "user": "user root;" if os.geteuid() == 0 else "",
                "product": json.dumps(_PRODUCT, separators=(",", ":")),
                "port": server.port,
                "tls_port": server.tls_port,
            }
        )
        command = [program, "-p", place, "-e", "stderr", "-c", str(configuration)]
        with started(command, folder=folder, core=SERVER_CORE) as process:
            _await(server, process, folder / "output")
            yield server


def find_nginx() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def nginx_version() -> str:
    return answer_of(find_nginx() or "nginx", "-v").rpartition("/")[2]


def _make_certificate(folder: Path) -> None:
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        "-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 "
        "-addext keyUsage=critical,digitalSignature,keyCertSign "
        "-keyout key.pem -out certificate.pem"
    )
    try:
        done = subprocess.run(
            command.split(), cwd=folder, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise BenchmarkError("openssl is missing: apt install openssl") from error
    if done.returncode:
        raise BenchmarkError(f"openssl made no certificate:\n{done.stderr}")


def _await(server: Nginx, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        try:
            server.counters()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise BenchmarkError(f"nginx did not start:\n{log.read_text()}")
