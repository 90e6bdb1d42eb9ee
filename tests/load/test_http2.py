"""The HTTP/2 lane against real servers: the same books as the HTTP/1.1 lane keeps."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio
import trustme

from http2_server import Answer, Closed, Exchange, Reply, Server, serve
from lanes import endpoint, http_scenario, request, run_endpoints
from stressrun.errors import SetupError
from stressrun.http.failure import ConnectionFailed
from stressrun.http.http2 import secure
from stressrun.metrics.recorder import Recorder, Row
from stressrun.run.preparation import check_targets
from stressrun.safety.guard import Guard
from stressrun.scenario.model import (
    Arrivals,
    Endpoint,
    Expect,
    Http,
    IterationsPerVu,
    Ramp,
    SharedIterations,
    Think,
    Tls,
    Users,
)

RATE = Arrivals(Ramp(100, 100), 50)
ONE_USER = Users(Ramp(1, 1))
HTTP2 = Http(protocol="http2")


async def against(
    answer: Answer, *endpoints: Endpoint, early: bool = False, **how: Any
) -> tuple[Recorder, Server]:
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(partial(serve, answer, early=early))
        how.setdefault("http", HTTP2)
        recorder = await run_endpoints(f"http://127.0.0.1:{server.port}", *endpoints, **how)
        nursery.cancel_scope.cancel()
    return recorder, server


def only(recorder: Recorder) -> Row:
    (row,) = recorder.rows.values()
    return row


async def ok(exchange: Exchange) -> Reply:
    return Reply(200, {"id": 7})


async def forever(exchange: Exchange) -> Reply:
    await trio.sleep_forever()
    raise AssertionError


async def test_an_open_stage_sends_every_arrival_once() -> None:
    recorder, server = await against(ok, endpoint(request(path="/a/${integer(1, 9)}")), load=RATE)
    row = only(recorder)
    assert (row.planned, row.succeeded, len(server.exchanges)) == (20, 20, 20)
    assert recorder.lag.count == 20
    assert recorder.connect.count == server.connections
    assert {e.path[:3] for e in server.exchanges} == {"/a/"}
    assert min(row.bytes_sent, row.bytes_received) > 0


async def test_what_a_loop_that_was_stopped_adds_to_a_start_is_told_apart() -> None:
    answered = 0

    async def answer(exchange: Exchange) -> Reply:
        nonlocal answered
        answered += 1
        if answered == 10:
            time.sleep(0.08)  # the lane stands as still as whoever runs in its process
        return Reply()

    recorder, _ = await against(answer, endpoint(request()), load=RATE)
    row = only(recorder)
    assert row.lagged.count >= 5
    assert row.response_without_lag.total < row.response.total - 100_000_000
    assert recorder.loop_lag.maximum > 50_000_000


async def test_virtual_users_keep_their_connections_between_stages() -> None:
    recorder, server = await against(ok, endpoint(request()), load=Users(Ramp(3, 3)), stages=3)
    assert server.connections == 3
    assert only(recorder).succeeded == len(server.exchanges) > 30
    assert only(recorder).retried == 0


@pytest.mark.parametrize(("reuse", "connections"), [("vu", 1), ("iteration", 5), ("none", 10)])
async def test_connections_last_as_long_as_the_scenario_says(reuse: str, connections: int) -> None:
    load = SharedIterations(iterations=5, vus=1)
    recorder, server = await against(
        ok,
        endpoint(request(), request(path="/2")),
        load=load,
        http=Http(protocol="http2", reuse=reuse),
    )
    assert recorder.rows["endpoint", "e"].succeeded == 5
    assert (server.connections, len(server.exchanges)) == (connections, 10)


async def test_each_virtual_user_does_its_own_number_of_iterations() -> None:
    recorder, server = await against(
        ok, endpoint(request()), load=IterationsPerVu(iterations=4, vus=3), duration=5.0
    )
    assert only(recorder).succeeded == len(server.exchanges) == 12
    assert server.connections == 3


async def test_steps_share_captured_variables_and_have_rows_of_their_own() -> None:
    checkout = endpoint(
        request("POST", "/carts", json_body={"n": "${integer(5, 5)}"}, captures={"cart": "$.id"}),
        Think(0.001, 0.002),
        request("POST", "/carts/${cart}/checkout", headers={"X-Cart": "c-${cart}"}),
    )
    recorder, server = await against(ok, checkout, load=RATE)
    assert {(kind, name): row.succeeded for (kind, name), row in recorder.rows.items()} == {
        ("endpoint", "e"): 20,
        ("step", "e: POST /carts"): 20,
        ("step", "e: POST /carts/${cart}/checkout"): 20,
    }
    first, last = server.exchanges[0], server.exchanges[-1]
    assert json.loads(first.body) == {"n": 5}
    assert (last.path, last.headers["x-cart"]) == ("/carts/7/checkout", "c-7")


async def test_the_request_has_no_headers_that_are_of_http_1() -> None:
    headers = {
        "Host": "shop.example",
        "Connection": "close",
        "Transfer-Encoding": "chunked",
        "TE": "gzip",
        "X-Own": "é",
    }
    _, server = await against(
        ok,
        endpoint(request("POST", headers=headers, json_body={"n": 1})),
        load=SharedIterations(1, 1),
    )
    (exchange,) = server.exchanges
    assert exchange.authority == "shop.example"
    assert exchange.headers["x-own"] == "é"
    assert exchange.headers["content-length"] == str(len(exchange.body))
    assert not exchange.headers.keys() & {"host", "connection", "transfer-encoding", "te"}


@pytest.mark.parametrize(
    ("status", "expect", "error"),
    [
        (200, Expect((), None), None),
        (404, Expect((), None), "status 404"),
        (404, Expect((404,), None), None),
        (200, Expect((201,), None), "status 200"),
        (200, Expect((), 0.0), "slow"),
    ],
)
async def test_an_answer_is_judged_by_what_is_expected(
    status: int, expect: Expect, error: str | None
) -> None:
    async def answer(exchange: Exchange) -> Reply:
        return Reply(status, {})

    recorder, _ = await against(answer, endpoint(request(expect=expect)), load=RATE)
    assert dict(only(recorder).errors) == ({} if error is None else {error: 20})


async def test_a_failed_answer_is_kept_as_a_sample_with_its_head_and_body() -> None:
    async def answer(exchange: Exchange) -> Reply:
        return Reply(500, b"out of stock", (("x-reason", "stock"),))

    recorder, _ = await against(answer, endpoint(request()), load=SharedIterations(1, 1))
    (sample,) = only(recorder).samples["status 500"]
    assert sample.answer == "500\nx-reason: stock\n\nout of stock"


async def test_cookies_are_kept_and_redirects_followed() -> None:
    async def answer(exchange: Exchange) -> Reply:
        if exchange.path == "/":
            return Reply(302, b"", (("location", "/there"), ("set-cookie", "seen=1")))
        return Reply(200)

    recorder, server = await against(
        answer, endpoint(request(redirects=3)), load=SharedIterations(1, 1)
    )
    assert (only(recorder).succeeded, only(recorder).redirected) == (1, 1)
    assert [e.headers.get("cookie") for e in server.exchanges] == [None, "seen=1"]
    assert server.connections == 1


async def test_the_guard_judges_where_a_redirect_leads() -> None:
    async def answer(exchange: Exchange) -> Reply:
        return Reply(302, b"", (("location", "http://192.0.2.1/"),))

    recorder, _ = await against(answer, endpoint(request(redirects=1)), load=SharedIterations(1, 1))
    assert dict(only(recorder).errors) == {"refused by the guard": 1}


async def test_a_coded_body_is_captured_from_as_it_was_sent() -> None:
    async def answer(exchange: Exchange) -> Reply:
        return Reply(200, gzip.compress(b'{"id": 9}'), (("content-encoding", "gzip"),))

    _, server = await against(
        answer,
        endpoint(request(captures={"id": "$.id"}), request(path="/${id}")),
        load=SharedIterations(1, 1),
    )
    assert [e.path for e in server.exchanges] == ["/", "/9"]


async def test_the_answer_to_a_head_has_no_body() -> None:
    async def answer(exchange: Exchange) -> Reply:
        return Reply(200, b"", (("content-length", "500"),))

    recorder, server = await against(answer, endpoint(request("HEAD")), load=RATE)
    assert only(recorder).succeeded == len(server.exchanges) == 20


async def test_interim_answers_are_skipped() -> None:
    async def answer(exchange: Exchange) -> Reply:
        exchange.protocol.send_headers(exchange.stream_id, [(":status", "103")])
        return Reply(200, {"id": 7})

    recorder, _ = await against(answer, endpoint(request(captures={"id": "$.id"})), load=RATE)
    assert only(recorder).succeeded == 20


async def test_a_large_request_and_a_large_answer_pass_in_pieces() -> None:
    async def answer(exchange: Exchange) -> Reply:
        return Reply(200, {"id": exchange.body.decode()})

    body = {"text": "x" * 3_000_000}
    big = endpoint(
        request("POST", "/", json_body=body, captures={"echo": "$.id"}),
        request("GET", "/done"),
    )
    recorder, server = await against(answer, big, load=SharedIterations(2, 1), duration=5.0)
    assert recorder.rows["endpoint", "e"].succeeded == 2
    assert json.loads(server.exchanges[0].body) == body


async def test_an_answer_may_come_before_the_request_was_sent_to_its_end() -> None:
    async def answer(exchange: Exchange) -> Reply:
        return Reply(413, {"error": "too large"})

    big = endpoint(request("POST", json_body={"text": "x" * 1_000_000}))
    recorder, server = await against(
        answer, big, load=SharedIterations(3, 1), duration=5.0, early=True
    )
    assert dict(only(recorder).errors) == {"status 413": 3}
    assert server.connections == 3


# Failures.


async def close(exchange: Exchange) -> None:
    raise Closed


async def close_amid_the_answer(exchange: Exchange) -> None:
    exchange.protocol.send_headers(exchange.stream_id, [(":status", "200")])
    await exchange.stream.send_all(exchange.protocol.data_to_send())
    raise Closed


async def reset(exchange: Exchange) -> None:
    await exchange.reset(11)


async def break_off(exchange: Exchange) -> None:
    await exchange.goodbye(exchange.stream_id, 2, b"out of memory")


async def break_off_unknown(exchange: Exchange) -> None:
    await exchange.goodbye(exchange.stream_id, 0xFF)


async def lie_about_the_length(exchange: Exchange) -> Reply:
    exchange.protocol.config.validate_outbound_headers = False
    return Reply(200, b"{}", (("content-length", "9"),))


async def write_too_much_of_a_head(exchange: Exchange) -> Reply:
    return Reply(200, b"", tuple((f"x-{n}", "x" * 1000) for n in range(100)))


async def break_the_framing(exchange: Exchange) -> None:
    # A frame of data for a stream that nobody opened.
    await exchange.stream.send_all(b"\x00\x00\x01\x00\x00\x00\x00\x00\x63x")


async def send_an_endless_frame(exchange: Exchange) -> None:
    await exchange.stream.send_all(b"\xff\xff\xff\x00\x00\x00\x00\x00\x01")


async def leave_out_the_status(exchange: Exchange) -> None:
    block = exchange.protocol.encoder.encode([("x-a", "1")])
    head = len(block).to_bytes(3) + b"\x01\x05" + exchange.stream_id.to_bytes(4)
    await exchange.stream.send_all(head + block)


async def invent_a_status(exchange: Exchange) -> Reply:
    block = exchange.protocol.encoder.encode([(":status", "2OO")])
    head = len(block).to_bytes(3) + b"\x01\x05" + exchange.stream_id.to_bytes(4)
    await exchange.stream.send_all(head + block)
    raise Closed


@pytest.mark.parametrize(
    ("answer", "error", "detail"),
    [
        (close, "closed", ""),
        (close_amid_the_answer, "closed early", ""),
        (reset, "http2: RST_STREAM ENHANCE_YOUR_CALM", ""),
        (break_off, "http2: GOAWAY INTERNAL_ERROR", "out of memory"),
        (break_off_unknown, "http2: GOAWAY unknown code", "0xff"),
        (lie_about_the_length, "wrong Content-Length", ""),
        (write_too_much_of_a_head, "oversized header", ""),
        (break_the_framing, "http2: PROTOCOL_ERROR", ""),
        (send_an_endless_frame, "http2: FRAME_SIZE_ERROR", ""),
        (leave_out_the_status, "http2: PROTOCOL_ERROR", ":status"),
        (invent_a_status, "malformed status line", "2OO"),
    ],
)
async def test_a_broken_answer_is_a_failure_of_its_kind(
    answer: Callable[[Exchange], Awaitable[Reply | None]], error: str, detail: str
) -> None:
    recorder, _ = await against(answer, endpoint(request("POST")), load=RATE)
    assert dict(only(recorder).errors) == {error: 20}
    assert detail in only(recorder).samples[error][0].detail


async def test_noise_is_a_failure_and_not_the_end() -> None:
    noise = Random(7)

    async def answer(exchange: Exchange) -> None:
        kind = noise.randrange(10)
        length = noise.randrange(30)
        head = length.to_bytes(3) + bytes([kind, noise.randrange(64)])
        stream = noise.choice([0, exchange.stream_id]).to_bytes(4)
        await exchange.stream.send_all(head + stream + noise.randbytes(length))
        raise Closed

    recorder, _ = await against(
        answer, endpoint(request()), load=SharedIterations(300, 3), duration=10.0
    )
    row = only(recorder)
    assert row.failed + row.succeeded == 300
    assert row.failed > 200


async def test_a_server_that_never_answers_is_timed_out() -> None:
    recorder, _ = await against(forever, endpoint(request(timeout=0.05)), load=RATE)
    assert dict(only(recorder).errors) == {"timeout": 20}
    assert only(recorder).service.count == 20


async def test_an_answer_that_never_ends_is_timed_out() -> None:
    async def answer(exchange: Exchange) -> Reply:
        exchange.protocol.send_headers(exchange.stream_id, [(":status", "200")])
        await exchange.stream.send_all(exchange.protocol.data_to_send())
        return await forever(exchange)

    recorder, _ = await against(answer, endpoint(request(timeout=0.05)), load=RATE)
    assert dict(only(recorder).errors) == {"timeout": 20}


async def test_a_refused_connection_is_a_failure_and_not_the_end() -> None:
    with trio.socket.socket() as unused:
        await unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        recorder = await run_endpoints(url, endpoint(request()), load=RATE, http=HTTP2)
    row = only(recorder)
    assert dict(row.errors) == {"refused": 20}
    assert (row.service.count, row.response.count) == (0, 20), "what was not sent took no service"


async def test_what_is_in_flight_after_the_grace_is_interrupted() -> None:
    steps = endpoint(request(), request(path="/2"))
    recorder, _ = await against(forever, steps, load=RATE, grace=0.0)
    assert recorder.rows["endpoint", "e"].interrupted == 20
    assert recorder.rows["step", "e: GET /"].interrupted == 20
    assert recorder.rows["step", "e: GET /2"].planned == 0


async def test_a_user_who_was_interrupted_goes_on_in_the_next_stage() -> None:
    async def answer(exchange: Exchange) -> Reply:
        return await (forever(exchange) if exchange.number else ok(exchange))

    recorder, server = await against(
        answer, endpoint(request()), load=ONE_USER, grace=0.0, stages=3, duration=0.1
    )
    row = only(recorder)
    assert (row.succeeded, row.interrupted, server.connections) == (3, 3, 3)


async def test_a_late_start_counts_where_thinking_comes_before_the_first_request() -> None:
    async def slow(exchange: Exchange) -> Reply:
        await trio.sleep(0.1)
        return Reply(200, {})

    thinks_first = endpoint(Think(0.001, 0.001), request())
    recorder, _ = await against(slow, thinks_first, load=Arrivals(Ramp(50, 50), 1), duration=0.5)
    row = recorder.rows["endpoint", "e"]
    assert row.succeeded > 1
    assert row.response.maximum > row.service.maximum + 80_000_000


async def test_arrivals_without_a_free_virtual_user_wait_and_are_dropped_at_the_end() -> None:
    async def answer(exchange: Exchange) -> Reply:
        await trio.sleep(0.15)
        return Reply()

    recorder, server = await against(answer, endpoint(request()), load=Arrivals(Ramp(100, 100), 2))
    row = only(recorder)
    assert row.planned == 20
    assert row.succeeded == len(server.exchanges) == 4
    assert row.dropped == 16
    # The second pair waited for a free user: its response time counts from when it was due.
    assert row.response.maximum > row.service.maximum
    # Waiting for a busy user is the target's doing and no lag of the generator.
    assert recorder.lag.count == 2


# Connections that the server retires.


async def test_what_a_retired_connection_still_answers_is_no_failure() -> None:
    async def answer(exchange: Exchange) -> Reply:
        if exchange.number == 2:
            await exchange.goodbye(exchange.stream_id)
        return Reply(200, {"id": 7})

    recorder, server = await against(
        answer,
        endpoint(request("POST", captures={"id": "$.id"})),
        load=SharedIterations(9, 1),
        duration=5.0,
    )
    row = only(recorder)
    assert (row.succeeded, row.failed, row.retried) == (9, 0, 0)
    assert server.connections == 3


async def test_a_connection_that_was_closed_while_idle_is_replaced() -> None:
    async def answer_and_close(exchange: Exchange) -> None:
        exchange.protocol.send_headers(exchange.stream_id, [(":status", "200")], end_stream=True)
        await exchange.stream.send_all(exchange.protocol.data_to_send())
        raise Closed

    recorder, server = await against(
        answer_and_close,
        endpoint(request("POST"), Think(0.01, 0.01)),
        load=SharedIterations(4, 1),
        duration=5.0,
    )
    row = recorder.rows["step", "e: POST /"]
    assert (row.succeeded, row.retried, server.connections) == (4, 0, 4)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_request_that_the_server_did_not_look_at_is_sent_again(method: str) -> None:
    async def answer(exchange: Exchange) -> Reply | None:
        if exchange.number == 0:
            return Reply()
        await exchange.goodbye(exchange.stream_id - 2)
        return None

    recorder, server = await against(
        answer, endpoint(request(method)), load=SharedIterations(5, 1), duration=5.0
    )
    row = only(recorder)
    assert (row.succeeded, row.retried) == (5, 4)
    assert server.connections == 5


async def test_a_stale_connection_is_replaced_once_where_that_is_safe() -> None:
    async def answer(exchange: Exchange) -> Reply:
        if exchange.number:
            raise Closed
        return Reply()

    recorder, _ = await against(answer, endpoint(request()), load=SharedIterations(5, 1))
    assert (only(recorder).succeeded, only(recorder).retried) == (5, 4)
    recorder, _ = await against(answer, endpoint(request("POST")), load=SharedIterations(6, 1))
    assert only(recorder).succeeded == 3
    assert dict(only(recorder).errors) == {"closed": 3}


# TLS, Unix sockets, and servers that speak no HTTP/2.


class Certificates:
    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca = str(folder / "ca.pem")
        self.other_ca = str(folder / "other.pem")
        authority.cert_pem.write_to_path(self.ca)
        trustme.CA().cert_pem.write_to_path(self.other_ca)
        self._server = authority.issue_cert("localhost", "127.0.0.1")

    def server(self, *protocols: str) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._server.configure_cert(context)
        context.set_alpn_protocols(protocols)
        return context


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


async def over_tls(context: ssl.SSLContext, tls: Tls, load: Any = RATE) -> tuple[Recorder, Server]:
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(partial(serve, ok, tls=context))
        http = Http(protocol="http2", tls=tls)
        url = f"https://127.0.0.1:{server.port}"
        recorder = await run_endpoints(url, endpoint(request()), load=load, http=http)
        nursery.cancel_scope.cancel()
    return recorder, server


async def test_http2_over_tls_is_agreed_upon_and_its_handshakes_are_timed(
    certificates: Certificates,
) -> None:
    recorder, server = await over_tls(
        certificates.server("http/1.1", "h2"), Tls(ca=certificates.ca), Users(Ramp(2, 2))
    )
    assert only(recorder).succeeded == len(server.exchanges) > 5
    assert recorder.connect.count == recorder.tls.count == server.connections == 2
    assert server.exchanges[0].headers[":scheme"] == "https"


async def test_a_certificate_of_a_stranger_is_a_failure_of_its_kind(
    certificates: Certificates,
) -> None:
    recorder, _ = await over_tls(certificates.server("h2"), Tls(ca=certificates.other_ca))
    assert dict(only(recorder).errors) == {"tls: certificate": 20}


@pytest.mark.parametrize("protocols", [(), ("http/1.1",)])
async def test_a_tls_server_without_http2_is_a_failure_of_its_kind(
    certificates: Certificates, protocols: tuple[str, ...]
) -> None:
    recorder, _ = await over_tls(certificates.server(*protocols), Tls(ca=certificates.ca))
    assert dict(only(recorder).errors) == {"no http2": 20}


async def test_a_cleartext_server_without_http2_is_a_failure_of_its_kind() -> None:
    async def refuse(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, refuse, 0, host="127.0.0.1"))
        url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        recorder = await run_endpoints(url, endpoint(request()), load=RATE, http=HTTP2)
        nursery.cancel_scope.cancel()
    assert dict(only(recorder).errors) == {"no http2": 20}


@pytest.mark.parametrize("answers", [True, False])
async def test_a_handshake_that_fails_or_never_ends_is_a_failure_of_its_kind(
    answers: bool,
) -> None:
    async def converse(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        if not answers:
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, converse, 0, host="127.0.0.1"))
        url = f"https://127.0.0.1:{listener.socket.getsockname()[1]}"
        http = Http(protocol="http2", connect_timeout=0.05 if not answers else 5.0)
        recorder = await run_endpoints(url, endpoint(request()), load=RATE, http=http)
        nursery.cancel_scope.cancel()
    row = only(recorder)
    assert dict(row.errors) == {"tls: closed" if answers else "connect timeout": 20}
    assert row.service.count == 0


@pytest.mark.parametrize("name", ["a." * 200 + "a", "é" * 60, ".a", ""])
async def test_what_is_no_name_for_a_server_is_a_failure_of_tls(name: str) -> None:
    ours, theirs = socket.socketpair()
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
    with pytest.raises(ConnectionFailed) as failed:
        await secure(stream, ssl.create_default_context(), name)
    theirs.close()
    assert failed.value.kind == "tls"
    assert ours.fileno() == -1


async def test_a_unix_socket_is_connected_to(tmp_path: Path) -> None:
    path = str(tmp_path / "api.sock")
    socket = trio.socket.socket(trio.socket.AF_UNIX)
    await socket.bind(path)
    socket.listen()
    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(serve, ok, socket=socket))
        http = Http(protocol="http2", unix_socket=path)
        recorder = await run_endpoints("http://api.test", endpoint(request()), load=RATE, http=http)
        nursery.cancel_scope.cancel()
    assert only(recorder).succeeded == len(server.exchanges) == 20
    assert server.exchanges[0].authority == "api.test"


async def test_a_missing_package_is_told_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stressrun.load.endpoints.find_spec", lambda name: None)
    scenario = http_scenario("http://127.0.0.1:1", [endpoint(request())], http=HTTP2)
    with pytest.raises(SetupError) as told:
        await check_targets(scenario, Guard())
    assert told.value.hint == "pip install 'stressrun[http2]'"
