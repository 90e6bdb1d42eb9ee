"""Real HTTP servers for tests, in a thread-free trio task: canned bytes, or a small application."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import trio

Answer = Callable[["Exchange"], Awaitable[bytes | None]]


@dataclass
class Exchange:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    stream: trio.SocketStream


@dataclass
class Server:
    """What a server has seen."""

    port: int
    exchanges: list[Exchange] = field(default_factory=list)
    connections: int = 0


def response(status: int = 200, body: object = None, headers: str = "") -> bytes:
    """A whole answer with a JSON body."""
    content = b"" if body is None else json.dumps(body).encode()
    return (
        f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\n{headers}\r\n".encode() + content
    )


async def serve(
    answer: Answer, *, task_status: trio.TaskStatus[Server] = trio.TASK_STATUS_IGNORED
) -> None:
    """Answer each request with the bytes of `answer`; None closes the connection."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    server = Server(listeners[0].socket.getsockname()[1])
    task_status.started(server)
    await trio.serve_listeners(partial(_converse, server, answer), listeners)


async def _converse(server: Server, answer: Answer, stream: trio.SocketStream) -> None:
    server.connections += 1
    buffer = b""
    try:
        while True:
            while b"\r\n\r\n" not in buffer:
                data = await stream.receive_some()
                if not data:
                    return
                buffer += data
            head, _, buffer = buffer.partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            method, path, _ = first.split(" ")
            headers = {
                name.lower(): value for name, value in (line.split(": ", 1) for line in lines)
            }
            while len(buffer) < int(headers.get("content-length", 0)):
                buffer += await stream.receive_some()
            length = int(headers.get("content-length", 0))
            body, buffer = buffer[:length], buffer[length:]
            exchange = Exchange(method, path, headers, body, stream)
            server.exchanges.append(exchange)
            content = await answer(exchange)
            if content is None:
                await stream.aclose()
                return
            await stream.send_all(content)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return
