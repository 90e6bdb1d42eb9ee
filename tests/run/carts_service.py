"""Carts that live as long as their service: made by POST, counted by GET, removed by DELETE."""

from __future__ import annotations

import itertools
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Carts(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    carts: set[str] = set()  # noqa: RUF012 - all handlers share it
    ids = itertools.count(1)

    def do_POST(self) -> None:
        cart = str(next(self.ids))
        self.carts.add(cart)
        self._answer(201, {"id": cart})

    def do_GET(self) -> None:
        self._answer(200, {"carts": len(self.carts)})

    def do_DELETE(self) -> None:
        cart = self.path.removeprefix("/carts/")
        self._answer(204 if cart in self.carts else 404, None)
        self.carts.discard(cart)

    def _answer(self, status: int, value: object) -> None:
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *about: object) -> None:
        """Be silent."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Carts)
    print(server.server_port, flush=True)
    sys.stdout.close()
    server.serve_forever()
