"""The lane against real servers: what is sent, counted, kept alive, timed and interrupted."""

import json
import time
from typing import Any

import pytest
import trio

from http_server import Answer, Exchange, Server, response, serve
from lanes import endpoint, request, run_endpoints
from stressrun.metrics.recorder import Recorder, Row
from stressrun.scenario.model import (
    Arrivals,
    Endpoint,
    Expect,
    Http,
    Load,
    Ramp,
    Request,
    Think,
    Users,
)
from verdict_samples import MS


async def against(answer: Answer, *endpoints: Endpoint, **how: Any) -> tuple[Recorder, Server]:
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(serve, answer)
        recorder = await run_endpoints(f"http://127.0.0.1:{server.port}", *endpoints, **how)
        nursery.cancel_scope.cancel()
    return recorder, server


def only(recorder: Recorder) -> Row:
    (row,) = recorder.rows.values()
    return row


async def ok(exchange: Exchange) -> bytes:
    return response(200, {"id": 7})


RATE = Arrivals(Ramp(100, 100), 50)
ONE_USER = Users(Ramp(1, 1))


async def test_an_open_stage_sends_every_arrival_once() -> None:
    recorder, server = await against(ok, endpoint(request(path="/a/${integer(1, 9)}")), load=RATE)
    row = only(recorder)
    assert (row.planned, row.succeeded, len(server.exchanges)) == (20, 20, 20)
    assert recorder.lag.count == 20
    assert {e.path[:3] for e in server.exchanges} == {"/a/"}


def stopping(at: int) -> Answer:
    """Answers, for one of which the lane stands as still as whoever runs in its process."""
    answered = 0

    async def answer(exchange: Exchange) -> bytes:
        nonlocal answered
        answered += 1
        if answered == at:
            time.sleep(0.08)
        return response()

    return answer


@pytest.mark.parametrize(("load", "disturbed"), [(RATE, 5), (Users(Ramp(2, 2)), 1)])
@pytest.mark.parametrize("steps", [(request(),), (request(), request(path="/2"))])
async def test_what_a_loop_that_was_stopped_adds_to_times_is_told_apart(
    load: Load, disturbed: int, steps: tuple[Request, ...]
) -> None:
    recorder, _ = await against(stopping(at=10), endpoint(*steps), load=load)
    row = recorder.rows["endpoint", "e"]
    assert row.lagged.count >= disturbed
    assert row.response.maximum > 70 * MS
    assert row.response_without_lag.total < row.response.total - 40 * MS
    assert recorder.loop_lag.maximum > 50 * MS


async def test_a_request_after_a_think_time_is_due_then() -> None:
    thinks = endpoint(request(), Think(0.005, 0.005), request(path="/2"))
    recorder, server = await against(ok, thinks, load=ONE_USER)
    assert recorder.lag.count == sum(exchange.path == "/2" for exchange in server.exchanges) > 5


async def test_a_ceiling_drops_for_a_loop_that_was_stopped_what_the_generator_has_missed() -> None:
    load = Arrivals(Ramp(100, 100), 50, catch_up=False)
    recorder, _ = await against(stopping(at=10), endpoint(request()), load=load)
    assert recorder.missed == only(recorder).dropped > 4


async def test_a_ceiling_drops_for_busy_users_what_nobody_has_missed() -> None:
    async def answer(exchange: Exchange) -> bytes:
        await trio.sleep(0.05)
        return response()

    load = Arrivals(Ramp(100, 100), 1, catch_up=False)
    recorder, _ = await against(answer, endpoint(request()), load=load)
    assert only(recorder).dropped > 8
    assert recorder.missed < 4


async def test_virtual_users_keep_their_connections_between_stages() -> None:
    recorder, server = await against(ok, endpoint(request()), load=Users(Ramp(3, 3)), stages=3)
    assert server.connections == 3
    assert only(recorder).succeeded == len(server.exchanges) > 30


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
    first, second = server.exchanges[0], server.exchanges[-1]
    assert json.loads(first.body) == {"n": 5}
    assert (second.path, second.headers["x-cart"]) == ("/carts/7/checkout", "c-7")


async def test_think_time_counts_in_no_figure() -> None:
    slow = endpoint(request(), Think(0.05, 0.05), request(path="/2"))
    recorder, _ = await against(ok, slow, load=ONE_USER, duration=0.1)
    row = recorder.rows["endpoint", "e"]
    steps = [row for (kind, _), row in recorder.rows.items() if kind == "step"]
    assert row.service.total == sum(step.service.total for step in steps)


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
    async def answer(exchange: Exchange) -> bytes:
        return response(status, {})

    recorder, _ = await against(answer, endpoint(request(expect=expect)), load=RATE)
    assert dict(only(recorder).errors) == ({} if error is None else {error: 20})


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"nonsense\r\n\r\n", "malformed status line"),
        (
            2 * b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            "excess data",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "closed early"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "closed early"),
        (
            b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
            "closed early",
        ),
        (None, "closed"),
    ],
)
async def test_a_broken_answer_is_a_failure_of_its_kind(content: bytes | None, error: str) -> None:
    async def answer(exchange: Exchange) -> bytes | None:
        if content is not None:
            await exchange.stream.send_all(content)
        return None

    recorder, _ = await against(answer, endpoint(request("POST")), load=RATE)
    (kind,) = only(recorder).errors
    assert kind.startswith(error)
    assert only(recorder).failed == 20


@pytest.mark.parametrize(
    ("captures", "error"),
    [
        ({"x": "$.nothing"}, "capture: no x"),
        ({"x": "$.id.deeper"}, "capture: no x"),
        ({"x": "$.half"}, "capture: x is not text"),
    ],
)
async def test_a_capture_that_finds_nothing_fails_the_step(
    captures: dict[str, str], error: str
) -> None:
    async def answer(exchange: Exchange) -> bytes:
        return response(200, {"id": 7, "half": "\ud800"})

    recorder, server = await against(
        answer, endpoint(request(captures=captures), request(path="/never")), load=RATE
    )
    assert dict(recorder.rows["endpoint", "e"].errors) == {error: 20}
    assert recorder.rows["step", "e: GET /never"].planned == 0
    assert len(server.exchanges) == 20


@pytest.mark.parametrize("body", [b"<>", b"[" * 100_000, b"\xff"])
async def test_a_body_that_is_not_json_fails_the_capture(body: bytes) -> None:
    async def answer(exchange: Exchange) -> bytes:
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    recorder, _ = await against(answer, endpoint(request(captures={"x": "$.id"})), load=RATE)
    assert dict(only(recorder).errors) == {"capture: the body is not JSON": 20}


@pytest.mark.parametrize(
    "content",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ],
)
async def test_every_delimitation_of_an_answer_is_understood(content: bytes) -> None:
    async def answer(exchange: Exchange) -> bytes:
        return content

    recorder, server = await against(answer, endpoint(request()), load=ONE_USER)
    assert only(recorder).succeeded == len(server.exchanges) > 5
    assert server.connections == 1


async def test_an_answer_may_be_delimited_by_the_end_of_the_connection() -> None:
    async def answer(exchange: Exchange) -> bytes | None:
        await exchange.stream.send_all(b"HTTP/1.1 200 OK\r\nX: ")
        await trio.lowlevel.checkpoint()
        await exchange.stream.send_all(b"1\r\n\r\nuntil the end")
        return None

    recorder, server = await against(answer, endpoint(request()), load=RATE)
    assert (only(recorder).succeeded, server.connections) == (20, 20)


@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
async def test_the_answer_to_a_head_has_no_body(before: bytes) -> None:
    async def answer(exchange: Exchange) -> bytes:
        return before + b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"

    recorder, server = await against(answer, endpoint(request("HEAD")), load=ONE_USER)
    assert only(recorder).succeeded == len(server.exchanges) > 5
    assert server.connections == 1


async def test_a_stale_connection_is_replaced_once_where_that_is_safe() -> None:
    async def answer(exchange: Exchange) -> bytes | None:
        # Every second request finds its kept connection closed without an answer.
        exchange.stream.answers = getattr(exchange.stream, "answers", 0) + 1
        return response() if exchange.stream.answers == 1 else None

    recorder, _ = await against(answer, endpoint(request()), load=ONE_USER)
    row = only(recorder)
    assert row.failed == 0
    assert row.retried > 5
    recorder, _ = await against(answer, endpoint(request("POST")), load=ONE_USER)
    assert dict(only(recorder).errors) == {"closed": only(recorder).failed}


async def test_a_refused_connection_is_a_failure_and_not_the_end() -> None:
    with trio.socket.socket() as unused:
        await unused.bind(("127.0.0.1", 0))
        recorder = await run_endpoints(
            f"http://127.0.0.1:{unused.getsockname()[1]}", endpoint(request()), load=RATE
        )
    row = only(recorder)
    assert dict(row.errors) == {"refused": 20}
    assert (row.service.count, row.response.count) == (0, 20), "what was not sent took no service"


async def test_users_who_are_refused_rest_before_they_try_again() -> None:
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    with trio.socket.socket() as unused:
        await unused.bind(("127.0.0.1", 0))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(take_turns)
            recorder = await run_endpoints(
                f"http://127.0.0.1:{unused.getsockname()[1]}", endpoint(request()), load=ONE_USER
            )
            nursery.cancel_scope.cancel()
    row = only(recorder)
    assert 1 < row.planned == row.errors["refused"] <= 3
    assert turns > 3


async def test_a_server_that_never_answers_is_timed_out() -> None:
    async def answer(exchange: Exchange) -> bytes:
        await trio.sleep_forever()
        raise AssertionError

    recorder, _ = await against(answer, endpoint(request(timeout=0.05)), load=RATE)
    assert dict(only(recorder).errors) == {"timeout": 20}


async def test_what_is_in_flight_after_the_grace_is_interrupted() -> None:
    async def answer(exchange: Exchange) -> bytes:
        await trio.sleep_forever()
        raise AssertionError

    steps = endpoint(request(), request(path="/2"))
    recorder, _ = await against(answer, steps, load=RATE, grace=0.0)
    assert recorder.rows["endpoint", "e"].interrupted == 20
    assert recorder.rows["step", "e: GET /"].interrupted == 20
    assert recorder.rows["step", "e: GET /2"].planned == 0


async def test_arrivals_without_a_free_virtual_user_wait_and_are_dropped_at_the_end() -> None:
    async def answer(exchange: Exchange) -> bytes:
        await trio.sleep(0.15)
        return response()

    recorder, server = await against(answer, endpoint(request()), load=Arrivals(Ramp(100, 100), 2))
    row = only(recorder)
    assert row.planned == 20
    assert row.succeeded == len(server.exchanges) == 4
    assert row.dropped == 16
    # The second pair waited for a free user: its response time counts from when it was due.
    assert row.response.maximum > row.service.maximum
    # Waiting for a busy user is the target's doing and no lag of the generator.
    assert recorder.lag.count == 2


async def test_a_large_request_and_a_large_answer_pass_in_pieces() -> None:
    async def answer(exchange: Exchange) -> bytes:
        return response(200, {"id": exchange.body.decode()})

    body = {"text": "x" * 3_000_000}
    big = endpoint(
        request("POST", "/", json_body=body, captures={"echo": "$.id"}),
        request("GET", "/done"),
    )
    recorder, server = await against(answer, big, load=ONE_USER, duration=0.1)
    assert recorder.rows["endpoint", "e"].failed == 0
    assert json.loads(server.exchanges[0].body) == body


async def test_two_endpoints_are_served_by_their_weights() -> None:
    recorder, server = await against(
        ok,
        endpoint(request(path="/a"), name="a"),
        endpoint(request(path="/b"), name="b"),
        load=RATE,
    )
    counts = {name: row.succeeded for (_, name), row in recorder.rows.items()}
    assert sum(counts.values()) == 20
    assert min(counts.values()) > 0
    paths = [exchange.path for exchange in server.exchanges]
    assert counts == {"a": paths.count("/a"), "b": paths.count("/b")}


async def test_a_user_who_thinks_longer_than_connecting_may_take_is_not_timed_out() -> None:
    flow = endpoint(request(), Think(0.3, 0.3), request(path="/2"))
    recorder, _ = await against(
        ok, flow, load=Users(Ramp(2, 2)), duration=1.0, http=Http(connect_timeout=0.2)
    )
    assert recorder.rows["endpoint", "e"].failed == 0
    assert recorder.rows["endpoint", "e"].succeeded > 2


async def test_the_end_of_a_last_think_time_is_no_due_time_of_the_next_iteration() -> None:
    last_thinks = endpoint(request(), Think(0.001, 0.001))
    recorder, _ = await against(ok, last_thinks, load=Users(Ramp(3, 1)), stages=2)
    row = recorder.rows["endpoint", "e"]
    # What is due when it is sent has no other response time than its service time, but for the
    # first request of each connection.
    assert row.response.total - row.service.total < row.service.total
    assert row.succeeded > 20


async def test_a_late_start_counts_where_thinking_comes_before_the_first_request() -> None:
    async def slow(exchange: Exchange) -> bytes:
        await trio.sleep(0.1)
        return response()

    thinks_first = endpoint(Think(0.001, 0.001), request())
    for http in (Http(), Http(reuse="none")):
        recorder, _ = await against(
            slow, thinks_first, load=Arrivals(Ramp(50, 50), 1), duration=0.5, http=http
        )
        row = recorder.rows["endpoint", "e"]
        assert row.succeeded > 1
        assert row.response.maximum > row.service.maximum + 80_000_000
