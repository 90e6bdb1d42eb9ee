"""Mocks in `stressrun plan`: what each route answers, when, and how often not."""

from __future__ import annotations

from collections.abc import Iterator

from stressrun.data.checks import describe
from stressrun.scenario.model import (
    Between,
    Delay,
    MockFailure,
    MockLatency,
    MockRoute,
    MockService,
    When,
)
from stressrun.units import format_duration

_FAULTS = {
    "reset": "the connection reset",
    "close": "the connection closed",
    "hang": "no answer ever",
    "truncate": "half a body",
}


def mock_lines(mock: MockService) -> Iterator[str]:
    """A mock with its routes."""
    where = f" on port {mock.port}" if mock.port else ""
    yield f"{mock.name}: a mock{where}"
    for route in mock.routes:
        yield f"  {route.name}{_conditions(route)}: {_answers(route)}"
        yield from (f"    {line}" for line in _behaviour(route))


def _conditions(route: MockRoute) -> str:
    checks = [f"{name} {describe(check)}" for name, check in route.headers]
    checks += [f"{path.source} {describe(check)}" for path, check in route.json]
    checks += [f"body {describe(check)}" for check in route.body]
    where = f" where {' and '.join(checks)}" if checks else ""
    return where + (f" in {', '.join(route.stages)}" if route.stages else "")


def _answers(route: MockRoute) -> str:
    return ", ".join(f"{answer.status}{_when(answer.when)}" for answer in route.answers)


def _behaviour(route: MockRoute) -> Iterator[str]:
    if route.latencies:
        yield f"latency {', '.join(map(_latency, route.latencies))}"
    if route.failures:
        yield f"fails: {', '.join(map(_failure, route.failures))}"
    if route.limit is not None:
        yield f"limit {route.limit.rate:g}/s, up to {route.limit.burst:,} at once"


def _latency(latency: MockLatency) -> str:
    return f"{_share(latency.share)}{_delay(latency.delay)}{_when(latency.when)}"


def _delay(delay: Delay) -> str:
    if isinstance(delay, Between):
        shortest, longest = format_duration(delay.shortest), format_duration(delay.longest)
        return shortest if shortest == longest else f"{shortest} to {longest}"
    points = [f"p{_digits(q)} {format_duration(seconds)}" for q, seconds in delay.points]
    most = [] if delay.most is None else [f"at most {format_duration(delay.most)}"]
    return ", ".join(points + most)


def _failure(failure: MockFailure) -> str:
    if failure.answer is not None:
        what = f"status {failure.answer.status}"
    elif failure.kind == "slow_body":
        what = f"a body in {format_duration(failure.seconds)}"
    else:
        what = _FAULTS[failure.kind]
    return f"{_share(failure.share)}{what}{_when(failure.when)}"


def _when(when: When) -> str:
    stages = f" in {', '.join(when.stages)}" if when.stages else ""
    return stages + (f" after {when.after:,} calls" if when.after else "")


def _share(share: float) -> str:
    return "" if share == 1 else f"{share * 100:.3g} % "


def _digits(quantile: float) -> str:
    return f"{quantile:.5f}"[2:].rstrip("0").ljust(2, "0")
