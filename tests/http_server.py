"""Real HTTP servers for tests, in a thread-free trio task: canned bytes, or a small application."""

from __future__ import annotations

import json
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import trio

Answer = Callable[["Exchange"], Awaitable[bytes | None]]
Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


@dataclass
class Exchange:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    stream: Stream


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


def reset(stream: Stream) -> None:
    """Make the close of a stream a reset of its connection."""
    plain = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def serve(
    answer: Answer,
    *,
    tls: ssl.SSLContext | None = None,
    listeners: Sequence[trio.SocketListener] = (),
    task_status: trio.TaskStatus[Server] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer each request with the bytes of `answer`; None closes the connection."""
    listeners = listeners or await trio.open_tcp_listeners(0, host="127.0.0.1")
    address = listeners[0].socket.getsockname()
    server = Server(0 if isinstance(address, str) else address[1])
    task_status.started(server)
    await trio.serve_listeners(partial(_accept, server, answer, tls), listeners)


async def _accept(
    server: Server, answer: Answer, tls: ssl.SSLContext | None, plain: trio.SocketStream
) -> None:
    server.connections += 1
    if tls is None:
        await _converse(server, answer, plain)
    else:
        stream = trio.SSLStream(plain, tls, server_side=True, https_compatible=True)
        await _converse(server, answer, stream)


async def _converse(server: Server, answer: Answer, stream: Stream) -> None:
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
