"""Single iterations against real servers: what is told of each request, and what is kept secret."""

from __future__ import annotations

import gzip
import json
import ssl
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pytest
import trio
import trustme

from http_server import Answer, Exchange, Server, response, serve
from lanes import endpoint, http_scenario, request
from stressrun.data.checks import parse_check
from stressrun.data.conditions import parse_condition
from stressrun.data.expressions import parse
from stressrun.data.jsonpath import parse_path
from stressrun.errors import RefusedError
from stressrun.load.once import IterationFinished, run_once
from stressrun.load.watching import StepFinished
from stressrun.metrics.recorder import Recorder
from stressrun.safety.guard import Guard
from stressrun.safety.masking import Mask
from stressrun.scenario.model import (
    BearerAuth,
    Endpoint,
    Expect,
    Feeder,
    Group,
    Http,
    Login,
    Query,
    Think,
    Tls,
)


async def once(
    answer: Answer,
    *endpoints: Endpoint,
    names: Sequence[str] = (),
    mask: Mask | None = None,
    rows: Mapping[str, Any] | None = None,
    tls: ssl.SSLContext | None = None,
    **others: Any,
) -> tuple[list[StepFinished | IterationFinished], list[str], Server]:
    """What was told, the errors, and the server that answered."""
    told: list[StepFinished | IterationFinished] = []
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(partial(serve, answer, tls=tls))
        scheme = "http" if tls is None else "https"
        scenario = http_scenario(f"{scheme}://127.0.0.1:{server.port}", endpoints, **others)
        errors = await run_once(
            scenario,
            names or [each.name for each in endpoints],
            Guard(),
            run_id="run-1",
            rows=rows or {},
            mask=mask or Mask(),
            told=told.append,
            recorder=Recorder(),
        )
        nursery.cancel_scope.cancel()
    return told, errors, server


async def only_step(answer: Answer, *steps: Any, **others: Any) -> StepFinished:
    told, *_ = await once(answer, endpoint(*steps), **others)
    (step,) = (each for each in told if isinstance(each, StepFinished))
    return step


async def ok(exchange: Exchange) -> bytes:
    return response(200, {"id": 7})


def judged(step: StepFinished) -> list[tuple[str, str, str | None, bool, str]]:
    return [(f.subject, f.wanted, f.found, f.holds, f.reason) for f in step.expected]


async def test_every_endpoint_is_done_one_time_in_the_order_of_the_file() -> None:
    endpoints = [endpoint(request(path=f"/{name}"), name=name) for name in "abc"]
    told, errors, server = await once(ok, *endpoints)
    assert [exchange.path for exchange in server.exchanges] == ["/a", "/b", "/c"]
    assert server.connections == 1
    assert errors == []
    assert [each.name for each in told] == ["a", "a", "b", "b", "c", "c"]
    assert [each.error for each in told] == [None] * 6


async def test_of_some_endpoints_the_rows_are_those_of_all() -> None:
    people = Feeder("people", Query("select id, name from people"), "sequential")
    one, other = (
        endpoint(request(path=f"/{name}/${{people.{name}}}"), name=name) for name in ("id", "name")
    )
    _, _, server = await once(
        ok, one, other, names=["name"], feeders=(people,), rows={"people": [[7, "Ann"]]}
    )
    assert [exchange.path for exchange in server.exchanges] == ["/name/Ann"]


async def test_all_that_was_sent_and_received_is_told() -> None:
    sent = request("POST", "/carts", json_body={"n": "${integer(5, 5)}"}, headers={"X-A": "b"})
    (exchange,) = (await only_step(ok, sent)).exchanges
    head, _, body = exchange.request.partition("\n\n")
    assert head.startswith("POST /carts\nHost: 127.0.0.1:")
    assert "\nX-A: b" in head
    assert body == '{"n":5}'
    assert exchange.answer == '200 X\nContent-Length: 9\n\n{"id": 7}'
    assert exchange.failure == ""


async def test_a_connection_is_timed_where_it_was_opened() -> None:
    told, *_ = await once(ok, endpoint(request()), endpoint(request(), name="f"))
    first, second = (each.exchanges[0] for each in told if isinstance(each, StepFinished))
    assert first.connect is not None
    assert second.connect is None
    assert first.tls is None
    for exchange in (first, second):
        assert exchange.first_byte is not None
        assert exchange.total is not None
        assert 0 < exchange.first_byte <= exchange.total


async def test_a_handshake_of_tls_is_timed() -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    step = await only_step(ok, request(), tls=tls, http=Http(tls=Tls(verify=False)))
    (exchange,) = step.exchanges
    assert exchange.connect is not None
    assert exchange.tls is not None
    assert exchange.total is not None
    assert exchange.connect + exchange.tls < exchange.total


async def test_each_redirection_is_an_exchange_of_its_own() -> None:
    async def answer(exchange: Exchange) -> bytes:
        if exchange.path == "/b":
            return response(200, {"id": 7})
        return response(302, headers="Location: /b\r\n")

    step = await only_step(answer, request(path="/a", redirects=1))
    lines = [exchange.request.partition("\n")[0] for exchange in step.exchanges]
    assert lines == ["GET /a", "GET /b"]
    assert [exchange.answer[:3] for exchange in step.exchanges] == ["302", "200"]
    assert judged(step) == [("status", "below 400", "200", True, "")]


async def test_cookies_are_sent_on_but_not_shown() -> None:
    async def answer(exchange: Exchange) -> bytes:
        return response(200, headers="Set-Cookie: sid=geheim\r\n")

    told, _, server = await once(answer, endpoint(request(), request(path="/2")))
    assert server.exchanges[1].headers["cookie"] == "sid=geheim"
    assert "Cookie: ***" in told[1].exchanges[0].request  # type: ignore[union-attr]
    assert "geheim" not in str(told)


async def test_an_encoded_body_is_told_as_it_was_before_though_nothing_asks_for_it() -> None:
    async def answer(exchange: Exchange) -> bytes:
        body = gzip.compress(b"hello")
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body

    step = await only_step(answer, request())
    assert step.exchanges[0].answer.endswith("\n\nhello")


async def test_the_answer_to_a_head_has_no_body() -> None:
    async def answer(exchange: Exchange) -> bytes:
        whole = response(200, {"id": 7})
        return whole if exchange.method == "GET" else whole.partition(b"{")[0]

    told, *_ = await once(answer, endpoint(request(), request("HEAD", "/2")))
    assert told[1].exchanges[0].answer == "200 X\nContent-Length: 9"  # type: ignore[union-attr]


async def test_a_long_body_is_cut() -> None:
    async def answer(exchange: Exchange) -> bytes:
        return response(200, "x" * 50_000)

    (exchange,) = (await only_step(answer, request())).exchanges
    assert len(exchange.answer) < 10_100
    assert exchange.answer.endswith("more characters)")


async def test_every_expectation_is_told_with_what_was_found() -> None:
    async def answer(exchange: Exchange) -> bytes:
        return response(201, {"id": 7, "name": "Ann"}, "X-A: b\r\n")

    expect = Expect(
        statuses=(200, 201),
        within=30.0,
        headers=(("X-A", parse_check("equals", "c")), ("X-B", parse_check("exists", False))),
        json=(
            (parse_path("$.id"), parse_check("at_least", "${integer(9, 9)}")),
            (parse_path("$.name"), parse_check("matches", "^A")),
            (parse_path("$.none"), parse_check("equals", 1)),
        ),
        body=(parse_check("contains", "Ann"),),
        size=(parse_check("at_most", 10),),
    )
    step = await only_step(answer, request(expect=expect, captures={"id": "$.id"}))
    found = judged(step)
    took = found.pop(1)
    assert (took[:2], took[3]) == (("time", "within 30.0 s"), True)
    assert found == [
        ("status", "200 or 201", "201", True, ""),
        ("header X-A", "equals 'c'", '"b"', False, ""),
        ("header X-B", "does not exist", None, True, ""),
        ("$.id", "at least 9", "7", False, ""),
        ("$.name", "matches '^A'", '"Ann"', True, ""),
        ("$.none", "equals 1", None, False, ""),
        ("body", "contains 'Ann'", json.dumps('{"id": 7, "name": "Ann"}'), True, ""),
        ("size", "at most 10", "24", False, ""),
    ]
    assert step.captured == ()
    assert step.error == "expect: header X-A"


async def test_the_error_says_where_an_iteration_failed_and_why() -> None:
    async def answer(exchange: Exchange) -> bytes:
        return response(200, {"id": 7, "state": "open"})

    paid = Expect(json=((parse_path("$.state"), parse_check("equals", "paid")),))
    told, errors, server = await once(
        answer,
        endpoint(request(), request("POST", "/pay", expect=paid), request(path="/3"), name="buy"),
        endpoint(request(captures={"cart": "$.cart"}), name="see"),
        endpoint(request(path="/3"), name="last"),
    )
    assert errors == [
        "buy: POST /pay: expected $.state equals 'paid': it is \"open\"",
        "see: no cart to capture at $.cart",
    ]
    finished = [each for each in told if isinstance(each, IterationFinished)]
    assert [each.error for each in finished] == [*errors, None]
    assert [exchange.path for exchange in server.exchanges] == ["/", "/pay", "/", "/3"]


async def test_a_body_that_is_not_json_is_said_to_be_none() -> None:
    async def answer(exchange: Exchange) -> bytes:
        return b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\noops"

    expect = Expect(json=((parse_path("$.a"), parse_check("equals", 1)),))
    step = await only_step(answer, request(expect=expect))
    assert step.expected[1].reason.startswith("the body is not JSON: ")


async def test_an_expectation_of_what_was_never_captured_fails_and_says_so() -> None:
    skipped = Group((request(captures={"cart": "$.id"}),), 1, parse_condition("${cart} == 1"))
    expect = Expect(json=((parse_path("$.id"), parse_check("equals", "${cart}")),))
    step = await only_step(ok, skipped, request(path="/2", expect=expect))
    assert step.error == "expect: no value for cart"
    assert step.expected[1].reason == "no value for cart"


async def test_a_request_without_a_value_for_it_is_not_sent() -> None:
    skipped = Group((request(captures={"cart": "$.id"}),), 1, parse_condition("${cart} == 1"))
    told, errors, server = await once(ok, endpoint(skipped, request(path="/${cart}")))
    assert server.exchanges == []
    assert told[0].exchanges == ()  # type: ignore[union-attr]
    assert errors == ["e: GET /${cart}: no value for cart"]


async def test_an_iteration_of_which_nothing_is_wanted_succeeds() -> None:
    skipped = Group((request(captures={"cart": "$.id"}),), 1, parse_condition("${cart} == 1"))
    told, errors, _ = await once(ok, endpoint(skipped, Think(0.0, 0.0)))
    assert (told, errors) == ([IterationFinished("e", None)], [])


async def test_no_answer_is_told_with_its_reason() -> None:
    async def answer(exchange: Exchange) -> None:
        return None

    step = await only_step(answer, request("POST"))
    assert step.exchanges[0].answer == ""
    assert step.exchanges[0].failure == "closed"
    assert step.exchanges[0].first_byte is None
    assert (step.expected, step.captured, step.error) == ((), (), "closed")


async def test_an_interrupted_request_is_told() -> None:
    async def answer(exchange: Exchange) -> bytes | None:
        scope.cancel()
        await trio.sleep_forever()
        return None

    told: list[StepFinished | IterationFinished] = []
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(serve, answer)
        scenario = http_scenario(f"http://127.0.0.1:{server.port}", [endpoint(request())])
        with trio.CancelScope() as scope:
            await run_once(
                scenario,
                ["e"],
                Guard(),
                run_id="r",
                rows={},
                mask=Mask(),
                told=told.append,
                recorder=Recorder(),
            )
        nursery.cancel_scope.cancel()
    (step,) = told
    assert isinstance(step, StepFinished)
    assert step.error == step.exchanges[0].failure == "interrupted"


@pytest.mark.parametrize("per_vu", [True, False])
async def test_the_login_is_done_first_and_only_one_time(per_vu: bool) -> None:
    async def answer(exchange: Exchange) -> bytes:
        if exchange.path == "/login":
            return response(200, {"token": "geheim-geheim"})
        return response(200, {"seen": exchange.headers["authorization"]})

    login = Login((request("POST", "/login", captures={"token": "$.token"}),), per_vu, None)
    auth = BearerAuth(parse("${login.token}"))
    endpoints = [endpoint(request(path=f"/{name}", auth=auth), name=name) for name in "ab"]
    told, errors, server = await once(answer, *endpoints, login=login)
    assert errors == []
    assert [each.name for each in told[:2]] == ["login: POST /login", "login"]
    assert [exchange.path for exchange in server.exchanges] == ["/login", "/a", "/b"]
    assert server.exchanges[2].headers["authorization"] == "Bearer geheim-geheim"
    step = told[2]
    assert isinstance(step, StepFinished)
    assert step.exchanges[0].answer.endswith('{"seen": "Bearer ***"}')
    assert "geheim" not in str(told)


async def test_after_a_login_that_failed_no_endpoint_is_done() -> None:
    async def answer(exchange: Exchange) -> bytes:
        return response(401)

    login = Login((request("POST", "/login"),), False, None)
    _, errors, server = await once(answer, endpoint(request(path="/a")), login=login)
    assert errors == ["login: POST /login: expected status below 400: it is 401"]
    assert [exchange.path for exchange in server.exchanges] == ["/login"]


async def test_what_is_known_to_be_secret_is_masked_everywhere() -> None:
    async def answer(exchange: Exchange) -> bytes:
        return response(200, {"echo": "pssst", "refresh_token": "abc"})

    expect = Expect(json=((parse_path("$.echo"), parse_check("equals", "no pssst")),))
    sent = request("POST", "/?q=pssst", json_body={"password": "x", "b": "pssst"}, expect=expect)
    told, errors, _ = await once(answer, endpoint(sent), mask=Mask(["pssst"]))
    assert "pssst" not in f"{told}{errors}"
    step = told[0]
    assert isinstance(step, StepFinished)
    assert step.exchanges[0].request.endswith('{"password":"***","b":"***"}')
    assert step.exchanges[0].answer.endswith('{"echo": "***", "refresh_token": "***"}')


async def test_the_guard_is_asked() -> None:
    scenario = http_scenario("http://192.0.2.7", [endpoint(request())], http=Http())
    with pytest.raises(RefusedError):
        await run_once(
            scenario,
            ["e"],
            Guard(),
            run_id="r",
            rows={},
            mask=Mask(),
            told=print,
            recorder=Recorder(),
        )
