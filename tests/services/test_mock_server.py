"""A mock as its clients see it: a real process, asked over real connections."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from mocks import RunningMock, received, running_mock
from stressrun.metrics.mock_calls import MockCalls

ROUTES = """
- {on: GET /same, respond: {body: same}}
- {on: GET /late, respond: {body: late}, latency: 30ms}
- {on: GET /tomorrow, latency: 24h}
- {on: POST /echo, respond: {json: {size: "${header.content-length}", a: "${body.a}"}}}
- {on: GET /empty, respond: {status: 204}}
- {on: GET /reset, fail: {reset: true}}
- {on: GET /close, fail: {close: true}}
- {on: GET /hang, fail: {hang: true}}
- {on: GET /half, respond: {body: "0123456789"}, fail: {truncate: true}}
- {on: GET /slow, respond: {body: "0123456789"}, fail: {slow_body: 90ms}}
- {on: GET /peak, respond: [{body: calm}, {body: peak, in: peak}]}
- {on: POST /search, body: {matches: "(a+)+$"}, respond: {body: found}}
- {on: POST /search, respond: {body: none}}
- {on: GET /third, respond: [{body: pending}, {body: done, after: 2 calls}]}
- {on: POST /trailer, respond: {json: {a: "${header.X-A}", b: "${header.X-B}"}}}
"""


def get(path: str, *headers: str) -> bytes:
    lines = (f"GET {path} HTTP/1.1", "Host: m", *headers)
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


@pytest.fixture(scope="module")
def mock() -> Iterator[RunningMock]:
    with running_mock(ROUTES) as running:
        yield running


def test_answers_come_in_the_order_of_the_requests_however_late_they_are(mock: RunningMock) -> None:
    asked = get("/late") + get("/same") + get("/empty") + get("/late") + get("/same")
    answered = mock.exchange(asked, answers=5)
    statuses = re.findall(rb"HTTP/1.1 (\d+) ", answered)
    assert statuses == [b"200", b"200", b"204", b"200", b"200"]
    bodies = [part.partition(b"HTTP/")[0] for part in answered.split(b"\r\n\r\n")[1:]]
    assert bodies == [b"late", b"same", b"", b"late", b"same"]


def test_a_request_may_come_byte_by_byte_and_with_a_body_in_chunks(mock: RunningMock) -> None:
    asked = (
        b"POST /echo HTTP/1.1\r\nHost: m\r\nTransfer-Encoding: chunked\r\n\r\n"
        b'4\r\n{"a"\r\n5\r\n: 7 }\r\n0\r\n\r\n'
    )
    with mock.connect() as client:
        for byte in asked:
            client.sendall(bytes([byte]))
        assert received(client).endswith(b'{"size":null,"a":7}')


@pytest.mark.parametrize(
    ("asked", "status", "closes"),
    [
        (get("/same", "Connection: close"), b"200", True),
        (b"GET /same HTTP/1.0\r\n\r\n", b"200", True),
        (b"HEAD /same HTTP/1.0\r\n\r\n", b"404", True),
        (b"NONSENSE\r\n\r\n", b"400", True),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300), b"400", True),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"", True),
        (b"GET /same HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"400", True),
        (get("/" + "x" * 200_000), b"431", True),
        (get("/same", *(f"X-{n}: {'y' * 1000}" for n in range(200))), b"431", True),
        (get("/%ff%00/\x01?a=%zz"), b"400", True),
        (get("/../../etc/passwd"), b"404", False),
    ],
)
def test_what_no_client_should_send_gets_an_answer_and_the_next_is_served(
    mock: RunningMock, asked: bytes, status: bytes, closes: bool
) -> None:
    with mock.connect() as client:
        with suppress(ConnectionError):
            # It may end the connection while there is more to come.
            client.sendall(asked)
        answered = until_the_end(client) if closes else received(client)
    if status:
        assert answered.split()[1:2] == [status]
    assert mock.exchange(get("/same")).endswith(b"same")


def until_the_end(client: socket.socket) -> bytes:
    """What comes until the connection ends, by a reset too: what came before that can be read."""
    data = b""
    with suppress(ConnectionResetError):
        while more := client.recv(65_536):
            data += more
    return data


def test_another_protocol_is_not_spoken_and_the_connection_goes_on(mock: RunningMock) -> None:
    asked = get("/same", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c") + get("/same")
    assert mock.exchange(asked, answers=2).count(b"200 OK") == 2


def test_a_client_that_waits_to_be_let_on_is(mock: RunningMock) -> None:
    with mock.connect() as client:
        client.sendall(b"POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 8\r\n\r\n")
        assert received(client) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b'{"a": 1}')
        assert received(client).endswith(b'{"size":"8","a":1}')


def test_a_body_without_end_is_refused_and_not_kept(mock: RunningMock) -> None:
    before = resident(mock)
    megabytes = 100
    with mock.connect() as client:
        length = megabytes * 2**20
        client.sendall(f"POST /echo HTTP/1.1\r\nContent-Length: {length}\r\n\r\n".encode())
        for _ in range(megabytes):
            client.sendall(bytes(2**20))
        answered = received(client)
    assert answered.startswith(b"HTTP/1.1 413 ")
    assert resident(mock) - before < 40 * 2**20


def resident(mock: RunningMock) -> int:
    """The most memory that it has had, in bytes."""
    with open(f"/proc/{mock.process.pid}/status", encoding="ascii") as file:
        line = next(line for line in file if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def test_connections_are_reset_closed_left_hanging_and_cut_as_the_scenario_says(
    mock: RunningMock,
) -> None:
    mock.enter("steady")
    with mock.connect() as client:
        client.sendall(get("/reset"))
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    assert mock.exchange(get("/close")) == b""
    assert mock.exchange(get("/half")).endswith(b"Content-Length: 10\r\n\r\n01234")
    assert mock.exchange(get("/slow")).endswith(b"0123456789")
    with mock.connect() as hanging:
        hanging.sendall(get("/hang") + get("/same"))
        hanging.setblocking(False)
        assert mock.exchange(get("/same")).endswith(b"same")
        with pytest.raises(BlockingIOError):
            hanging.recv(1)
    assert mock.exchange(get("/same")).endswith(b"same")
    routes = mock.calls().routes
    assert {name: dict(route.failures) for name, route in routes.items() if route.failures} == {
        "GET /reset": {"reset": 1},
        "GET /close": {"close": 1},
        "GET /hang": {"hang": 1},
        "GET /half": {"truncate": 1},
        "GET /slow": {"slow_body": 1},
    }
    assert routes["GET /hang"].abandoned == 1
    assert routes["GET /same"].calls == 3


def test_calls_are_counted_in_the_stage_in_which_they_come(mock: RunningMock) -> None:
    assert mock.exchange(get("/peak")).endswith(b"calm")
    mock.enter("peak")
    assert mock.exchange(get("/peak") * 3, answers=3).count(b"peak") == 3
    assert (
        mock.exchange(get("/unknown"))
        .partition(b"\r\n\r\n")[2]
        .startswith(b"the mock has no route for GET /unknown: GET /same, GET /late")
    )
    calls = mock.calls()
    assert calls.routes["GET /peak"].calls == 3
    assert dict(calls.routes["GET /peak"].statuses) == {200: 3}
    assert dict(calls.unmatched) == {"GET /healthz": 1, "GET /unknown": 1}
    assert calls.routes["GET /peak"].lag.count == 3
    assert mock.exchange(get("/peak")).endswith(b"calm")
    mock.enter("steady")
    assert mock.calls().routes["GET /peak"].calls == 0


def test_a_pattern_that_is_searched_for_without_end_is_told_and_the_next_is_served(
    mock: RunningMock,
) -> None:
    def post(body: bytes) -> bytes:
        return b"POST /search HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    mock.enter("steady")
    answered = mock.exchange(post(b"a" * 50 + b"b") + post(b"aa") + post(b"b"), answers=3)
    statuses = re.findall(rb"HTTP/1.1 (\d+) ", answered)
    assert statuses == [b"500", b"200", b"200"]
    assert b"a pattern of POST /search: the search for it took longer than 1 s" in answered
    calls = mock.calls()
    assert dict(calls.refused) == {"too slow a pattern of POST /search": 1}
    assert [calls.routes[name].calls for name in ("POST /search", "POST /search (2)")] == [1, 1]


def test_a_call_that_still_waits_when_its_stage_ends_is_counted_there_and_nowhere_else(
    mock: RunningMock,
) -> None:
    mock.enter("steady")
    with mock.connect() as client:
        client.sendall(get("/tomorrow"))
        assert mock.exchange(get("/same")).endswith(b"same")
        first = mock.calls().routes["GET /tomorrow"]
        mock.enter("peak")
    assert mock.exchange(get("/same")).endswith(b"same")
    second = mock.calls().routes["GET /tomorrow"]
    assert (first.calls, first.waiting, first.abandoned) == (1, 1, 0)
    assert (second.calls, second.waiting, second.abandoned) == (0, 0, 0)


def test_a_mock_that_sleeps_through_a_stage_tells_how_late_it_was(mock: RunningMock) -> None:
    with mock.connect() as client:
        client.sendall(get("/same"))
        assert received(client).endswith(b"same")
        mock.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, mock.process.pid, os.WSTOPPED)
        start = time.monotonic_ns()
        mock.control.send({"do": "stage", "name": "peak", "start": start})
        client.sendall(get("/peak"))
        mock.control.send({"do": "end"})
        least = time.monotonic_ns() - start
        mock.process.send_signal(signal.SIGCONT)
        told = mock.control.wait()
        assert told is not None
        assert received(client).endswith(b"peak")
    calls = MockCalls.from_wire(told["calls"])
    assert calls.routes["GET /peak"].calls == 1
    assert calls.loop_lag.maximum >= least
    assert calls.seconds >= least / 1e9


def test_a_mock_that_is_set_back_has_never_been_called(mock: RunningMock) -> None:
    def third() -> list[bytes]:
        answered = mock.exchange(get("/third") * 3, answers=3)
        return re.findall(rb"pending|done", answered)

    assert third() == [b"pending", b"pending", b"done"]
    assert third() == [b"done"] * 3
    mock.control.send({"do": "set back"})
    mock.calls()
    assert third() == [b"pending", b"pending", b"done"]


def test_what_follows_a_body_in_chunks_is_no_header(mock: RunningMock) -> None:
    asked = (
        b"POST /trailer HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX-A: a\r\n\r\n"
        b"1\r\n1\r\n0\r\nX-B: b\r\n\r\n"
    )
    assert mock.exchange(asked).endswith(b'{"a":"a","b":null}')


def test_calls_whose_clients_leave_before_their_answer_are_counted(mock: RunningMock) -> None:
    mock.enter("steady")
    for _ in range(20):
        with mock.connect() as client:
            client.sendall(get("/tomorrow"))
    with mock.connect() as half:
        half.sendall(get("/tomorrow"))
        half.shutdown(socket.SHUT_WR)
        assert half.recv(1) == b""
    assert mock.exchange(get("/same")).endswith(b"same")
    assert mock.calls().routes["GET /tomorrow"].abandoned == 21


def test_a_client_that_reads_no_answer_harms_nobody(mock: RunningMock) -> None:
    with mock.connect() as greedy:
        greedy.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                greedy.send(get("/same") * 100)
        assert mock.exchange(get("/same")).endswith(b"same")


def test_thousands_of_connections_are_served_at_once() -> None:
    count = 5_000
    with running_mock(ROUTES) as mock:
        clients = []
        try:
            for _ in range(count):
                clients.append(mock.connect())
            for client in clients:
                client.sendall(get("/late"))
            assert all(received(client).endswith(b"late") for client in clients)
        finally:
            for client in clients:
                client.close()


def test_without_descriptors_it_goes_on_with_the_clients_that_it_has() -> None:
    with running_mock(ROUTES, "ulimit -n 40") as mock:
        clients = [mock.connect() for _ in range(60)]
        first = clients[0]
        first.sendall(get("/same"))
        assert received(first).endswith(b"same")
        for client in clients[1:50]:
            client.close()
        last = clients[-1]
        last.sendall(get("/same"))
        assert received(last).endswith(b"same")
        for client in clients:
            client.close()


def test_it_ends_when_its_controller_is_gone() -> None:
    with running_mock(ROUTES) as mock:
        client = mock.connect()
    assert client.recv(1) == b""
    client.close()
