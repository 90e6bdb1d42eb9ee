"""One kept-alive HTTP/1.1 connection on a non-blocking socket: protocol without waiting.

The owner waits for readiness and calls `advance`, `flush` and `receive`; nothing here blocks,
reads a clock or knows a scenario.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
from dataclasses import dataclass
from enum import Enum, auto

import httptools

# The most of a TLS record, and more: what stays in the TLS layer would never wake the owner.
_RECEIVE = 65536
_MOST_HEAD = 64 * 1024
_MOST_BODY = 64 * 1024 * 1024
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_DELIMITED = re.compile(rb"\r\n(?:content-length|transfer-encoding)[ \t]*:", re.IGNORECASE)


class ConnectionFailed(Exception):  # noqa: N818 - it is an outcome, with a kind for the report
    """The connection can't go on; `kind` is the failure's kind in the report."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(detail or kind)
        self.kind = kind


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
            raise _failure(error) from error
        self._socket: socket.socket = self._plain
        self.descriptor = self._plain.fileno()
        self._tls = tls
        self._server_name = server_name
        self.opening = Opening.CONNECTING
        self._skipping = self._parser = httptools.HttpResponseParser(_Skipping(self))
        self._keeping: httptools.HttpResponseParser | None = None
        self._pending = b""
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
            raise _failure(error) from error
        if outcome not in (0, errno.EINPROGRESS):
            self.close()
            raise _failure(OSError(outcome, ""))

    def advance(self) -> Opening:
        """Go on opening, once what it waits for is there. Raises ConnectionFailed."""
        if self.opening is Opening.CONNECTING:
            outcome = self._plain.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if outcome:
                raise _failure(OSError(outcome, ""))
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
            raise _failure(error) from error
        if sent == len(request):
            self.written = True
            return True
        self.written = sent > 0
        self._pending = request[sent:]
        return False

    def flush(self) -> bool:
        """Send what is pending; True when all is sent. Raises ConnectionFailed."""
        try:
            sent = self._send(self._pending)
        except _WOULD_BLOCK:
            return False
        except OSError as error:
            raise _failure(error) from error
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
            raise _failure(error) from error
        if not data:
            return self._ended()
        self.received += len(data)
        if not self._headed:
            self.start = self.start + data if self.start else data
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise self._broken(error) from error
        if self._complete:
            self.answered += 1
            return True
        if not self._headed:
            self._look_for_head()
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
            wrapped = context.wrap_socket(
                self._plain, server_hostname=self._server_name, do_handshake_on_connect=False
            )
        except (OSError, ValueError) as error:
            raise _failure(error) from error
        return wrapped

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
            raise _failure(error, during_handshake=True) from error
        return Opening.OPEN

    # Reading.

    def _prepare(self, keep_body: bool) -> None:
        """Choose the parser of an answer that is not just skipped."""
        if not keep_body:
            # It cannot know that this answers a HEAD: it is thrown away after the head.
            self._parser = httptools.HttpResponseParser(_Heads(self))
            return
        if self._keeping is None:
            self._keeping = httptools.HttpResponseParser(_Keeping(self))
        self._parser = self._keeping
        self._body = []
        self._size = 0

    def _look_for_head(self) -> None:
        """See whether the answer's head is complete: what follows it need not be kept."""
        self._headed = _head(self.start) is not None
        if not self._headed and len(self.start) > _MOST_HEAD:
            raise ConnectionFailed("oversized header", f"no end of it after {_MOST_HEAD:,} bytes")

    def _broken(self, error: httptools.HttpParserError) -> ConnectionFailed:
        if self._complete:
            return ConnectionFailed("excess data", f"after the answer: {error}")
        if isinstance(error, httptools.HttpParserUpgrade):
            return ConnectionFailed("unexpected upgrade", "the server changed to another protocol")
        if isinstance(error.__context__, ConnectionFailed):
            return error.__context__
        headed = _head(self.start) is not None
        return ConnectionFailed(_syntax_kind(str(error), headed), str(error))

    def _ended(self) -> bool:
        """The peer closed: right only for an answer that is delimited by just that."""
        head = _head(self.start)
        if head is None or _DELIMITED.search(head):
            raise ConnectionFailed("closed early" if self.received else "closed")
        self.status = self._parser.get_status_code()
        self.keep_alive = False
        self.answered += 1
        return True

    # What the parser calls.

    def body_part(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > _MOST_BODY:
            raise ConnectionFailed("oversized body", f"more than {_MOST_BODY:,} bytes")
        self._body.append(data)

    def finish(self) -> None:
        """The answer is complete: its message, or of a HEAD its headers."""
        status = self._parser.get_status_code()
        # What comes before, such as 103 Early Hints, is not the answer yet.
        if status < 200:
            return
        if self._complete:
            raise ConnectionFailed("excess data", "more than one answer to one request")
        self._complete = True
        self.status = status
        self.keep_alive = self._parser.should_keep_alive()


class _Skipping:
    """What a parser calls when the body is not wanted: without `on_body` it copies none."""

    __slots__ = ("on_message_complete",)

    def __init__(self, connection: Connection) -> None:
        self.on_message_complete = connection.finish


class _Keeping(_Skipping):
    __slots__ = ("on_body",)

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.on_body = connection.body_part


class _Heads:
    __slots__ = ("on_headers_complete",)

    def __init__(self, connection: Connection) -> None:
        self.on_headers_complete = connection.finish


def _head(received: bytes) -> bytes | None:
    """The head of the answer in what came first, once complete: interim ones stand before it."""
    *heads, _ = received.split(b"\r\n\r\n")
    return next((head for head in heads if not head.startswith(b"HTTP/1.1 1")), None)


_KINDS = {
    errno.ECONNREFUSED: "refused",
    errno.ENOENT: "refused",  # a Unix socket that is not there
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.ETIMEDOUT: "connect timeout",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.EMFILE: "generator: out of file descriptors",
    errno.ENFILE: "generator: out of file descriptors",
    errno.EADDRNOTAVAIL: "generator: out of local ports",
}


def _failure(error: Exception, *, during_handshake: bool = False) -> ConnectionFailed:
    if isinstance(error, ssl.SSLError):
        if isinstance(error, ssl.SSLCertVerificationError):
            return ConnectionFailed("tls: certificate", error.verify_message)
        return ConnectionFailed("tls", error.reason or str(error))
    number = error.errno if isinstance(error, OSError) else None
    kind = _KINDS.get(number or 0, f"socket error {errno.errorcode.get(number or 0, '')}".strip())
    return ConnectionFailed(f"tls: {kind}" if during_handshake else kind, str(error))


def _syntax_kind(reason: str, headed: bool) -> str:
    """The kind of a syntax error, from what the parser (llhttp) says of it."""
    if "chunk" in reason.lower():
        return "bad chunk"
    if "Content-Length" in reason or "Transfer-Encoding" in reason:
        return "wrong Content-Length"
    if headed:
        return "malformed body"
    if any(word in reason for word in ("HTTP/", "status", "version", "response")):
        return "malformed status line"
    return "malformed header"
