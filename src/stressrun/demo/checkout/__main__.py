"""Serves the shop on loopback until it is asked to end."""

from __future__ import annotations

import os
import sys

import uvicorn

from stressrun.demo.checkout.app import create_app
from stressrun.demo.checkout.slowness import read_slowness


def main() -> None:
    database_url, port = os.environ.get("DATABASE_URL"), os.environ.get("PORT", "8000")
    if not database_url:
        sys.exit("DATABASE_URL is not set; it is of the form postgresql://user:password@host/name")
    if not (port.isdecimal() and int(port) < 2**16):
        sys.exit(f"PORT must be a port number, not {port!r}")
    try:
        slowness = read_slowness(os.environ)
    except ValueError as error:
        sys.exit(f"a SHOP_… variable is wrong: {error}")
    uvicorn.run(
        create_app(database_url, slowness, os.environ.get("PAYMENTS_URL")),
        host="127.0.0.1",
        port=int(port),
        access_log=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    main()
