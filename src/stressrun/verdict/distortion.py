"""How much of the latencies that a run is judged by is the generator's own lag.

A response time that holds a lag of the generator's is recorded a second time without it: the lag
of a late start in the open model, and in both models how long an answer had at the most waited to
be read when the loop had been stopped. So each figure has a twin without lag, and what lies between
the two is what the lag has moved, whoever it hit: a p95 by lag that only 1 % of the requests had,
or not at all by lag of those that are beyond it anyway. Two things are not in it: what the target
made of requests that came late and together, and stops of the loop that are shorter than the ticks
that find them. The second is sampled instead: in the closed model, where nothing starts late, the
lag of the loop at even instants is taken for that of its answers, and what as much lag again would
add to the figure for what it has added already. Both are taken to be independent, which holds where
something else took the core, and no longer where the generator is at its limit.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil
from types import MappingProxyType

from stressrun.load.stage import StageResult, WorkerUse
from stressrun.metrics.histogram import Histogram
from stressrun.metrics.recorder import LEAST_LAG, Row
from stressrun.metrics.times import merged
from stressrun.scenario.figures import is_latency, quantile_of
from stressrun.scenario.model import Arrivals, Scenario, Stage, Threshold
from stressrun.scenario.threshold import stages_of
from stressrun.units import format_duration
from stressrun.verdict.figures import Windows, measured, time_of
from stressrun.verdict.mocks import lag_of

# Of a core; a worker's loop has no rest any more, and its answers wait to be read.
SATURATED = 0.9
# Nanoseconds; no figure is shown to more.
_RESOLUTION = 10_000.0


@dataclass(frozen=True, slots=True)
class Distortion:
    """The `share` of a figure that is the generator's, and in words the figure with and without it.

    `result` is the stage in which its lag was most, `load` is endpoints, writes or `mock NAME`.
    """

    share: float
    told: str
    result: StageResult
    load: str


def worst_distortion(
    scenario: Scenario, results: Sequence[StageResult], windows: Windows = MappingProxyType({})
) -> Distortion | None:
    """Of the latencies that are judged in these stages the one that was moved most.

    These are the figures of the thresholds, of their stages and of their `windows`. Without any,
    the p95 of `http`, of each endpoint and of each write mix in each stage are what a reader looks
    at, but for stages of the closed model: whoever wants to know how much there can be has warnings
    instead. None: none has data.

    Arrivals that the generator was too late for count as well, as a share of what was planned, and
    what mocks that answered late have added to the requests.
    """
    thresholds = [threshold for threshold in scenario.thresholds if is_latency(threshold)]
    found = [_missed(result) for result in results if result.books.missed]
    found += _of_windows(results, windows)
    found += [distortion for result in results for distortion in _of_mocks(result, scenario)]
    found += [
        distortion
        for threshold in thresholds or _looked_at(scenario, results)
        for group in _groups(threshold, results)
        if thresholds or _is_open(group[0].stage, _load(threshold))
        if (distortion := _distortion(threshold, scenario, group)) is not None
    ]
    return max(found, key=lambda distortion: distortion.share, default=None)


def busiest(result: StageResult, load: str) -> float:
    """The share of a core that the busiest worker of a load used."""
    return max((use.cpu_share for use in result.generator.of(load)), default=0.0)


def _missed(result: StageResult) -> Distortion:
    """Arrivals that were to start in time or not at all."""
    missed = result.books.missed
    rows = (row for (kind, _), row in result.books.rows.items() if kind == "endpoint")
    planned = sum(row.planned for row in rows)
    told = f"it was too late for {missed:,} of {planned:,} arrivals in stage {result.stage.name}"
    return Distortion(missed / planned, told, result, "endpoints")


def _of_mocks(result: StageResult, scenario: Scenario) -> Iterator[Distortion]:
    """What the lag of each mock can have added to the mean of a stage's requests.

    Calls have waited to be read as long as its loop was late for even instants, and their answers
    to be sent.
    """
    requests = merged(*(row.response for row in result.requests(scenario)))
    if not requests.total:
        return
    for name, calls in result.mocks.items():
        answers = lag_of([calls])
        late = answers.mean if answers.count else 0.0
        late += calls.loop_lag.mean if calls.loop_lag.count else 0.0
        added = late * answers.count / requests.count
        if added > LEAST_LAG:
            told = (
                f"its answers were {format_duration(late / 1e9)} late on average in stage "
                f"{result.stage.name}, where requests took {format_duration(requests.mean / 1e9)}"
            )
            yield Distortion(added / requests.mean, told, result, f"mock {name}")


def _looked_at(scenario: Scenario, results: Iterable[StageResult]) -> Iterator[Threshold]:
    """The p95 of everything, of each stage for itself."""
    subjects: list[tuple[str, str | None]] = []
    if scenario.endpoints:
        subjects.append(("http", None))
    subjects += [("endpoint", endpoint.name) for endpoint in scenario.endpoints]
    subjects += [("write", mix.name) for mix in scenario.writes]
    for result in results:
        for subject, name in () if result.stage.warmup else subjects:
            yield Threshold("", subject, name, None, "p95", "<", 0.0, result.stage.name)


def _groups(
    threshold: Threshold, results: Sequence[StageResult]
) -> Iterator[tuple[StageResult, ...]]:
    """The stages that a threshold looks at, those of the open model and those of the closed one."""
    stages = stages_of(threshold, [result.stage for result in results])
    for wanted in (True, False):
        group = tuple(
            result
            for result in results
            if result.stage in stages and _is_open(result.stage, _load(threshold)) is wanted
        )
        if group:
            yield group


def _load(threshold: Threshold) -> str:
    return "writes" if threshold.subject == "write" else "endpoints"


def _is_open(stage: Stage, load: str) -> bool:
    return isinstance(stage.writes if load == "writes" else stage.endpoints, Arrivals)


def _distortion(
    threshold: Threshold, scenario: Scenario, group: Sequence[StageResult]
) -> Distortion | None:
    rows = [measured(threshold, result.books, scenario) for result in group]
    total = Row()
    for row in rows:
        total.merge(row)
    value = time_of(threshold.metric, total.response)
    without = time_of(threshold.metric, total.response_without_lag)
    if value is None or without is None:
        return None
    load = _load(threshold)
    if not _is_open(group[0].stage, load):
        saturated = max(group, key=lambda result: busiest(result, load))
        if busiest(saturated, load) >= SATURATED:
            told = f"{_figure(threshold, group, saturated)} was {format_duration(value)}"
            return Distortion(1.0, f"{told}, at the generator's own limit", saturated, load)
        sampled = _added(threshold.metric, total.response, _loop_lag(group, load))
        without = min(without, max(0.0, value - sampled))
    # Where its lag was most, or else its longest stop.
    lags = [(row.lagged.total - row.unlagged.total) / 1e9 for row in rows]
    stops = [_longest_stop(result, load) for result in group]
    worst = group[max(range(len(group)), key=lambda number: (lags[number], stops[number]))]
    return _moved(_figure(threshold, group, worst), value, without, worst, load)


def _of_windows(results: Sequence[StageResult], windows: Windows) -> Iterator[Distortion]:
    """What lag there is in the windows that thresholds are held against."""
    for threshold, window in windows.items():
        for result in results:
            if window is None or window.without is None or result.stage != window.stage:
                continue
            length = format_duration(threshold.window or 0.0)
            figure = f"{_figure(threshold, [result], result)} over {length}"
            yield _moved(figure, window.value, window.without, result, _load(threshold))


def _moved(figure: str, value: float, without: float, result: StageResult, load: str) -> Distortion:
    moved = value - without
    told = (
        f"{figure} was {format_duration(value)}, "
        f"{format_duration(without)} without the generator's lag"
    )
    return Distortion(moved / value if moved > LEAST_LAG / 1e9 else 0.0, told, result, load)


def _figure(threshold: Threshold, group: Sequence[StageResult], worst: StageResult) -> str:
    """A figure and where it is from: of several stages the one that matters is named."""
    name = ".".join(filter(None, (threshold.name, threshold.operation)))
    figure = " ".join(filter(None, (threshold.subject, name, threshold.metric)))
    others = f" and {len(group) - 1} more" if len(group) > 1 else ""
    return f"{figure} in stage {worst.stage.name}{others}"


def _loop_lag(group: Iterable[StageResult], load: str) -> Histogram:
    return merged(*(use.loop_lag for result in group for use in result.generator.of(load)))


def _added(metric: str, response: Histogram, lag: Histogram) -> float:
    """What as much lag again would add to a figure, in seconds; to a maximum nobody knows what."""
    if not lag.count or metric == "max":
        return 0.0
    q = quantile_of(metric)
    if q is None:
        return lag.mean / 1e9
    steps, lags = response.steps(), lag.steps()
    times = [time for time, _ in steps]
    below = [0, *accumulate(count for _, count in steps)]
    # Half a rank less, so that lag that one in a thousand has does not go on to the next value.
    rank = ceil(round(response.count * q, 9)) - 0.5
    wanted = rank * lag.count
    start = times[bisect_right(below, rank) - 1]

    def is_reached(instant: float) -> bool:
        reached = sum(n * below[bisect_right(times, instant - late)] for late, n in lags)
        return reached >= wanted

    shortest, longest = 0.0, float(lag.maximum)
    while longest - shortest > _RESOLUTION:
        middle = (shortest + longest) / 2
        if is_reached(start + middle):
            longest = middle
        else:
            shortest = middle
    return longest / 1e9


def _longest_stop(result: StageResult, load: str) -> float:
    return max((longest_stop(use) for use in result.generator.of(load)), default=0.0)


def longest_stop(use: WorkerUse) -> float:
    """For how many seconds at once a worker came to nothing."""
    return max(use.longest_stall, use.loop_lag.maximum / 1e9)
