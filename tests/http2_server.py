"""A real HTTP/2 server for tests: cleartext with prior knowledge, or TLS."""

from __future__ import annotations

import json
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import trio
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded, WindowUpdated
from h2.exceptions import ProtocolError

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]
Headers = list[tuple[bytes, bytes]]


@dataclass
class Reply:
    """An answer; `body` is sent as JSON unless it is bytes."""

    status: int = 200
    body: object = b""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class Exchange:
    """A request as it arrived; `number` counts those of its connection from 0."""

    method: str
    path: str
    authority: str
    headers: dict[str, str]
    body: bytes
    number: int
    stream_id: int
    protocol: H2Connection
    stream: Stream

    async def goodbye(self, last_stream: int, error_code: int = 0, text: bytes = b"") -> None:
        """Send a GOAWAY frame; by hand, because h2 sends nothing after one."""
        payload = last_stream.to_bytes(4) + error_code.to_bytes(4) + text
        frame = len(payload).to_bytes(3) + b"\x07\x00" + bytes(4) + payload
        await self.stream.send_all(self.protocol.data_to_send() + frame)

    async def reset(self, error_code: int) -> None:
        """Reset the request's stream."""
        self.protocol.reset_stream(self.stream_id, error_code)
        await self.stream.send_all(self.protocol.data_to_send())


Answer = Callable[[Exchange], Awaitable[Reply | None]]


class Closed(Exception):  # noqa: N818 - raised by an answer to close its connection
    """The connection is to be closed."""


@dataclass
class Server:
    """What a server has seen."""

    port: int
    exchanges: list[Exchange] = field(default_factory=list)
    connections: int = 0
    early: bool = False


async def serve(
    answer: Answer,
    *,
    tls: ssl.SSLContext | None = None,
    early: bool = False,
    socket: trio.socket.SocketType | None = None,
    task_status: trio.TaskStatus[Server] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer each request with what `answer` gives, or nothing for None.

    `early` ones are answered before their bodies have come; `socket` may be one that listens.
    """
    if socket is None:
        socket = trio.socket.socket()
        await socket.bind(("127.0.0.1", 0))
        socket.listen()
    listener = trio.SocketListener(socket)
    name = socket.getsockname()
    server = Server(0 if isinstance(name, str) else name[1], early=early)
    task_status.started(server)
    await trio.serve_listeners(partial(_converse, server, answer, tls), [listener])


async def _converse(
    server: Server, answer: Answer, tls: ssl.SSLContext | None, plain: trio.SocketStream
) -> None:
    stream: Stream = plain
    if tls is not None:
        stream = trio.SSLStream(plain, tls, server_side=True, https_compatible=True)
    server.connections += 1
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError, ProtocolError):
        async with plain:
            try:
                await _Conversation(server, answer, stream).run()
            except Closed:
                # Closed with something unread it would be reset.
                await plain.send_eof()
                while await plain.receive_some():
                    pass


class _Conversation:
    def __init__(self, server: Server, answer: Answer, stream: Stream) -> None:
        self._server = server
        self._answer = answer
        self._stream = stream
        self._protocol = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._heads: dict[int, dict[str, str]] = {}
        self._bodies: dict[int, bytes] = {}
        self._unsent: dict[int, bytes] = {}
        self._number = 0

    async def run(self) -> None:
        self._protocol.initiate_connection()
        await self._flush()
        while data := await self._stream.receive_some(65536):
            for event in self._protocol.receive_data(bytes(data)):
                if isinstance(event, RequestReceived):
                    self._heads[event.stream_id] = dict(event.headers)
                    self._bodies[event.stream_id] = b""
                    if self._server.early:
                        await self._handle(event.stream_id)
                elif isinstance(event, DataReceived):
                    self._bodies[event.stream_id] += event.data
                    if not self._server.early:
                        self._protocol.acknowledge_received_data(
                            event.flow_controlled_length, event.stream_id
                        )
                elif isinstance(event, StreamEnded):
                    if not self._server.early:
                        await self._handle(event.stream_id)
                elif isinstance(event, WindowUpdated):
                    for stream_id in list(self._unsent):
                        self._send_body(stream_id)
            await self._flush()

    async def _handle(self, stream_id: int) -> None:
        head = self._heads[stream_id]
        exchange = Exchange(
            head.pop(":method"),
            head.pop(":path"),
            head.pop(":authority"),
            head,
            self._bodies[stream_id],
            self._number,
            stream_id,
            self._protocol,
            self._stream,
        )
        self._number += 1
        self._server.exchanges.append(exchange)
        await self._flush()
        reply = await self._answer(exchange)
        if reply is None:
            return
        headers = [(":status", str(reply.status)), *reply.headers]
        self._protocol.send_headers(stream_id, headers, end_stream=not reply.content)
        if reply.content:
            self._unsent[stream_id] = reply.content
            self._send_body(stream_id)
        await self._flush()

    def _send_body(self, stream_id: int) -> None:
        content = self._unsent[stream_id]
        while content and (window := self._protocol.local_flow_control_window(stream_id)):
            part = content[: min(window, self._protocol.max_outbound_frame_size)]
            content = content[len(part) :]
            self._protocol.send_data(stream_id, part, end_stream=not content)
        self._unsent[stream_id] = content
        if not content:
            del self._unsent[stream_id]

    async def _flush(self) -> None:
        await self._stream.send_all(self._protocol.data_to_send())
