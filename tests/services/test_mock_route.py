"""What a mock's route makes of a call, without a connection."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocks import mock_of
from stressrun.scenario.model import Between, MockLatency, Percentiles
from stressrun.services.mock.delays import compile_delay, compile_latencies
from stressrun.services.mock.request import Request
from stressrun.services.mock.route import Outcome, Route

SECOND = 1_000_000_000


def request(
    target: str = "/charges", method: str = "POST", body: bytes = b"", now: int = 0, **headers: str
) -> Request:
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request(method.encode(), target.encode(), given, body, now)


def route(source: str) -> Route:
    return Route(mock_of(source).routes[0], 1, "site")


def called(one: Route, asked: Request | None = None) -> Outcome:
    asked = asked or request()
    variables = one.variables(asked)
    assert variables is not None
    return one.call(asked, variables)


def body(outcome: Outcome) -> str:
    return outcome.message.content[outcome.message.head :].decode()


@pytest.mark.parametrize(
    ("condition", "asked", "fits"),
    [
        ("", request(), True),
        ("", request(method="GET"), False),
        ("", request("/charges/"), False),
        ("", request("/charges?a=1"), True),
        ("", request("http://pay.test/charges?a=1"), True),
        ("headers: {X-Kind: a}", request(x_kind="a"), True),
        ("headers: {x-kind: a}", request(X_KIND="b"), False),
        ("headers: {X-Kind: {exists: false}}", request(), True),
        ("headers: {X-Kind: {matches: '^[0-9]+$'}}", request(x_kind="12"), True),
        ("json: {$.amount: {at_least: 100}}", request(body=b'{"amount": 100}'), True),
        ("json: {$.amount: {at_least: 100}}", request(body=b'{"amount": 99}'), False),
        ("json: {$.amount: {at_least: 100}}", request(body=b"nonsense"), False),
        ("json: {$.a.b: {exists: false}}", request(body=b'{"a": 1}'), True),
        ("body: {contains: urgent}", request(body=b"very urgent"), True),
        ("body: {contains: urgent}", request(body=b"\xff\xfe"), False),
        ("in: peak", request(), False),
    ],
)
def test_a_route_fits_by_method_path_headers_json_and_body(
    condition: str, asked: Request, fits: bool
) -> None:
    one = route(f"[{{on: POST /charges, {condition}}}]")
    assert (one.variables(asked) is not None) == fits


def test_what_was_asked_stands_in_the_answer() -> None:
    one = route(
        """
        - on: POST /shops/{shop}/charges/{id}
          respond:
            headers: {Location: "/charges/${path.id}"}
            json:
              shop: ${path.shop}
              amount: ${body.amount}
              first: ${body.items.0.sku}
              page: ${query.page}
              key: ${header.Idempotency-Key}
              missing: ["${query.none}", "${header.none}", "${body.none.at}", "${body.items.7}"]
              text: "it is ${body.amount} ${query.none}"
        """
    )
    asked = request(
        "/shops/a%20b/charges/c1?page=2&page=3",
        body=b'{"amount": 4200, "items": [{"sku": "S-1"}]}',
        idempotency_key="k1",
    )
    outcome = called(one, asked)
    assert body(outcome) == (
        '{"shop":"a b","amount":4200,"first":"S-1","page":"2","key":"k1",'
        '"missing":[null,null,null,null],"text":"it is 4200 null"}'
    )
    head = outcome.message.content[: outcome.message.head].decode()
    assert "\r\nLocation: /charges/c1\r\n" in head
    assert "\r\nContent-Type: application/json\r\n" in head


def test_a_form_is_asked_as_json_is() -> None:
    one = route('[{on: POST /charges, respond: {body: "${body.amount} ${body.currency}"}}]')
    asked = request(
        body=b"amount=4200&currency=e%20u", Content_Type="application/x-www-form-urlencoded"
    )
    assert body(called(one, asked)) == "4200 e u"


@given(st.text(max_size=30))
def test_nothing_that_was_asked_begins_a_header_of_its_own(text: str) -> None:
    one = route('[{on: POST /charges, respond: {headers: {X-Echo: "${header.x}"}}}]')
    asked = Request(b"POST", b"/charges", [(b"x", text.encode("utf-8", "replace"))], b"", 0)
    content = called(one, asked).message.content
    assert content.count(b"\r\n") == 4
    assert content.count(b"\n") == 4


def test_answers_change_after_so_many_calls() -> None:
    one = route(
        "[{on: POST /charges, respond: [{status: 202}, {status: 200, after: 2 calls},"
        " {status: 410, after: 3 calls}]}]"
    )
    assert [called(one).message.status for _ in range(5)] == [202, 202, 200, 410, 410]


def test_what_names_the_stage_takes_the_place_of_the_rest_and_goes_with_it() -> None:
    one = route(
        "[{on: POST /charges, latency: [{is: 1ms}, {is: 5ms, in: peak}],"
        " fail: [{status: 503, share: 50%}, {close: true, in: peak}]}]"
    )
    one.enter("peak")
    assert {(called(one).fault, called(one).delay) for _ in range(20)} == {("close", 5_000_000)}
    one.enter(None)
    outcomes = [called(one) for _ in range(400)]
    assert {(outcome.fault, outcome.delay) for outcome in outcomes} == {("", 1_000_000)}
    assert 140 < sum(outcome.message.status == 503 for outcome in outcomes) < 260


def test_a_route_that_names_stages_is_there_in_them_only() -> None:
    one = route("[{on: POST /charges, in: [peak]}]")
    one.enter("peak")
    assert one.variables(request()) is not None
    one.enter("steady")
    assert one.variables(request()) is None


def test_a_limit_lets_a_burst_through_and_then_its_rate() -> None:
    one = route("[{on: POST /charges, limit: {rate: 2/s, burst: 3}}]")

    def at(seconds: float) -> int:
        return called(one, request(now=round((100 + seconds) * SECOND))).message.status

    assert [at(0), at(0), at(0), at(0)] == [200, 200, 200, 429]
    assert [at(0.5), at(0.6), at(1.0), at(1.1)] == [200, 429, 200, 429]
    refused = called(one, request(now=100 * SECOND + SECOND + SECOND // 10))
    assert b"\r\nRetry-After: 1\r\n" in refused.message.content
    assert (one.books.calls, one.books.limited) == (9, 4)
    slow = route("[{on: POST /charges, limit: 6/m}]")
    assert called(slow, request(now=SECOND)).message.status == 200
    assert b"Retry-After: 10\r\n" in called(slow, request(now=SECOND)).message.content


def test_a_route_that_is_set_back_does_as_at_the_beginning() -> None:
    source = (
        "[{on: POST /charges, respond: [{status: 202, body: '${uuid}'}, {after: 5 calls}],"
        " latency: 1s..2s, limit: {rate: 1/h, burst: 8}}]"
    )
    one = route(source)
    first = [called(one) for _ in range(10)]
    assert [outcome.message.status for outcome in first] == [202] * 5 + [200] * 3 + [429] * 2
    one.set_back()
    assert [called(one) for _ in range(10)] == first
    assert one.books.calls == 20


def test_the_same_seed_gives_the_same_outcomes_in_the_same_order() -> None:
    source = (
        "[{on: POST /charges, latency: {p50: 20ms, p99: 120ms},"
        " fail: [{status: 503, share: 10%}, {reset: true, share: 5%}, {hang: true, share: 5%}]}]"
    )
    first, second = route(source), route(source)
    outcomes = [called(first) for _ in range(2000)]
    assert [called(second) for _ in range(2000)] == outcomes
    kinds = Counter(outcome.fault or outcome.message.status for outcome in outcomes)
    assert 150 < kinds[503] < 250
    assert 60 < kinds["reset"] < 140
    assert 60 < kinds["hang"] < 140
    of_kind = {"status": kinds[503], "reset": kinds["reset"], "hang": kinds["hang"]}
    assert first.books.failures == of_kind


def test_a_failure_may_answer_in_its_own_words() -> None:
    one = route(
        "[{on: POST /charges, fail: {status: 402, json: {code: declined, of: '${body.amount}'},"
        " headers: {X-Declined: yes}}}]"
    )
    outcome = called(one, request(body=b'{"amount": 5}'))
    assert (outcome.message.status, body(outcome)) == (402, '{"code":"declined","of":5}')


@given(st.lists(st.floats(0.001, 0.999), min_size=2, max_size=20))
def test_percentiles_are_met_and_more_chance_is_never_less_time(chances: list[float]) -> None:
    points = ((0.5, 0.020), (0.95, 0.060), (0.99, 0.120))
    draw = compile_delay(Percentiles(points))
    for quantile, seconds in points:
        assert draw(quantile) == pytest.approx(seconds * 1e9, rel=1e-6)
    times = [draw(chance) for chance in sorted(chances)]
    assert times == sorted(times)
    capped = compile_delay(Percentiles(points, 0.1))
    assert max(map(capped, (*chances, 0.99999))) <= 100_000_000


def test_percentiles_that_are_near_each_other_lead_to_a_year_at_most() -> None:
    steep = compile_delay(Percentiles(((0.5, 1e-6), (0.51, 3_600.0))))
    assert steep(0.999) == pytest.approx(366 * 86_400e9)
    assert steep(0.001) == 0


@pytest.mark.parametrize(
    ("delay", "chance", "expected"),
    [
        (Between(0.05, 0.05), 0.7, 50_000_000),
        (Between(1.0, 2.0), 0.25, 1_250_000_000),
        (Percentiles(((0.9, 0.03),)), 0.2, 30_000_000),
        (Percentiles(((0.5, 0.03),), 0.01), 0.2, 10_000_000),
    ],
)
def test_a_time_is_drawn(delay: Between | Percentiles, chance: float, expected: int) -> None:
    assert compile_delay(delay)(chance) == expected


def test_latencies_share_the_calls_and_the_rest_takes_no_time() -> None:
    draw = compile_latencies(
        [MockLatency(Between(0.01, 0.01), 0.5), MockLatency(Between(1.0, 2.0), 0.25)]
    )
    assert [draw(which, 0.5) for which in (0.0, 0.49, 0.5, 0.74, 0.75, 0.99)] == [
        *(10_000_000, 10_000_000, 1_500_000_000, 1_500_000_000, 0, 0)
    ]
    assert compile_latencies([])(0.5, 0.5) == 0
