"""One kept-alive HTTP/1.1 connection on a non-blocking socket: protocol without waiting.

The owner waits for readiness and calls `advance`, `flush` and `receive`; nothing here blocks,
reads a clock or knows a scenario.
"""

from __future__ import annotations

import errno
import socket
import ssl
from dataclasses import dataclass
from enum import Enum, auto

import httptools

from stressrun.http.failure import (
    HANDSHAKE,
    OPENING,
    ConnectionFailed,
    failure,
    kind_of_head,
    refusal,
)
from stressrun.http.message import Head, parse_head

# The most of a TLS record, and more: what stays in the TLS layer would never wake the owner.
_RECEIVE = 65536
_MOST_HEAD = 64 * 1024
# How much of the answer is kept to be shown, should it be a failure.
_EXCERPT = 4 * 1024
_MOST_BODY = 64 * 1024 * 1024
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_END_OF_HEAD = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a connection goes: a socket family and its address."""

    family: socket.AddressFamily
    address: tuple[str, int] | str


class Opening(Enum):
    """How far a connection has come: what the owner has to wait for, if anything."""

    CONNECTING = auto()
    HANDSHAKE_READS = auto()
    HANDSHAKE_WRITES = auto()
    OPEN = auto()


class Connection:
    """A socket, its parser, and the answer that is being read.

    `status`, `start`, `body` and `received` describe the answer once `receive` returned True:
    `start` is what came first, the whole head and perhaps some of the body as it was sent, `body`
    the body without its framing where `send` was told to keep it. `written` says whether any byte
    of the request was accepted, `answered` counts the answers so far.
    """

    __slots__ = (
        "_body",
        "_complete",
        "_headed",
        "_keeping",
        "_parser",
        "_pending",
        "_plain",
        "_recv",
        "_send",
        "_server_name",
        "_size",
        "_skipping",
        "_socket",
        "_tls",
        "answered",
        "descriptor",
        "keep_alive",
        "opening",
        "received",
        "start",
        "status",
        "written",
    )

    def __init__(
        self, address: Address, tls: ssl.SSLContext | None = None, server_name: str = ""
    ) -> None:
        """Begin to connect. Raises ConnectionFailed when that fails at once."""
        try:
            self._plain = socket.socket(address.family, socket.SOCK_STREAM)
        except OSError as error:
            raise failure(error, OPENING) from error
        self._socket: socket.socket = self._plain
        self.descriptor = self._plain.fileno()
        self._tls = tls
        self._server_name = server_name
        self.opening = Opening.CONNECTING
        self._skipping = self._parser = httptools.HttpResponseParser(_Skipping(self))
        self._keeping: httptools.HttpResponseParser | None = None
        self._pending = memoryview(b"")
        self._body: list[bytes] = []
        self._size = 0
        self.answered = 0
        self.received = 0
        self.start = b""
        self.written = False
        self.status = 0
        self.keep_alive = True
        try:
            self._plain.setblocking(False)
            if address.family != socket.AF_UNIX:
                self._plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            outcome = self._plain.connect_ex(address.address)
        except OSError as error:
            self.close()
            raise failure(error, OPENING) from error
        if outcome not in (0, errno.EINPROGRESS):
            self.close()
            raise refusal(outcome)

    def advance(self) -> Opening:
        """Go on opening, once what it waits for is there. Raises ConnectionFailed."""
        if self.opening is Opening.CONNECTING:
            outcome = self._plain.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if outcome:
                raise refusal(outcome)
            if self._tls is not None:
                self._socket = self._wrap(self._tls)
        self.opening = self._shake_hands()
        if self.opening is Opening.OPEN:
            self._send = self._socket.send
            self._recv = self._socket.recv
        return self.opening

    def send(self, request: bytes, keep_body: bool, expects_body: bool) -> bool:
        """Start a request; False when a part waits for `flush`. Raises ConnectionFailed."""
        if keep_body or not expects_body:
            self._prepare(keep_body and expects_body)
        else:
            self._parser = self._skipping
        self.received = 0
        self.start = b""
        self._complete = self._headed = self.written = False
        try:
            sent = self._send(request)
        except _WOULD_BLOCK:
            sent = 0
        except OSError as error:
            raise failure(error) from error
        if sent == len(request):
            self.written = True
            return True
        self.written = sent > 0
        self._pending = memoryview(request)[sent:]
        return False

    def flush(self) -> bool:
        """Send what is pending; True when all is sent. Raises ConnectionFailed."""
        try:
            sent = self._send(self._pending)
        except _WOULD_BLOCK:
            return False
        except OSError as error:
            raise failure(error) from error
        self.written = True
        self._pending = self._pending[sent:]
        return not self._pending

    def receive(self) -> bool:
        """Read what is there; True when the answer is complete. Raises ConnectionFailed."""
        try:
            data = self._recv(_RECEIVE)
        except _WOULD_BLOCK:
            return False
        except OSError as error:
            raise failure(error) from error
        if not data:
            return self._ended()
        self.received += len(data)
        if not self._headed:
            if self.start:
                self._add_to_start(data)
            else:
                self.start = data
        elif len(self.start) < _EXCERPT:
            self.start += data
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise self._broken(error) from None
        if self._complete:
            self.answered += 1
            return True
        if not self._headed:
            self._look_for_head(len(data))
        return False

    def lost(self) -> bool:
        """Whether an idle connection that is readable is of no more use.

        It is not when TLS had something of its own to read, such as a session ticket.
        """
        try:
            self._recv(_RECEIVE)
        except _WOULD_BLOCK:
            return False
        except OSError:
            return True
        return True

    @property
    def body(self) -> bytes:
        """The answer's body, if `send` was told to keep it."""
        return b"".join(self._body)

    def close(self) -> None:
        self._socket.close()
        # Parsers hold their connection's methods: without this only the collector would free it.
        del self._skipping, self._keeping, self._parser

    # Opening.

    def _wrap(self, context: ssl.SSLContext) -> ssl.SSLSocket:
        try:
            # What cannot be encoded has to fail before the socket is handed over.
            name = self._server_name.encode("idna").decode()
            return context.wrap_socket(
                self._plain, server_hostname=name, do_handshake_on_connect=False
            )
        except OSError as error:
            raise failure(error, HANDSHAKE) from error
        except ValueError as error:
            raise ConnectionFailed("tls", f"no name for a server: {error}") from error

    def _shake_hands(self) -> Opening:
        if not isinstance(self._socket, ssl.SSLSocket):
            return Opening.OPEN
        try:
            self._socket.do_handshake()
        except ssl.SSLWantReadError:
            return Opening.HANDSHAKE_READS
        except ssl.SSLWantWriteError:
            return Opening.HANDSHAKE_WRITES
        except OSError as error:
            raise failure(error, HANDSHAKE) from error
        return Opening.OPEN

    # Reading.

    def _prepare(self, keep_body: bool) -> None:
        """Choose the parser of an answer that is not just skipped."""
        self._body = []
        self._size = 0
        if not keep_body:
            # It cannot know that this answers a HEAD: it is thrown away after the head.
            self._parser = httptools.HttpResponseParser(_Heads(self))
            return
        if self._keeping is None:
            self._keeping = httptools.HttpResponseParser(_Keeping(self))
        self._parser = self._keeping

    def _add_to_start(self, data: bytes) -> None:
        self.start += data
        if len(self.start) > _MOST_HEAD and _head(self.start[:_MOST_HEAD]) is None:
            raise ConnectionFailed("oversized header", f"no end of it after {_MOST_HEAD:,} bytes")

    def _look_for_head(self, added: int) -> None:
        """See whether the answer's head is complete: what follows it need not be kept."""
        ends = self.start.find(_END_OF_HEAD, -added - len(_END_OF_HEAD)) >= 0
        # A smaller status is an interim answer's, and another head is to come.
        if ends and self._parser.get_status_code() >= 200:
            self._headed = _head(self.start) is not None

    def _broken(self, error: httptools.HttpParserError) -> ConnectionFailed:
        if isinstance(error.__context__, ConnectionFailed):
            return error.__context__
        reason = str(error)
        if self._complete:
            return ConnectionFailed("excess data", f"after the answer: {reason}")
        if _head(self.start) is not None:
            return ConnectionFailed("bad chunk", reason)
        return ConnectionFailed(kind_of_head(reason), reason)

    def _ended(self) -> bool:
        """The peer closed: right only for an answer that is delimited by just that."""
        head = _head(self.start)
        if head is None or _is_delimited(head):
            raise ConnectionFailed("closed early" if self.received else "closed")
        self.status = head.status
        self.keep_alive = False
        self.answered += 1
        return True

    # What the parser calls.

    def begin(self) -> None:
        # Left in the parser, it would be taken for the beginning of the next answer.
        if self._complete:
            raise ConnectionFailed("excess data", "more came than one answer to one request")

    def body_part(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > _MOST_BODY:
            raise ConnectionFailed("oversized body", f"more than {_MOST_BODY:,} bytes")
        self._body.append(data)

    def exceed(self, data: bytes) -> None:
        raise ConnectionFailed("excess data", "a body in the answer to a HEAD")

    def finish(self) -> None:
        """The answer is complete: its message, or of a HEAD its headers."""
        status = self._parser.get_status_code()
        if status < 200:
            _check_interim(status)
            return
        self._complete = True
        self.status = status
        self.keep_alive = self._parser.should_keep_alive()


class _Skipping:
    """What a parser calls when the body is not wanted: without `on_body` it copies none."""

    __slots__ = ("on_message_begin", "on_message_complete")

    def __init__(self, connection: Connection) -> None:
        self.on_message_begin = connection.begin
        self.on_message_complete = connection.finish


class _Keeping(_Skipping):
    __slots__ = ("on_body",)

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.on_body = connection.body_part


class _Heads:
    __slots__ = ("on_body", "on_headers_complete", "on_message_begin")

    def __init__(self, connection: Connection) -> None:
        self.on_message_begin = connection.begin
        self.on_headers_complete = connection.finish
        self.on_body = connection.exceed


def _head(start: bytes) -> Head | None:
    """The head of the answer in what came first, once complete: interim ones stand before it."""
    try:
        return parse_head(start)
    except ValueError:
        return None


def _is_delimited(head: Head) -> bool:
    """Whether a body ends by itself, not by the connection's end (RFC 9112 section 6.3)."""
    coding = head.get("transfer-encoding")
    if coding is not None:
        return coding.lower().endswith("chunked")
    return head.get("content-length") is not None


def _check_interim(status: int) -> None:
    """An interim answer, such as 103 Early Hints, comes before the answer, and is skipped."""
    if status == 101:
        raise ConnectionFailed("unexpected upgrade", "the server changed to another protocol")
    if status < 100:
        raise ConnectionFailed("malformed status line", f"there is no status {status:03}")
