"""What mocks have shown: calls for each request, recovery after a stage of failures, their lag."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stressrun.load.stage import StageResult
from stressrun.metrics.histogram import Histogram
from stressrun.metrics.mock_calls import MockCalls
from stressrun.scenario.figures import RECOVERED
from stressrun.scenario.model import MockService, Scenario

_NOISE = 0.01


@dataclass(frozen=True, slots=True)
class Recovery:
    """How long after a stage in which a mock was not as always the service was as before.

    That is from the end of `stage` to the first second from which on, for three whole seconds of
    `following`, no more than the `level` of iterations fail, and 1 % of all besides. `seconds`
    None: there are none. The level is the share that failed in the stage before.
    """

    mock: str
    stage: str
    following: str
    level: float
    seconds: float | None


def amplification(mock: str, results: Sequence[StageResult], scenario: Scenario) -> float | None:
    """The calls of a mock for each request that has ended, answered or not; None: none has."""
    requests = sum(
        row.succeeded + row.failed for result in results for row in result.requests(scenario)
    )
    seen = [result.mocks[mock] for result in results if mock in result.mocks]
    return sum(calls.calls for calls in seen) / requests if requests and seen else None


def of_mock(
    metric: str, mock: str, results: Sequence[StageResult], scenario: Scenario
) -> float | None:
    """A figure of a mock over some stages; None: there is no data for it."""
    seen = [result.mocks[mock] for result in results if mock in result.mocks]
    if not seen or len(seen) < len(results):
        return None
    calls = sum(each.calls for each in seen)
    match metric:
        case "calls":
            return calls
        case "rate":
            seconds = sum(result.elapsed for result in results)
            return calls / seconds if seconds else None
        case "amplification":
            return amplification(mock, results, scenario)
        case "failures":
            return sum(each.total.failed for each in seen) / calls if calls else None
        case "unmatched":
            return sum(each.unmatched.total() for each in seen)
        case "abandoned":
            return sum(each.total.abandoned for each in seen)
    return _time(metric.removeprefix("lag."), lag_of(seen))


def lag_of(seen: Sequence[MockCalls]) -> Histogram:
    """How late answers were sent."""
    lag = Histogram()
    for calls in seen:
        lag.merge(calls.total.lag)
    return lag


def recoveries(results: Sequence[StageResult], scenario: Scenario) -> list[Recovery]:
    """Those of each stage that a mock's `in:` names and that is followed by one of which none is.

    Stages without iterations say nothing, nor do those that did not come to their end, or are too
    short to say so.
    """
    return [
        found
        for number in range(1, len(results))
        for mock in scenario.mocks
        for found in _recovery(mock, results, number)
    ]


def worst_recovery(found: Sequence[Recovery]) -> float | None:
    """The longest; None: there is none, or one that never was."""
    times = [each.seconds for each in found]
    known = [seconds for seconds in times if seconds is not None]
    return max(known) if known and len(known) == len(times) else None


def _recovery(mock: MockService, results: Sequence[StageResult], number: int) -> Iterator[Recovery]:
    failing, following = results[number - 1], results[number]
    named = mock.stages_named
    if failing.stage.name not in named or following.stage.name in named:
        return
    if failing.interrupted or following.interrupted or not len(following.outcomes):
        return
    if following.elapsed < RECOVERED:
        return
    calm = (each for each in reversed(results[: number - 1]) if each.stage.name not in named)
    before = next(calm, None)
    level = (before.outcomes.share() or 0.0) if before is not None else 0.0
    seconds = _settled(following, level + _NOISE)
    yield Recovery(mock.name, failing.stage.name, following.stage.name, level, seconds)


def _settled(result: StageResult, level: float) -> float | None:
    """From which second of a stage on no more failed than this."""
    outcomes = result.outcomes
    # Not those after it, in which only the iterations end that are still under way.
    last = int(result.elapsed) - RECOVERED
    for second in range(min(len(outcomes), last + 1)):
        share = outcomes.share(second, second + RECOVERED)
        if share is not None and share <= level and outcomes[second][0]:
            return float(second)
    return None


def _time(figure: str, lag: Histogram) -> float | None:
    if not lag.count:
        return None
    if figure in ("mean", "max"):
        return (lag.mean if figure == "mean" else lag.maximum) / 1e9
    value = lag.quantile(int(figure[1:]) / 100)
    return None if value is None else value / 1e9
