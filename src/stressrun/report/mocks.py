"""What mocks were asked in a stage and how the service came off: lines, and parts of the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from stressrun.load.stage import StageResult
from stressrun.metrics.histogram import Histogram
from stressrun.metrics.mock_calls import MockCalls, RouteCalls
from stressrun.metrics.summary import summarise
from stressrun.scenario.model import Scenario
from stressrun.units import format_duration, format_ratio, format_share
from stressrun.verdict.mocks import Recovery, amplification, lag_of

_NAMED = 3
# Nanoseconds of lag that a reader of the figures should know of.
_LONG = 100_000_000


def mock_lines(result: StageResult, scenario: Scenario) -> list[str]:
    """What is to be said of each mock in a stage."""
    return [
        line
        for name, calls in result.mocks.items()
        for line in _lines(name, calls, amplification(name, [result], scenario))
    ]


def recovery_lines(found: Sequence[Recovery]) -> list[str]:
    """How long the service took after each stage in which a mock failed it."""
    return [
        f"after {each.stage} of mock {each.mock}: {_recovered(each)} in {each.following}"
        for each in found
    ]


def mocks_part(result: StageResult, scenario: Scenario) -> list[dict[str, Any]]:
    """The stage's `mocks` in `report.json`."""
    return [
        {
            "name": name,
            "calls": calls.calls,
            "amplification": amplification(name, [result], scenario),
            "unmatched": dict(calls.unmatched),
            "refused": dict(calls.refused),
            "cpu_share": calls.cpu_share,
            "loop_lag": asdict(summarise(calls.loop_lag)),
            "routes": [_route_part(route, seen) for route, seen in calls.routes.items()],
        }
        for name, calls in result.mocks.items()
    ]


def recoveries_part(found: Sequence[Recovery]) -> list[dict[str, Any]]:
    """The run's `recoveries` in `report.json`."""
    return [asdict(each) for each in found]


def _route_part(name: str, calls: RouteCalls) -> dict[str, Any]:
    return {
        "name": name,
        "calls": calls.calls,
        "limited": calls.limited,
        "abandoned": calls.abandoned,
        "waiting": calls.waiting,
        "statuses": {str(status): n for status, n in sorted(calls.statuses.items())},
        "failures": dict(sorted(calls.failures.items())),
        "latency": asdict(summarise(calls.latency)),
        "lag": asdict(summarise(calls.lag)),
    }


def _lines(name: str, calls: MockCalls, per_request: float | None) -> Iterator[str]:
    parts = [f"{calls.calls:,} calls"]
    if per_request is not None:
        parts[0] += f" ({format_ratio(per_request)} for each request)"
    lag = lag_of([calls])
    if lag.count:
        parts.append(f"lag {_times(lag)}")
    parts.append(f"CPU {format_share(calls.cpu_share)} of a core")
    yield f"mock {name}: {' · '.join(parts)}"
    for route, seen in calls.routes.items():
        if seen.calls:
            yield f"  {_shown(route)}: {_route(seen)}"
    if calls.unmatched:
        count = calls.unmatched.total()
        yield f"  warning: {count:,} requests had no route: {_counts(calls.unmatched)}"
    if calls.refused:
        count = calls.refused.total()
        yield f"  warning: {count:,} could not be answered: {_counts(calls.refused)}"
    longest = max(lag.maximum, calls.loop_lag.maximum)
    if longest >= _LONG:
        late = format_duration(longest / 1e9)
        yield f"  warning: answers were late by up to {late}, which the service's times hold"


def _route(calls: RouteCalls) -> str:
    parts = [f"{calls.calls:,} calls"]
    if calls.statuses:
        parts.append(", ".join(f"{n:,} × {status}" for status, n in sorted(calls.statuses.items())))
    if calls.failures:
        share = format_share(calls.failures.total() / calls.calls)
        parts.append(f"made to fail {share} ({_counts(calls.failures)})")
    if calls.limited:
        parts.append(f"over the limit {calls.limited:,}")
    if calls.abandoned:
        parts.append(f"given up by the client {calls.abandoned:,}")
    if calls.waiting:
        parts.append(f"still waiting at the end {calls.waiting:,}")
    if calls.latency.maximum:
        parts.append(f"latency {_times(calls.latency)}")
    return " · ".join(parts)


def _recovered(each: Recovery) -> str:
    level = f"back at {format_share(each.level)} of failures"
    if each.seconds is None:
        return f"never {level}"
    return f"{level} {format_duration(each.seconds)} later" if each.seconds else f"{level} at once"


def _times(histogram: Histogram) -> str:
    figures = summarise(histogram)
    shown = (("p50", figures.p50), ("p99", figures.p99), ("max", figures.max))
    return ", ".join(f"{name} {format_duration(time)}" for name, time in shown if time is not None)


def _counts(counter: Counter[str]) -> str:
    """The most frequent: `GET /v1/x 3, reset 2 and 4 more`."""
    most = counter.most_common(_NAMED)
    more = counter.total() - sum(n for _, n in most)
    told = ", ".join(f"{_shown(name)} {n:,}" for name, n in most)
    return f"{told} and {more:,} more" if more else told


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
