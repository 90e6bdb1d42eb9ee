"""One kept-alive HTTP/1.1 connection on a non-blocking socket: protocol without waiting.

The owner waits for readiness and calls `connected`, `flush` and `receive`; nothing here blocks,
reads a clock or knows a scenario.
"""

from __future__ import annotations

import errno
import re
import socket
from dataclasses import dataclass

import httptools

_RECEIVE = 65536
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
    address: tuple[str, int]


class Connection:
    """A socket, its parser, and the answer that is being read.

    `status`, `body` and `received` describe the answer once `receive` returned True; `written`
    says whether any byte of the request was accepted, `answered` counts the answers so far.
    """

    __slots__ = (
        "_body",
        "_complete",
        "_expects_body",
        "_head",
        "_headed",
        "_parser",
        "_pending",
        "_socket",
        "answered",
        "descriptor",
        "keep_alive",
        "received",
        "status",
        "written",
    )

    def __init__(self, address: Address) -> None:
        """Begin to connect. Raises ConnectionFailed when that fails at once."""
        try:
            self._socket = socket.socket(address.family, socket.SOCK_STREAM)
        except OSError as error:
            raise ConnectionFailed(_kind(error), str(error)) from error
        self.descriptor = self._socket.fileno()
        self._parser = httptools.HttpResponseParser(self)
        self._pending = b""
        self._complete = 0
        self._head = b""
        self._headed = False
        self._body: list[bytes] | None = None
        self._expects_body = True
        self.written = False
        self.answered = 0
        self.status = 0
        self.received = 0
        self.keep_alive = True
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            outcome = self._socket.connect_ex(address.address)
        except OSError as error:
            self.close()
            raise ConnectionFailed(_kind(error), str(error)) from error
        if outcome not in (0, errno.EINPROGRESS):
            self.close()
            raise ConnectionFailed(_kind(OSError(outcome, "")), errno.errorcode.get(outcome, ""))

    def connected(self) -> None:
        """Finish connecting, once writable. Raises ConnectionFailed."""
        outcome = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if outcome:
            raise ConnectionFailed(_kind(OSError(outcome, "")), errno.errorcode.get(outcome, ""))

    def send(self, request: bytes, *, keep_body: bool, expects_body: bool) -> bool:
        """Start a request; False when a part waits for `flush`. Raises ConnectionFailed."""
        self._body = [] if keep_body else None
        self._expects_body = expects_body
        self._complete = 0
        self._head = b""
        self._headed = False
        self.received = 0
        self.written = False
        self._pending = request
        return self.flush()

    def flush(self) -> bool:
        """Send what is pending; True when all is sent. Raises ConnectionFailed."""
        try:
            sent = self._socket.send(self._pending)
        except BlockingIOError:
            return False
        except OSError as error:
            raise ConnectionFailed(_kind(error), str(error)) from error
        self.written = True
        self._pending = self._pending[sent:]
        return not self._pending

    def receive(self) -> bool:
        """Read what is there; True when the answer is complete. Raises ConnectionFailed."""
        try:
            data = self._socket.recv(_RECEIVE)
        except BlockingIOError:
            return False
        except OSError as error:
            raise ConnectionFailed(_kind(error), str(error)) from error
        if not data:
            return self._ended()
        if not self._headed:
            self._head += data
        self.received += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise ConnectionFailed("malformed response", str(error)) from error
        if not self._complete:
            return False
        if self._complete > 1:
            raise ConnectionFailed("malformed response", "more than one answer to one request")
        self.answered += 1
        return True

    @property
    def body(self) -> bytes:
        """The answer's body, if `send` was told to keep it."""
        return b"".join(self._body or ())

    def close(self) -> None:
        self._socket.close()

    def _ended(self) -> bool:
        """The peer closed: right only for an answer that is delimited by just that."""
        if not self._headed or _DELIMITED.search(_last_head(self._head)):
            raise ConnectionFailed("closed" if not self.received else "closed early")
        self.status = self._parser.get_status_code()
        self.keep_alive = False
        return True

    # What httptools calls.

    def on_headers_complete(self) -> None:
        # What comes before, such as 103 Early Hints, is not the answer yet.
        self._headed = self._parser.get_status_code() >= 200
        if self._headed and not self._expects_body:
            # The parser cannot know that this answers a HEAD: begin anew with the next answer.
            self._finish()
            self._parser = httptools.HttpResponseParser(self)

    def on_body(self, data: bytes) -> None:
        if self._body is not None:
            self._body.append(data)

    def on_message_complete(self) -> None:
        if self._expects_body:
            self._finish()

    def _finish(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200:
            self.status = status
            self.keep_alive = self._parser.should_keep_alive()
            self._complete += 1


def _last_head(received: bytes) -> bytes:
    """The head of the answer in what came until it was complete: interim ones stand before it."""
    heads = received.split(b"\r\n\r\n")
    return next((head for head in heads if not head.startswith(b"HTTP/1.1 1")), b"")


_KINDS = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.ETIMEDOUT: "connect timeout",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.EMFILE: "generator: out of file descriptors",
    errno.ENFILE: "generator: out of file descriptors",
    errno.EADDRNOTAVAIL: "generator: out of local ports",
}


def _kind(error: OSError) -> str:
    return _KINDS.get(error.errno or 0, f"socket error {errno.errorcode.get(error.errno or 0, '')}")
