"""A service whose speed a test chooses, as the service of a project under test."""

from __future__ import annotations

from pathlib import Path

SERVICE = """\
import sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        time.sleep(DELAY)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *arguments):
        pass

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def write_service(folder: Path, delay: float) -> None:
    """Write `service.py`, whose answers take so many seconds."""
    (folder / "service.py").write_text(SERVICE.replace("DELAY", str(delay)))
