"""What the console says of mocks, and what is in the report of them."""

from __future__ import annotations

from collections import Counter

from stressrun.load.stage import StageResult
from stressrun.metrics.mock_calls import OTHERS, MockCalls, RouteCalls
from stressrun.report.mocks import mock_lines, mocks_part, recovery_lines
from stressrun.verdict.mocks import Recovery
from verdict_samples import MS, STAGES, fill, scenario


def route(calls: int, **changes: object) -> RouteCalls:
    found = RouteCalls(calls=calls)
    for _ in range(calls):
        found.latency.record(20 * MS)
        found.lag.record(MS // 10)
    for name, value in changes.items():
        setattr(found, name, value)
    return found


def result(calls: MockCalls) -> StageResult:
    found = StageResult(STAGES[1], 1, elapsed=10.0)
    fill(found.books.row("endpoint", "browse"), 200, 10)
    found.mocks["payments"] = calls
    return found


def test_each_route_has_a_line_and_what_is_wrong_is_warned_of() -> None:
    failing = route(
        120,
        limited=3,
        abandoned=2,
        waiting=1,
        statuses=Counter({201: 100, 503: 10, 429: 3}),
        failures=Counter({"status": 10, "reset": 5}),
    )
    calls = MockCalls(
        {"POST /charges": failing, "GET /never": RouteCalls()},
        Counter({"GET /a\x1b[2J": 3, "GET /b": 1}),
        Counter({"malformed": 2}),
        cpu_seconds=0.5,
        seconds=10.0,
    )
    calls.loop_lag.record(150 * MS)
    assert mock_lines(result(calls), scenario()) == [
        "mock payments: 124 calls (0.62 for each request) · lag p50 100 µs, p99 100 µs, max 100 µs"
        " · CPU 5.00 % of a core",
        "  POST /charges: 120 calls · 100 × 201, 3 × 429, 10 × 503 · made to fail 12.50 %"
        " (status 10, reset 5) · over the limit 3 · given up by the client 2"
        " · still waiting at the end 1 · latency p50 20.0 ms, p99 20.0 ms, max 20.0 ms",
        "  warning: 4 requests had no route: GET /a?[2J 3, GET /b 1",
        "  warning: 2 could not be answered: malformed 2",
        "  warning: answers were late by up to 150 ms, which the service's times hold",
    ]
    (part,) = mocks_part(result(calls), scenario())
    assert part["unmatched"] == {"GET /a\x1b[2J": 3, "GET /b": 1}
    assert part["routes"][0]["waiting"] == 1
    assert part["routes"][0]["statuses"] == {"201": 100, "429": 3, "503": 10}


def test_a_mock_that_nobody_asked_has_a_line() -> None:
    found = StageResult(STAGES[1], 1)
    found.mocks["m"] = MockCalls({"GET /": RouteCalls()}, seconds=1.0)
    assert mock_lines(found, scenario()) == ["mock m: 0 calls · CPU 0 % of a core"]


def test_recovery_is_told_at_once_later_or_never() -> None:
    found = [
        Recovery("m", "outage", "after", 0.0, 0.0),
        Recovery("m", "outage", "after", 0.1, 2.0),
        Recovery("m", "outage", "after", 0.0, None),
    ]
    assert recovery_lines(found) == [
        "after outage of mock m: back at 0 % of failures at once in after",
        "after outage of mock m: back at 10.00 % of failures 2.00 s later in after",
        "after outage of mock m: never back at 0 % of failures in after",
    ]


def test_what_was_counted_comes_through_the_wire_and_names_are_not_kept_without_end() -> None:
    calls = MockCalls({"GET /": route(3, statuses=Counter({200: 3}))}, seconds=2.0)
    for number in range(100):
        calls.miss(f"GET /{number}" + "x" * 1000)
    assert len(calls.unmatched) <= 21
    assert (calls.unmatched.total(), calls.unmatched[OTHERS]) == (100, 80)
    again = MockCalls.from_wire(calls.wire())
    assert (again.calls, again.routes["GET /"].statuses) == (103, {200: 3})
    assert again.routes["GET /"].latency.count == 3
