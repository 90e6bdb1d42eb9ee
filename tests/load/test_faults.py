"""What goes wrong between the lane and a server: each has its kind, and the load goes on."""

from __future__ import annotations

import resource
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from served import (
    ONE_USER,
    RATE,
    against,
    against_streams,
    answering,
    closing_after,
    errors,
    ok,
    only,
    times,
)

from http_server import Answer, Exchange, reset, response
from lanes import endpoint, request, run_endpoints
from stressrun.http import connection
from stressrun.scenario.model import Http, Think, Tls

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
QUICK = 0.05


async def reset_before(exchange: Exchange) -> None:
    reset(exchange.stream)


async def reset_amid(exchange: Exchange) -> None:
    await exchange.stream.send_all(OK + b"Content-Length: 9\r\n\r\n{}")
    await trio.sleep(0.02)
    reset(exchange.stream)


async def never(exchange: Exchange) -> None:
    await trio.sleep_forever()


async def drip(exchange: Exchange) -> None:
    await exchange.stream.send_all(OK)
    while True:
        await exchange.stream.send_all(b"X: y\r\n")
        await trio.sleep(0.005)


async def flood(exchange: Exchange) -> None:
    await exchange.stream.send_all(OK + 200 * (b"X: " + 1_000 * b"y" + b"\r\n"))


@dataclass(frozen=True)
class Fault:
    """What a server does in place of an answer, and how it is told."""

    kind: str
    answer: Answer


FAULTS = {
    "closed": Fault("closed", closing_after()),
    "reset before": Fault("reset", reset_before),
    "reset amid": Fault("reset", reset_amid),
    "no answer": Fault("timeout", never),
    "slow loris": Fault("timeout", drip),
    "an interim answer only": Fault("timeout", answering(b"HTTP/1.1 100 Continue\r\n\r\n")),
    "status line": Fault("malformed status line", closing_after(b"nonsense\r\n\r\n")),
    "status line in pieces": Fault(
        "malformed status line", closing_after(b"HTTP/1.1", b" abc\r\n")
    ),
    "header": Fault("malformed header", closing_after(OK, b"no colon\r\n\r\n")),
    "cookie before a broken header": Fault(
        "malformed header", closing_after(OK + b"Set-Cookie: a=b\r\n", b"no colon\r\n\r\n")
    ),
    "oversized header": Fault("oversized header", flood),
    "length that is none": Fault(
        "wrong Content-Length", closing_after(OK + b"Content-Length: -1\r\n\r\n")
    ),
    "too short a length": Fault("excess data", closing_after(OK + b"Content-Length: 1\r\n\r\n{}")),
    "too long a length, closed": Fault(
        "closed early", closing_after(OK + b"Content-Length: 9\r\n\r\n{}")
    ),
    "too long a length, kept": Fault("timeout", answering(OK + b"Content-Length: 9\r\n\r\n{}")),
    "bad chunk": Fault("bad chunk", closing_after(CHUNKED, b"2\r\n{}", b"x\r\n")),
    "half a chunk": Fault("closed early", closing_after(CHUNKED, b"2\r\n{")),
    "no last chunk": Fault("closed early", closing_after(CHUNKED + b"2\r\n{}\r\n")),
    "half a head": Fault("closed early", closing_after(OK)),
    "an upgrade": Fault(
        "unexpected upgrade",
        answering(b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nraw"),
    ),
    "a bare 101": Fault("unexpected upgrade", answering(b"HTTP/1.1 101 X\r\n\r\n")),
    "two answers": Fault("excess data", answering(2 * response(200, {}))),
    "an answer and a bit": Fault("excess data", answering(response(200, {}) + b"H")),
    "oversized body": Fault("oversized body", answering(response(200, "x" * 2_000))),
    "undecodable body": Fault(
        "capture: undecodable body",
        answering(response(200, {"id": 7}, "Content-Encoding: gzip\r\n")),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_each_fault_is_of_its_kind_and_the_next_request_succeeds(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault, numbers = FAULTS[name], count()
    monkeypatch.setattr(connection, "_MOST_BODY", 1_000)

    async def answer(exchange: Exchange) -> bytes | None:
        return await (fault.answer if next(numbers) % 2 else ok)(exchange)

    timeout = 0.2 if fault.kind == "timeout" else 20
    post = endpoint(request("POST", captures={"id": "$.id"}, timeout=timeout))
    recorder, _ = await against(answer, post, load=times(6), duration=20)
    row = only(recorder)
    assert (row.planned, row.succeeded) == (6, 3)
    assert dict(row.errors) == {fault.kind: 3}
    assert [sample.error for sample in row.samples[fault.kind]] == 3 * [fault.kind]


async def test_a_reset_after_the_answer_costs_nothing_but_the_connection() -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.stream.send_all(response(200, {}))
        reset(exchange.stream)

    steps = endpoint(request("GET"), request("GET"))
    recorder, server = await against(answer, steps, load=times(5), duration=20)
    assert recorder.rows["endpoint", "e"].succeeded == 5
    assert server.connections == len(server.exchanges) >= 10


# Stale connections.


def first_only(seen: list[str]) -> Answer:
    """Answers the first request; all others find their connection closed."""

    async def answer(exchange: Exchange) -> bytes | None:
        seen.append(exchange.path)
        return response(200, {}) if len(seen) == 1 else None

    return answer


@pytest.mark.parametrize(
    ("method", "attempts"), [("GET", 2), ("PUT", 2), ("DELETE", 2), ("POST", 1), ("PATCH", 1)]
)
async def test_a_stale_connection_costs_one_retry_where_that_is_safe(
    method: str, attempts: int
) -> None:
    seen: list[str] = []
    steps = endpoint(request("GET", "/first"), request(method, "/second"))
    recorder, _ = await against(first_only(seen), steps, load=times(1), duration=20)
    row = recorder.rows["step", f"e: {method} /second"]
    assert seen == ["/first", *attempts * ["/second"]]
    assert (row.planned, dict(row.errors), row.retried) == (1, {"closed": 1}, attempts - 1)


async def test_a_fresh_connection_that_is_closed_is_not_tried_again() -> None:
    recorder, server = await against(closing_after(), endpoint(request()), load=times(3))
    assert (errors(recorder), only(recorder).retried) == ({"closed": 3}, 0)
    assert len(server.exchanges) == 3


async def test_a_connection_that_breaks_amid_an_answer_is_not_tried_again() -> None:
    numbers = count()

    async def answer(exchange: Exchange) -> bytes | None:
        return await (closing_after(OK) if next(numbers) % 2 else ok)(exchange)

    recorder, server = await against(answer, endpoint(request()), load=times(10), duration=20)
    assert (errors(recorder), only(recorder).retried) == ({"closed early": 5}, 0)
    assert len(server.exchanges) == 10


async def test_what_was_never_written_may_be_sent_again_whatever_its_method() -> None:
    numbers = count()

    async def answer(exchange: Exchange) -> bytes | None:
        if next(numbers):
            return response(200, {})
        # In one go, so that the next request meets a connection that is already reset.
        plain = exchange.stream
        assert isinstance(plain, trio.SocketStream)
        with socket.socket(fileno=socket.dup(plain.socket.fileno())) as now:
            now.send(response(200, {}))
        reset(plain)
        return None

    steps = endpoint(request("POST", "/1"), request("POST", "/2"))
    recorder, server = await against(answer, steps, load=times(1), duration=20)
    assert recorder.rows["endpoint", "e"].succeeded == 1
    assert recorder.rows["step", "e: POST /2"].retried == 1
    assert [exchange.path for exchange in server.exchanges] == ["/1", "/2"]


async def test_a_retry_that_cannot_connect_is_a_failure_of_that_kind() -> None:
    async with trio.open_nursery() as nursery:
        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        port = listener.socket.getsockname()[1]

        async def serve_one() -> None:
            stream = await listener.accept()
            for _ in range(2):
                await stream.receive_some()
                if listener.socket.fileno() < 0:
                    break
                await listener.aclose()
                await stream.send_all(response(200, {}))
            await stream.aclose()

        nursery.start_soon(serve_one)
        steps = endpoint(request(path="/1"), request(path="/2"))
        recorder = await run_endpoints(
            f"http://127.0.0.1:{port}", steps, load=times(1), duration=20
        )
    row = recorder.rows["step", "e: GET /2"]
    assert (dict(row.errors), row.retried) == ({"refused": 1}, 1)


# Answers to what was not sent to its end.


async def test_an_answer_to_half_a_request_counts_and_ends_the_connection() -> None:
    connections = 0

    async def refuse(stream: trio.SocketStream) -> None:
        nonlocal connections
        connections += 1
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await trio.sleep_forever()

    big = endpoint(request("POST", json_body={"text": "x" * 8_000_000}))
    recorder = await against_streams(refuse, big, load=times(3), duration=20)
    assert errors(recorder) == {"status 413": 3}
    assert connections == 3


async def test_the_first_byte_of_an_answer_may_come_amid_the_request() -> None:
    async def slow_to_refuse(stream: trio.SocketStream) -> None:
        await stream.receive_some(1000)
        await stream.send_all(b"HTTP/1.1 413 X\r\nContent-Length: 5\r\n\r\n")
        await trio.sleep(0.3)
        await stream.send_all(b"large")
        await trio.sleep_forever()

    big = endpoint(request("POST", json_body={"text": "x" * 5_000_000}))
    recorder = await against_streams(slow_to_refuse, big, load=times(1), duration=20)
    row = only(recorder)
    assert errors(recorder) == {"status 413": 1}
    assert row.first_byte.maximum < row.service.maximum - 200_000_000


# Opening.


def full_backlog(stack: ExitStack) -> int:
    """A port on which connections wait for ever, as nobody takes the ones before them."""
    listener = stack.enter_context(socket.socket())
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    stack.enter_context(socket.create_connection(listener.getsockname()))
    return int(listener.getsockname()[1])


async def test_a_server_that_takes_no_connection_is_a_connect_timeout() -> None:
    with ExitStack() as stack:
        port = full_backlog(stack)
        recorder = await run_endpoints(
            f"http://127.0.0.1:{port}",
            endpoint(request()),
            load=times(4, vus=2),
            duration=20,
            http=Http(connect_timeout=QUICK),
        )
    row = only(recorder)
    assert dict(row.errors) == {"connect timeout": 4}
    assert (row.service.count, row.bytes_sent) == (0, 0)
    assert row.response.maximum >= QUICK * 1e9


async def test_a_refused_connection_does_not_end_the_load() -> None:
    with trio.socket.socket() as unused:
        await unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        recorder = await run_endpoints(url, endpoint(request("POST")), load=RATE)
    assert errors(recorder) == {"refused": 20}
    (sample, *_) = only(recorder).samples["refused"]
    assert sample.detail == f"Connection refused ({url.removeprefix('http://')})"


class Forgetful(trio.abc.HostnameResolver):
    """Knows a name once, and then no more."""

    def __init__(self) -> None:
        self.asked = 0

    async def getaddrinfo(self, host: bytes | None, port: Any, *how: Any) -> Any:
        self.asked += 1
        if self.asked > 1:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        raise NotImplementedError


async def test_a_name_that_resolves_no_more_is_a_failure_of_dns() -> None:
    trio.socket.set_custom_hostname_resolver(Forgetful())
    recorder, server = await against(
        ok, endpoint(request()), host="api.test", load=RATE, http=Http(resolve_after=0)
    )
    assert errors(recorder) == {"dns": 20}
    assert "Name or service not known" in only(recorder).samples["dns"][0].detail
    assert server.connections == 0


async def test_no_descriptor_left_is_the_generators_own_failure() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def answer(exchange: Exchange) -> bytes:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        return response(200, {}, "Connection: close\r\n")

    try:
        recorder, _ = await against(answer, endpoint(request()), load=times(6), duration=20)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert errors(recorder) == {"generator: out of file descriptors": 5}
    assert only(recorder).succeeded == 1


# TLS.


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trusting(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Http:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return Http(tls=Tls(ca=str(path)), connect_timeout=5)


def server_context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*(names or ("127.0.0.1",))).configure_cert(context)
    return context


async def test_a_certificate_of_a_stranger_is_a_failure_of_tls(trusting: Http) -> None:
    stranger = server_context(trustme.CA())
    recorder, server = await against(
        ok, endpoint(request()), load=times(3), tls=stranger, http=trusting, duration=20
    )
    assert errors(recorder) == {"tls: certificate": 3}
    assert "unable to get local issuer" in only(recorder).samples["tls: certificate"][0].detail
    assert server.exchanges == []


async def test_a_certificate_of_another_host_is_a_failure_of_tls(
    authority: trustme.CA, trusting: Http
) -> None:
    elsewhere = server_context(authority, "elsewhere.test")
    recorder, server = await against(
        ok, endpoint(request()), load=times(3), tls=elsewhere, http=trusting, duration=20
    )
    assert errors(recorder) == {"tls: certificate": 3}
    assert "mismatch" in only(recorder).samples["tls: certificate"][0].detail
    assert server.exchanges == []


async def test_a_certificate_that_the_client_does_not_have_is_a_failure_of_tls(
    authority: trustme.CA, trusting: Http
) -> None:
    context = server_context(authority)
    context.verify_mode = ssl.CERT_REQUIRED

    def shake_hands(plain: socket.socket) -> None:
        plain.setblocking(True)
        with pytest.raises(ssl.SSLError), context.wrap_socket(plain, server_side=True):
            pass

    async def handle(stream: trio.SocketStream) -> None:
        # The standard library's, as trio's does not tell the client why it hangs up.
        with socket.socket(fileno=socket.dup(stream.socket.fileno())) as plain:
            await trio.to_thread.run_sync(shake_hands, plain)

    recorder = await against_streams(
        handle, endpoint(request()), load=times(2), http=trusting, scheme="https", duration=20
    )
    assert errors(recorder) == {"tls": 2}
    assert "alert certificate required" in only(recorder).samples["tls"][0].detail


async def speak_plainly(stream: trio.SocketStream) -> None:
    await stream.receive_some()
    await stream.send_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    await trio.sleep_forever()


async def hang_up(stream: trio.SocketStream) -> None:
    await stream.receive_some()


async def break_off(stream: trio.SocketStream) -> None:
    await stream.receive_some()
    reset(stream)


async def stall(stream: trio.SocketStream) -> None:
    await trio.sleep_forever()


@pytest.mark.parametrize(
    ("handle", "kind"),
    [
        (speak_plainly, "tls"),
        (hang_up, "tls: closed"),
        (break_off, "tls: reset"),
        (stall, "connect timeout"),
    ],
)
async def test_a_handshake_that_fails_is_a_failure_of_its_kind(
    handle: Callable[[trio.SocketStream], Awaitable[None]], kind: str
) -> None:
    http = Http(connect_timeout=QUICK * 4)
    recorder = await against_streams(
        handle, endpoint(request()), load=times(3), http=http, scheme="https", duration=20
    )
    assert errors(recorder) == {kind: 3}
    assert only(recorder).service.count == 0


async def test_tls_where_plain_http_is_spoken_is_a_malformed_status_line(
    authority: trustme.CA,
) -> None:
    serve_tls = partial(trio.SSLStream, ssl_context=server_context(authority), server_side=True)

    async def handle(stream: trio.SocketStream) -> None:
        with pytest.raises(trio.BrokenResourceError):
            await serve_tls(stream).do_handshake()

    recorder = await against_streams(handle, endpoint(request()), load=times(3), duration=20)
    assert set(errors(recorder)) <= {"malformed status line", "closed", "reset"}
    assert only(recorder).failed == 3


async def test_a_stale_tls_connection_is_replaced_like_any_other(
    authority: trustme.CA, trusting: Http
) -> None:
    answered: set[object] = set()

    async def answer(exchange: Exchange) -> bytes | None:
        if exchange.stream in answered:
            return None
        answered.add(exchange.stream)
        return response(200, {})

    recorder, server = await against(
        answer,
        endpoint(request()),
        load=times(5),
        tls=server_context(authority),
        http=trusting,
        duration=20,
    )
    row = only(recorder)
    assert (row.succeeded, row.retried, server.connections) == (5, 4, 5)


async def test_all_faults_at_once_leave_the_books_balanced(tmp_path: Path) -> None:
    faults = [fault.answer for name, fault in FAULTS.items() if name != "oversized body"]
    numbers = count()

    async def answer(exchange: Exchange) -> bytes | None:
        return await faults[next(numbers) % len(faults)](exchange)

    recorder, _ = await against(
        answer, endpoint(request("POST", timeout=QUICK)), load=times(200, vus=20), duration=20
    )
    row = only(recorder)
    assert (row.planned, row.succeeded + row.failed) == (200, 200)
    assert set(row.errors) < {fault.kind for fault in FAULTS.values()}


async def test_a_virtual_user_that_ends_with_a_pause_goes_on_at_once() -> None:
    pausing = endpoint(request(), Think(0.001, 0.001))
    recorder, _ = await against(ok, pausing, load=times(10), duration=20)
    assert recorder.rows["endpoint", "e"].succeeded == 10


async def test_a_pause_longer_than_a_connect_may_take_is_no_connect_timeout() -> None:
    pausing = endpoint(request(), Think(0.06, 0.1), request(path="/2"), Think(0.06, 0.1))
    recorder, server = await against(
        ok, pausing, load=times(60, vus=20), duration=20, http=Http(connect_timeout=QUICK)
    )
    assert recorder.rows["endpoint", "e"].succeeded == 60
    assert server.connections == 20


async def test_an_end_of_the_stage_amid_faults_interrupts_what_is_left() -> None:
    recorder, _ = await against(never, endpoint(request()), load=ONE_USER, duration=0.05, grace=0)
    assert only(recorder).interrupted == 1
