"""One connection and a peer of the test's own: what it makes of bytes, of ends and of errors."""

from __future__ import annotations

import resource
import select
import socket
import ssl
import struct
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from stressrun.http import connection as module
from stressrun.http.connection import Address, Connection, Opening
from stressrun.http.failure import ConnectionFailed
from stressrun.http.message import parse_head

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
WHOLE = OK + b"Content-Length: 2\r\n\r\n{}"
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
_LOCAL_PORT_RANGE = 51


def wait(connection: Connection, event: int) -> None:
    assert ready(connection, event, within=10_000)


def ready(connection: Connection, event: int, within: int = 0) -> bool:
    """Whether an event comes within so many milliseconds."""
    poller = select.poll()
    poller.register(connection.descriptor, event)
    return bool(poller.poll(within))


@contextmanager
def connected() -> Iterator[tuple[Connection, socket.socket]]:
    """An open connection and its peer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = Connection(Address(socket.AF_INET, listener.getsockname()))
        with listener.accept()[0] as peer:
            wait(connection, select.POLLOUT)
            assert connection.advance() is Opening.OPEN
            try:
                yield connection, peer
            finally:
                connection.close()


def receive(connection: Connection, peer: socket.socket, segments: Iterable[bytes]) -> bool:
    """Whether the answer was complete after one of the segments."""
    for segment in segments:
        peer.sendall(segment)
        wait(connection, select.POLLIN)
        while ready(connection, select.POLLIN):
            if connection.receive():
                return True
    return False


def ask(connection: Connection, *, keep_body: bool = True, expects_body: bool = True) -> Connection:
    assert connection.send(REQUEST, keep_body, expects_body)
    return connection


def kind_of(content: bytes, *, end: bool = False, keep: bool = True, head: bool = False) -> str:
    """The kind of failure that an answer is, or `complete`, or `unfinished`."""
    with connected() as (connection, peer):
        ask(connection, keep_body=keep, expects_body=not head)
        try:
            if receive(connection, peer, [content] if content else []):
                return "complete"
            if end:
                assert peer.recv(1_000) == REQUEST
                peer.close()
                wait(connection, select.POLLIN)
                assert connection.receive()
                return "complete"
        except ConnectionFailed as failed:
            return failed.kind
    return "unfinished"


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"nonsense\r\n\r\n", "malformed status line"),
        (b"<html>", "malformed status line"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "malformed status line"),
        (b"ICY 200 OK\r\n\r\n", "malformed status line"),
        (b"http/1.1 200 OK\r\n\r\n", "malformed status line"),
        (b"GET / HTTP/1.1\r\n\r\n", "malformed status line"),
        (b"HTTP/2 200\r\n\r\n", "malformed status line"),
        (b"HTTP/x.1 200\r\n\r\n", "malformed status line"),
        (b"HTTP/1.x 200\r\n\r\n", "malformed status line"),
        (b"HTTP/3.7 200 OK\r\n\r\n", "malformed status line"),
        (b"HTTP/1.1-200 OK\r\n\r\n", "malformed status line"),
        (b"HTTP/1.1  200 OK\r\n\r\n", "malformed status line"),
        (b"HTTP/1.1 20 OK\r\n\r\n", "malformed status line"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "malformed status line"),
        (b"HTTP/1.1 abc OK\r\n\r\n", "malformed status line"),
        (b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n", "malformed status line"),
        (b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n", "malformed status line"),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}", "malformed status line"),
        (b"HTTP/1.1 200 OK\rContent-Length: 2\r\n\r\n", "malformed status line"),
        (b"HTTP/1.1 100 Continue\r\n\r\nnonsense\r\n\r\n", "malformed status line"),
        (OK + b"no colon\r\n\r\n", "malformed header"),
        (OK + b"a name: x\r\n\r\n", "malformed header"),
        (OK + b": no name\r\n\r\n", "malformed header"),
        (OK + b"X : space\r\n\r\n", "malformed header"),
        (OK + b"Content-Length : 2\r\n\r\n{}", "malformed header"),
        (OK + b" X: after a space\r\n\r\n", "malformed header"),
        (OK + b"X\xff: a\r\n\r\n", "malformed header"),
        (OK + b"X: a\x00b\r\n\r\n", "malformed header"),
        (OK + b"X: a\rb\r\n\r\n", "malformed header"),
        (OK + b"X: a\nY: b\r\n\r\n", "malformed header"),
        (OK + b"X: a\r\n folded\r\n\r\n", "malformed header"),
        (OK + b"X: a\r\n\rb", "malformed header"),
        (OK + b"X: a\r\n\nb", "malformed header"),
        (OK + b"Content-Length: -1\r\n\r\n", "wrong Content-Length"),
        (OK + b"Content-Length: 2x\r\n\r\n", "wrong Content-Length"),
        (OK + b"Content-Length:\r\n\r\n", "wrong Content-Length"),
        (OK + b"Content-Length: 2, 2\r\n\r\n{}", "wrong Content-Length"),
        (OK + b"Content-Length: 99999999999999999999\r\n\r\n", "wrong Content-Length"),
        (OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n", "wrong Content-Length"),
        (OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", "wrong Content-Length"),
        (OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n", "wrong Content-Length"),
        (CHUNKED + b"x\r\n", "bad chunk"),
        (CHUNKED + b"\r\n", "bad chunk"),
        (CHUNKED + b"-2\r\n", "bad chunk"),
        (CHUNKED + b"0x2\r\n", "bad chunk"),
        (CHUNKED + b"2 \r\n{}\r\n", "bad chunk"),
        (CHUNKED + b"2\n{}\r\n", "bad chunk"),
        (CHUNKED + b"2\r\n{}x\r\n", "bad chunk"),
        (CHUNKED + b"2\r\n{}\n0\r\n\r\n", "bad chunk"),
        (CHUNKED + b"FFFFFFFFFFFFFFFFFF\r\n", "bad chunk"),
        (CHUNKED + b'2;a="\x00"\r\n', "bad chunk"),
        (CHUNKED + b"2\r\n{}\r\n0\r\nbad trailer\r\n\r\n", "bad chunk"),
        (CHUNKED + b"2\r\n{}\r\n0\r\n\rx", "bad chunk"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" + CHUNKED + b"x\r\n", "bad chunk"),
        (WHOLE + WHOLE, "excess data"),
        (WHOLE + b"x", "excess data"),
        (WHOLE + b"H", "excess data"),
        (WHOLE + b"HTTP/1.1 200 O", "excess data"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}x", "excess data"),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", "excess data"),
        (b"HTTP/1.0 100 Continue\r\n\r\n" + WHOLE, "excess data"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "unexpected upgrade"),
        (
            b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nraw",
            "unexpected upgrade",
        ),
        (CHUNKED + b"2;a=b\r\n{}\r\n0\r\nX: y\r\n\r\n", "complete"),
        (b"\r\n" + WHOLE + b"\r\n", "complete"),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "complete"),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "complete"),
        (b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", "complete"),
        (OK + b"Upgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n", "complete"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "unfinished"),
        (OK + b"Content-Length: 3\r\n\r\n{}", "unfinished"),
        (OK + b"\r\nuntil the end", "unfinished"),
    ],
)
def test_every_sort_of_damage_has_its_kind(content: bytes, kind: str, keep: bool) -> None:
    assert kind_of(content, keep=keep) == kind


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (OK + b"Content-Length: 500\r\n\r\n", "complete"),
        (OK + b"Content-Length: 0\r\n\r\n", "complete"),
        (CHUNKED, "complete"),
        (OK + b"\r\n", "complete"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\n", "complete"),
        (WHOLE, "excess data"),
        (CHUNKED + b"2\r\n{}\r\n0\r\n\r\n", "excess data"),
        (OK + b"\r\nbody", "excess data"),
        (2 * (OK + b"Content-Length: 0\r\n\r\n"), "excess data"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "unexpected upgrade"),
        (OK + b"Content-Length: 5\r\n", "unfinished"),
    ],
)
@pytest.mark.parametrize("keep", [True, False])
def test_the_answer_to_a_head_ends_with_its_head(content: bytes, kind: str, keep: bool) -> None:
    assert kind_of(content, head=True, keep=keep) == kind


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "closed"),
        (b"HTTP/1.1 200", "closed early"),
        (b"\r\n\r\n", "closed early"),
        (OK + b"Content-Length: 3\r\n\r\n{}", "closed early"),
        (CHUNKED + b"2\r\n{}\r\n", "closed early"),
        (CHUNKED + b"2\r\n{}\r\n0\r\n", "closed early"),
        (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n5\r\n", "closed early"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "closed early"),
        (b"HTTP/1.0 100 Continue\r\n\r\n", "closed early"),
        (b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "closed early"),
        (OK + b"\r\nuntil the end", "complete"),
        (OK + b"\r\n", "complete"),
        (b"HTTP/1.1 103 Hints\r\nContent-Length: 3\r\n\r\n" + OK + b"\r\nabc", "complete"),
        (OK + b"X-Content-Length: 3\r\n\r\nuntil the end", "complete"),
        (OK + b"Transfer-Encoding: gzip\r\n\r\nuntil the end", "complete"),
    ],
)
def test_the_end_of_a_connection_ends_only_an_answer_without_a_length(
    content: bytes, kind: str
) -> None:
    assert kind_of(content, end=True) == kind


SOUND = (
    WHOLE,
    CHUNKED + b"2\r\n{}\r\n3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: <a>\r\n\r\n" + WHOLE,
    b"HTTP/1.1 404 No\r\nX:\r\nY: a: b\r\nConnection: close\r\nContent-Length: 3\r\n\r\n\r\n\r",
    b"HTTP/1.0 201 \r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
    b"\r\nHTTP/1.1 204\r\n\r\n",
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SOUND), st.lists(st.integers(1, 100), max_size=6), st.booleans())
def test_how_an_answer_is_split_into_segments_changes_nothing(
    content: bytes, cuts: list[int], keep_body: bool
) -> None:
    def read(segments: Iterable[bytes]) -> tuple[object, ...]:
        with connected() as (connection, peer):
            ask(connection, keep_body=keep_body)
            assert receive(connection, peer, segments)
            body = connection.body if keep_body else b""
            head = parse_head(connection.start)
            assert head.status == connection.status
            return connection.status, body, connection.keep_alive, head, connection.received

    bounds = sorted({0, len(content), *(cut for cut in cuts if cut < len(content))})
    assert read(content[a:b] for a, b in pairwise(bounds)) == read([content])


def test_answers_follow_one_another_whatever_is_wanted_of_them() -> None:
    with connected() as (connection, peer):
        for number in range(1, 8):
            keep_body, expects_body = number % 2 == 0, number % 3 != 0
            ask(connection, keep_body=keep_body, expects_body=expects_body)
            body = b"%d" % number if expects_body else b""
            answer = OK + b"Content-Length: 1\r\n\r\n" + body
            assert receive(connection, peer, [answer])
            assert (connection.answered, connection.received) == (number, len(answer))
            assert connection.start == answer
            if keep_body:
                assert connection.body == body


# Sizes.


@pytest.mark.parametrize("segment", [1_000, 65_536, 1_000_000])
def test_a_head_without_an_end_is_oversized_however_it_comes(segment: int) -> None:
    content = OK + b"X: " + b"y" * 200_000
    with connected() as (connection, peer):
        ask(connection)
        with pytest.raises(ConnectionFailed, match=r"no end of it after 65,536 bytes") as caught:
            receive(connection, peer, _pieces(content, segment))
        assert caught.value.kind == "oversized header"
        assert len(connection.start) <= 2 * 65_536


@pytest.mark.parametrize("segment", [7, 10_000, 1_000_000])
def test_the_largest_head_and_one_byte_more(segment: int) -> None:
    def answer(length: int) -> bytes:
        head = OK + b"Content-Length: 70000\r\nX: "
        return head + b"y" * (length - len(head) - 4) + b"\r\n\r\n" + b"z" * 70_000

    with connected() as (connection, peer):
        ask(connection)
        assert receive(connection, peer, _pieces(answer(65_536), segment))
        assert connection.body == b"z" * 70_000
        ask(connection)
        with pytest.raises(ConnectionFailed, match="no end of it"):
            receive(connection, peer, _pieces(answer(65_537), segment))


def test_interim_answers_without_end_are_an_oversized_header() -> None:
    with connected() as (connection, peer):
        ask(connection)
        with pytest.raises(ConnectionFailed, match="no end of it"):
            receive(connection, peer, 3_000 * [b"HTTP/1.1 100 Continue\r\n\r\n"])


def test_a_body_that_is_kept_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_BODY", 1_000)
    assert kind_of(OK + b"Content-Length: 1000\r\n\r\n" + b"x" * 1000) == "complete"
    assert kind_of(OK + b"Content-Length: 1001\r\n\r\n" + b"x" * 1001) == "oversized body"
    assert kind_of(OK + b"Content-Length: 1001\r\n\r\n" + b"x" * 1001, keep=False) == "complete"


def test_a_large_request_goes_out_in_pieces() -> None:
    request = bytes(range(256)) * 40_000
    with connected() as (connection, peer):
        assert connection.written is False
        assert not connection.send(request, keep_body=False, expects_body=True)
        assert connection.written
        received = bytearray()
        complete = False
        while not complete or len(received) < len(request):
            received += peer.recv(1_000_000)
            complete = complete or connection.flush()
        assert received == request


def _pieces(content: bytes, length: int) -> Iterator[bytes]:
    for start in range(0, len(content), length):
        yield content[start : start + length]


# Ends.


def test_an_idle_connection_is_lost_when_anything_comes_or_ends_on_it() -> None:
    with connected() as (connection, peer):
        assert not connection.lost()
        peer.sendall(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        wait(connection, select.POLLIN)
        assert connection.lost()
    for linger in (False, True):
        with connected() as (connection, peer):
            _close(peer, by_reset=linger)
            wait(connection, select.POLLIN)
            assert connection.lost()


def test_session_tickets_do_not_end_an_idle_connection() -> None:
    authority = trustme.CA()
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs.minimum_version = ssl.TLSVersion.TLSv1_3
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    ours = ssl.create_default_context()
    authority.configure_trust(ours)
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as stack:
        address = Address(socket.AF_INET, listener.getsockname())
        connection = Connection(address, ours, "127.0.0.1")
        stack.callback(connection.close)
        plain = listener.accept()[0]
        wait(connection, select.POLLOUT)
        plain.setblocking(False)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with theirs.wrap_socket(plain, server_side=True, do_handshake_on_connect=False) as peer:
            while connection.advance() is not Opening.OPEN:
                with suppress(ssl.SSLWantReadError):
                    peer.do_handshake()
            assert not ready(connection, select.POLLIN)
            peer.do_handshake()
            wait(connection, select.POLLIN)
            while ready(connection, select.POLLIN):
                assert not connection.lost()
            assert receive(ask(connection), peer, [WHOLE])
        wait(connection, select.POLLIN)
        assert connection.lost()


def test_a_reset_is_told_apart_from_an_end() -> None:
    for content in (b"", OK + b"\r\n{"):
        with connected() as (connection, peer):
            ask(connection)
            receive(connection, peer, [content] if content else [])
            _close(peer, by_reset=True)
            wait(connection, select.POLLIN)
            with pytest.raises(ConnectionFailed, match="Connection reset by peer") as caught:
                connection.receive()
            assert caught.value.kind == "reset"


def test_nothing_is_written_to_a_connection_that_is_known_to_be_closed() -> None:
    with connected() as (connection, peer):
        _close(peer, by_reset=True)
        wait(connection, select.POLLIN)
        with pytest.raises(ConnectionFailed) as caught:
            ask(connection)
        assert (caught.value.kind, connection.written) == ("reset", False)


def _close(peer: socket.socket, *, by_reset: bool) -> None:
    if by_reset:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


# Opening.


def opened(address: Address) -> Connection:
    connection = Connection(address)
    try:
        wait(connection, select.POLLOUT)
        connection.advance()
    except ConnectionFailed:
        connection.close()
        raise
    return connection


def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionFailed, match="Connection refused") as caught:
            opened(Address(socket.AF_INET, unused.getsockname()))
    assert caught.value.kind == "refused"


def test_a_unix_socket_is_not_there_or_nobody_listens_or_it_is_full(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    address = Address(socket.AF_UNIX, path)
    with pytest.raises(ConnectionFailed, match="No such file") as missing:
        opened(address)
    with socket.socket(socket.AF_UNIX) as server, ExitStack() as stack:
        server.bind(path)
        with pytest.raises(ConnectionFailed, match="Connection refused") as unheard:
            opened(address)
        server.listen(0)
        stack.callback(opened(address).close)
        with pytest.raises(ConnectionFailed, match="temporarily unavailable") as full:
            opened(address)
    assert [caught.value.kind for caught in (missing, unheard, full)] == 3 * ["refused"]


def test_no_descriptor_left_is_the_generators_own_failure() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = Address(socket.AF_INET, listener.getsockname())
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            with pytest.raises(ConnectionFailed, match="Too many open files") as caught:
                Connection(address)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.kind == "generator: out of file descriptors"


def _knows_port_ranges() -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.setsockopt(socket.IPPROTO_IP, _LOCAL_PORT_RANGE, struct.pack("HH", 0, 0))
        return True
    return False


@pytest.mark.skipif(not _knows_port_ranges(), reason="Linux before 6.3")
def test_no_local_port_left_is_the_generators_own_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        name = listener.getsockname()

        class OnePort(socket.socket):
            """A socket that may use one local port only, which is taken."""

            def __init__(self, *how: int) -> None:
                super().__init__(*how)
                port_range = struct.pack("HH", name[1], name[1])
                self.setsockopt(socket.IPPROTO_IP, _LOCAL_PORT_RANGE, port_range)

        with monkeypatch.context() as patch:
            patch.setattr(socket, "socket", OnePort)
            with pytest.raises(ConnectionFailed, match="Cannot assign requested") as caught:
                Connection(Address(socket.AF_INET, name))
    assert caught.value.kind == "generator: out of local ports"


def test_a_name_that_tls_cannot_ask_for_is_a_failure_of_tls() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = Connection(Address(socket.AF_INET, listener.getsockname()), context, ".x")
        wait(connection, select.POLLOUT)
        with pytest.raises(ConnectionFailed) as caught:
            connection.advance()
        connection.close()
    assert caught.value.kind == "tls"
