"""Endpoints put on a server of the test's own, and what both have seen."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import trio

from http_server import Answer, Exchange, Server, response, serve
from lanes import run_endpoints
from stressrun.metrics.recorder import Recorder, Row
from stressrun.scenario.model import Arrivals, Endpoint, Ramp, SharedIterations, Users

RATE = Arrivals(Ramp(100, 100), 50)
ONE_USER = Users(Ramp(1, 1))


def times(iterations: int, vus: int = 1) -> SharedIterations:
    return SharedIterations(iterations, vus)


async def ok(exchange: Exchange) -> bytes:
    return response(200, {"id": 7})


async def against(
    answer: Answer,
    *endpoints: Endpoint,
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
    listeners: Sequence[trio.SocketListener] = (),
    **how: Any,
) -> tuple[Recorder, Server]:
    """The books, and what the server saw; `how` is what `run_endpoints` takes."""
    scheme = "http" if tls is None else "https"
    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(serve, answer, tls=tls, listeners=listeners))
        recorder = await run_endpoints(f"{scheme}://{host}:{server.port}", *endpoints, **how)
        nursery.cancel_scope.cancel()
    return recorder, server


async def against_streams(
    handle: Callable[[trio.SocketStream], Awaitable[None]], *endpoints: Endpoint, **how: Any
) -> Recorder:
    """The books against a server that need not speak HTTP."""
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        scheme = how.pop("scheme", "http")
        recorder = await run_endpoints(f"{scheme}://127.0.0.1:{port}", *endpoints, **how)
        nursery.cancel_scope.cancel()
    return recorder


def only(recorder: Recorder) -> Row:
    """The row of a scenario of one endpoint with one request."""
    (row,) = recorder.rows.values()
    return row


def errors(recorder: Recorder) -> dict[str, int]:
    return dict(only(recorder).errors)


def answering(content: bytes) -> Answer:
    """Always the same, and the connection is kept."""

    async def answer(exchange: Exchange) -> bytes:
        return content

    return answer


def closing_after(*segments: bytes) -> Answer:
    """Always the same segments, and the connection is closed."""

    async def answer(exchange: Exchange) -> None:
        for segment in segments:
            await exchange.stream.send_all(segment)
            await trio.lowlevel.checkpoint()

    return answer
