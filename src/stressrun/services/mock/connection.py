"""A client's connection: requests read as they come, answers sent in their order."""

from __future__ import annotations

import socket
import struct
import time
from collections import deque
from contextlib import suppress
from typing import Protocol

import httptools

from stressrun.http.poller import READ, WRITE, Poller
from stressrun.metrics.mock_calls import RouteCalls
from stressrun.services.mock.answers import Message, closing, plain
from stressrun.services.mock.request import Request

MOST_BODY = 8 * 2**20
"""Bytes of a body that are looked at; a request with a longer one is refused."""

# A client that sends many requests at once keeps the others waiting for no longer.
_RECEIVE = 16_384
_MOST_HEAD = 65_536
# Answers that may wait, for requests that came in advance, before no more are read.
_MOST_WAITING = 1_000
_RESET = struct.pack("ii", 1, 0)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Answer:
    """An answer that is due at an instant in nanoseconds, when it becomes `ready`.

    `parts` are sent one after the other, `pause` nanoseconds apart; `ends`: then the connection
    does. `fault` says what happens instead of an answer. The call is in `books` until nothing more
    is to be said of it there.
    """

    __slots__ = ("books", "connection", "due", "ends", "fault", "parts", "pause", "ready")

    def __init__(
        self,
        connection: Connection,
        parts: list[bytes],
        due: int,
        books: RouteCalls | None = None,
        *,
        fault: str = "",
        ends: bool = False,
        pause: int = 0,
    ) -> None:
        self.connection = connection
        self.parts = parts
        self.due = due
        self.books = books
        self.fault = fault
        self.ends = ends
        self.pause = pause
        self.ready = False


class Host(Protocol):
    """The server that a connection belongs to."""

    def serve(self, connection: Connection, request: Request, keeps: bool) -> None:
        """Give the connection an answer; `keeps`: it is not the last one."""

    def refuse(self, kind: str) -> None:
        """Count what could not be answered."""

    def later(self, answer: Answer) -> None:
        """Make an answer ready when it is due, and have it sent."""


class Connection:
    """One client."""

    __slots__ = (
        "_arrival",
        "_arrived",
        "_body",
        "_head",
        "_headed",
        "_headers",
        "_host",
        "_mask",
        "_out",
        "_parser",
        "_poller",
        "_refusal",
        "_size",
        "_socket",
        "_target",
        "_waiting",
        "closed",
        "descriptor",
        "ending",
    )

    def __init__(self, client: socket.socket, poller: Poller, host: Host) -> None:
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = client
        self._poller = poller
        self._host = host
        self._parser = httptools.HttpRequestParser(self)
        self._arrival = 0
        self._arrived: list[tuple[Request, bool]] = []
        self._waiting: deque[Answer] = deque()
        self._out = b""
        self._head = 0
        self._headed = True
        self._mask = READ
        self._refusal: Answer | None = None
        self.descriptor = client.fileno()
        self.closed = False
        # Whether no more requests are read: the answer that ends it is on its way.
        self.ending = False
        poller.register(self.descriptor, READ)

    def happened(self, events: int, now: int) -> None:
        """Go on with what the poller found at an instant in nanoseconds."""
        self._arrival = now
        if events & WRITE:
            self.flush()
        if events & ~WRITE and not self.closed:
            self._receive()

    def answer(self, answer: Answer) -> None:
        """Send an answer when those before it are sent and it is ready."""
        self._waiting.append(answer)

    def flush(self) -> None:
        """Send what is ready, as far as the client takes it."""
        if self._out:
            rest, self._out = self._out, b""
            self._send(rest)
        while self._waiting and not self._out and not self.closed and self._waiting[0].ready:
            self._go_on_with(self._waiting[0])
        if not self.closed:
            self._watch()

    def close(self) -> None:
        """Close it; of the calls whose answer was not due yet it is noted that they were left."""
        if self.closed:
            return
        self.closed = True
        for answer in self._waiting:
            if answer.books is not None:
                answer.books.abandoned += 1
            # What is due long after this need not be kept until then.
            answer.parts.clear()
        self._waiting.clear()
        self._socket.close()
        # It holds this one's methods: without this only the collector would free them.
        del self._parser

    def end_stage(self) -> None:
        """Note the calls that still wait for their answer: what becomes of it is in no books."""
        for answer in self._waiting:
            if answer.books is not None:
                answer.books.waiting += 1
                answer.books = None

    # What comes.

    def _receive(self) -> None:
        try:
            data = self._socket.recv(_RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if not data:
            # As most servers do: who has no more to say, waits for no answer.
            self.close()
        elif not self.ending:
            self._feed(data)
            arrived, self._arrived = self._arrived, []
            for request, keeps in arrived:
                self._host.serve(self, request, keeps)
            if not self._headed:
                self._head += len(data)
                if self._head > _MOST_HEAD:
                    self._end_with("too long a head", plain(431, "there is no end to this head"))
            if self._refusal is not None:
                self._waiting.append(self._refusal)
            self.flush()

    def _feed(self, data: bytes) -> None:
        while data and not self.closed:
            try:
                self._parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                # No other protocol is spoken here: it goes on in this one, as is its right.
                data = data[upgrade.args[0] :]
                self._parser = httptools.HttpRequestParser(self)
            except httptools.HttpParserCallbackError:
                raise  # a defect of the mock's own
            except httptools.HttpParserError as error:
                self._end_with("malformed", plain(400, f"this is no HTTP request: {error}"))
                return

    def on_message_begin(self) -> None:
        self._headed = False
        self._head = 0
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._size = 0

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        # What comes after a body in chunks is not looked at, and may be without end.
        if not self._headed:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._headed = True
        for name, value in self._headers:
            if len(name) == 6 and name.lower() == b"expect" and value.lower() == b"100-continue":
                self._send(_CONTINUE)

    def on_body(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= MOST_BODY:
            self._body.append(data)
        elif self._body:
            self._body.clear()

    def on_message_complete(self) -> None:
        if self.closed or self.ending:
            return
        if self._size > MOST_BODY:
            text = f"a mock looks at {MOST_BODY:,} bytes of a body"
            self._end_with("too long a body", plain(413, text))
            return
        keeps = self._parser.should_keep_alive()
        # What comes after the last request is none.
        self.ending = not keeps
        request = Request(
            self._parser.get_method(),
            self._target,
            self._headers,
            b"".join(self._body),
            self._arrival,
        )
        self._arrived.append((request, keeps))

    # What goes.

    def _go_on_with(self, answer: Answer) -> None:
        if answer.fault == "reset":
            with suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.close()
            return
        if answer.parts:
            self._send(answer.parts.pop(0))
        if self.closed:
            return
        if answer.parts:
            answer.due = time.monotonic_ns() + answer.pause
            answer.ready = False
            self._host.later(answer)
            return
        self._waiting.popleft()
        if answer.ends:
            self.ending = True
            self._waiting.clear()
            if not self._out:
                self.close()

    def _send(self, data: bytes) -> None:
        try:
            sent = self._socket.send(data) if not self._out else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        if sent < len(data):
            self._out += data[sent:]
        elif self.ending and not self._waiting:
            self.close()

    def _end_with(self, kind: str, message: Message) -> None:
        """Refuse what came, and end."""
        self._host.refuse(kind)
        self.ending = True
        answer = Answer(self, [closing(message.content)], 0, ends=True)
        answer.ready = True
        # It comes after the answers to what was well.
        self._refusal = answer

    def _watch(self) -> None:
        """Wait to send what the client did not take, and else for requests, if not too many."""
        full = self._out or len(self._waiting) > _MOST_WAITING
        mask = WRITE if self._out else 0
        if not full:
            mask |= READ
        if mask != self._mask:
            self._mask = mask
            self._poller.modify(self.descriptor, mask)
