"""One HTTP/2 connection of a virtual user: the h2 package's protocol on a stream of trio's.

The one module that imports h2, which is the optional extra `http2`. Why not httpx, which has h2
do the protocol, too: with its connections each GOAWAY fails the request that is under way.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from socket import SOCK_STREAM

import trio
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded, StreamReset
from h2.exceptions import DenialOfServiceError, InvalidBodyLengthError, ProtocolError
from h2.settings import SettingCodes, Settings

from stressrun.http.connection import Address
from stressrun.http.failure import HANDSHAKE, OPENING, ConnectionFailed, failure
from stressrun.http.frames import Frames
from stressrun.http.request import parse_request

_RECEIVE = 65536
_MOST_HEAD = 64 * 1024
_MOST_BODY = 64 * 1024 * 1024
_WINDOW = 2**24
# How long a sign of life on an idle connection may take to become a frame.
_GLANCE = 0.001
_CONFIG = H2Configuration(
    header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
)
# They are of a connection of HTTP/1.1 (RFC 9113 section 8.2.2); the host is a field of its own.
_NOT_SENT = frozenset(
    {"connection", "host", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}
)

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]
Headers = list[tuple[bytes, bytes]]


async def connect(address: Address) -> trio.SocketStream:
    """Connect to an address. Raises ConnectionFailed."""
    try:
        plain = trio.socket.socket(address.family, SOCK_STREAM)
        try:
            await plain.connect(address.address)
        except BaseException:
            plain.close()
            raise
    except OSError as error:
        raise failure(error, OPENING) from error
    return trio.SocketStream(plain)


async def secure(
    stream: trio.SocketStream, tls: ssl.SSLContext, server_name: str
) -> trio.SSLStream[trio.SocketStream]:
    """Shake hands with a server that speaks HTTP/2, or close the stream: raises ConnectionFailed.

    `tls` offers nothing else.
    """
    try:
        try:
            secured = trio.SSLStream(
                stream, tls, server_hostname=server_name, https_compatible=True
            )
        except ssl.SSLError as error:  # of a name that is too long
            raise failure(error, HANDSHAKE) from error
        except ValueError as error:
            raise ConnectionFailed("tls", f"no name for a server: {error}") from error
        try:
            with _socket_errors(partial(failure, kinds=HANDSHAKE)):
                await secured.do_handshake()
            agreed = secured.selected_alpn_protocol() == "h2"
        except ConnectionFailed as failed:
            if "no application protocol" not in str(failed):
                raise
            agreed = False
        if not agreed:
            raise ConnectionFailed("no http2", "the server did not agree to HTTP/2 over TLS")
    except BaseException:
        stream.socket.close()
        raise
    return secured


class Http2Connection:
    """An open connection on which one request is sent at a time.

    `status`, `start` and `body` describe the answer: `start` is its head as HTTP/1.1 would have
    it, and perhaps some of the body, `body` all of it where that was asked for. `sent` and
    `received` are the bytes of the exchange, before TLS. `began` says whether any of the answer
    came, `written` whether the server may have seen the request; `answered` counts the answers.
    """

    def __init__(self, stream: Stream, *, secured: bool, authority: str) -> None:
        self._stream = stream
        plain = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
        self._socket = plain.socket
        self._scheme = b"https" if secured else b"http"
        self._authority = authority.encode()
        self._frames = Frames()
        self._protocol = H2Connection(_CONFIG)
        self._protocol.local_settings = Settings(
            client=True,
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW,
                SettingCodes.MAX_HEADER_LIST_SIZE: _MOST_HEAD,
            },
        )
        self._protocol.initiate_connection()
        self._protocol.increment_flow_control_window(_WINDOW)
        self.answered = 0
        self.keep_alive = True
        self._stream_id = 0
        self._unheard: ConnectionFailed | None = None
        self._prepare(keep_body=False)

    def _prepare(self, *, keep_body: bool) -> None:
        self._keeps_body = keep_body
        self._unsent = memoryview(b"")
        self._body: list[bytes] = []
        self._size = 0
        self._ended = False
        self.began = self.written = False
        self.status = self.sent = self.received = 0
        self.start = b""

    @property
    def body(self) -> bytes:
        """The answer's body, if `send` was told to keep it."""
        return b"".join(self._body)

    async def send(self, content: bytes, keep_body: bool) -> None:
        """Send a rendered request and wait for the answer's head. Raises ConnectionFailed."""
        method, target, headers, body = parse_request(content)
        self._prepare(keep_body=keep_body)
        fields = self._fields(method, target, headers, body)
        with _protocol_errors():
            self._stream_id = self._protocol.get_next_available_stream_id()
            self._protocol.send_headers(self._stream_id, fields, end_stream=not body)
        self._unsent = memoryview(body)
        await self._write()
        while not self.began:
            await self._read()

    async def finish(self) -> None:
        """Wait for the answer's end. Raises ConnectionFailed."""
        while not self._ended:
            await self._read()
        self.answered += 1

    async def lost(self) -> bool:
        """Whether an idle connection is of no more use, because the server has closed it."""
        try:
            while self._socket.is_readable():
                # What TLS has to read for itself, such as a session ticket, gives no data.
                with trio.move_on_after(_GLANCE) as scope:
                    await self._read()
                if scope.cancelled_caught:
                    break
        except ConnectionFailed:
            return True
        return not self.keep_alive

    def close(self) -> None:
        self._socket.close()

    # Sending.

    def _fields(
        self, method: str, target: str, headers: list[tuple[str, str]], body: bytes
    ) -> Headers:
        authority = self._authority
        fields = []
        measured = False
        for name, value in headers:
            lower = name.lower()
            if lower == "host":
                authority = value.encode()
            elif lower not in _NOT_SENT and (lower != "te" or value == "trailers"):
                measured |= lower == "content-length"
                fields.append((lower.encode(), value.encode()))
        if body and not measured:
            fields.append((b"content-length", b"%d" % len(body)))
        return [
            (b":method", method.encode()),
            (b":scheme", self._scheme),
            (b":authority", authority),
            (b":path", target.encode()),
            *fields,
        ]

    async def _write(self) -> None:
        """Send what waits to be sent, as far as the server's windows allow."""
        self._send_body()
        while data := self._protocol.data_to_send():
            if self._unheard is not None:
                return
            self.sent += len(data)
            self.written = True
            try:
                with _socket_errors():
                    await self._stream.send_all(data)
            except ConnectionFailed as failed:
                # What the server said before it stopped listening is still to be read.
                self._unheard = failed
                self.keep_alive = False
            self._send_body()

    def _send_body(self) -> None:
        if not self._unsent or self._ended:
            return
        protocol, stream = self._protocol, self._stream_id
        window = protocol.local_flow_control_window(stream)
        while self._unsent and window > 0:
            size = min(window, protocol.max_outbound_frame_size)
            part, self._unsent = self._unsent[:size], self._unsent[size:]
            protocol.send_data(stream, part.tobytes(), end_stream=not self._unsent)
            window -= len(part)

    # Receiving.

    async def _read(self) -> None:
        data = await self._receive()
        self.received += len(data)
        frames = self._frames.take(data)
        with _protocol_errors():
            for event in self._protocol.receive_data(frames):
                self._happened(event)
        self._check_farewell()
        await self._write()

    async def _receive(self) -> bytes:
        try:
            with _socket_errors():
                data = await self._stream.receive_some(_RECEIVE)
            if not data:
                raise ConnectionFailed("closed early" if self.began else "closed")
        except ConnectionFailed as failed:
            raise self._unheard or failed from None
        return bytes(data)

    def _happened(self, event: Event) -> None:
        if isinstance(event, DataReceived):
            self._protocol.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if event.stream_id == self._stream_id:
                self._take_body(event.data)
        elif isinstance(event, ResponseReceived):
            self._take_head(event.headers)
        elif isinstance(event, StreamEnded):
            self._end()
        elif isinstance(event, StreamReset) and not self._ended:
            raise _broken_off("RST_STREAM", event.error_code)

    def _take_head(self, headers: Headers) -> None:
        self.began = True
        status = dict(headers).get(b":status", b"")
        lines = [b"%b: %b\r\n" % field for field in headers if not field[0].startswith(b":")]
        self.start = b"HTTP/1.1 %b \r\n%b\r\n" % (status, b"".join(lines))
        if len(status) != 3 or not status.isdigit() or status < b"200":
            raise ConnectionFailed("malformed status line", f"the status is {status!r}")
        self.status = int(status)

    def _take_body(self, data: bytes) -> None:
        if not self._keeps_body:
            if not self._size:
                self.start += data
            self._size += len(data)
            return
        self._size += len(data)
        if self._size > _MOST_BODY:
            raise ConnectionFailed("oversized body", f"more than {_MOST_BODY:,} bytes")
        self._body.append(data)

    def _end(self) -> None:
        self._ended = True
        if self._unsent:
            # An answer to a request that was not sent to its end: no more of it is wanted.
            self.keep_alive = False

    def _check_farewell(self) -> None:
        farewell = self._frames.farewell
        if farewell is None:
            return
        self.keep_alive = False
        if self._ended:
            return
        if farewell.error_code != ErrorCodes.NO_ERROR:
            raise _broken_off("GOAWAY", farewell.error_code, farewell.text)
        if farewell.last_stream < self._stream_id:
            self.written = False
            raise ConnectionFailed("closed", "the server retired the connection before the request")


def _broken_off(frame: str, code: int, text: str = "") -> ConnectionFailed:
    """What the error code of a frame means; those that have no name are of one kind."""
    try:
        name = ErrorCodes(code).name
    except ValueError:
        name, text = "unknown code", f"code {code:#x} {text}".rstrip()
    return ConnectionFailed(f"http2: {frame} {name}", text)


@contextmanager
def _protocol_errors() -> Iterator[None]:
    """Raise what h2 refused as the ConnectionFailed that it means."""
    try:
        yield
    except InvalidBodyLengthError as error:
        raise ConnectionFailed("wrong Content-Length", str(error)) from error
    except DenialOfServiceError as error:
        raise ConnectionFailed("oversized header", str(error)) from error
    except ProtocolError as error:
        raise ConnectionFailed(f"http2: {error.error_code.name}", str(error)) from error


@contextmanager
def _socket_errors(fail: Callable[[OSError], ConnectionFailed] = failure) -> Iterator[None]:
    """Raise what the system or TLS said as the ConnectionFailed that it means."""
    try:
        yield
    except trio.BrokenResourceError as error:
        cause = error.__cause__
        if not isinstance(cause, OSError):
            raise ConnectionFailed("closed", str(error)) from error
        raise fail(cause) from error
