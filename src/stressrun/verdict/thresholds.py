"""Thresholds judged at the end of a run, over what the stages that they look at have measured."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from stressrun.load.stage import StageResult
from stressrun.metrics.recorder import Recorder, Row
from stressrun.scenario.figures import LOADS, MONITORED, RECOVERED, is_latency
from stressrun.scenario.model import Scenario, Threshold
from stressrun.scenario.threshold import stages_of
from stressrun.units import format_share
from stressrun.verdict.distortion import worst_distortion
from stressrun.verdict.figures import Windows, measured, of_generator, of_load, of_postgres
from stressrun.verdict.mocks import of_mock, recoveries, worst_recovery
from stressrun.verdict.monitored import of_monitored

# In a stage with more failures nothing is said of latencies.
_MOST_ERRORS = 0.2
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A threshold with the value it was held against; `value` None: no data, which fails.

    `detail` is what else there is to say of it, such as when it was crossed.
    """

    threshold: Threshold
    value: float | None
    passed: bool
    detail: str = ""

    @property
    def margin(self) -> float | None:
        """How far the value is from the limit, as a share of it; negative: beyond it."""
        limit = self.threshold.value
        if self.value is None or not limit:
            return None
        distance = (limit - self.value) / limit
        return distance if self.threshold.operator in ("<", "<=") else -distance


def holds(threshold: Threshold, value: float) -> bool:
    return _OPERATORS[threshold.operator](value, threshold.value)


def evaluate(
    scenario: Scenario,
    results: Sequence[StageResult],
    windows: Windows = MappingProxyType({}),
) -> list[Evaluation]:
    """Judge every threshold of a scenario; of those with a window the worst figure counts."""
    return [_evaluate(threshold, scenario, results, windows) for threshold in scenario.thresholds]


def _evaluate(
    threshold: Threshold, scenario: Scenario, results: Sequence[StageResult], windows: Windows
) -> Evaluation:
    stages = stages_of(threshold, scenario.stages)
    looked_at = [result for result in results if result.stage in stages]
    detail = ""
    if threshold.window is not None:
        window = windows.get(threshold)
        value = None if window is None else window.value
    elif threshold.subject in LOADS:
        row = _all_of(threshold, scenario, looked_at)
        elapsed = sum(result.elapsed for result in looked_at)
        value = of_load(threshold.metric, row, elapsed)
        if threshold.metric == "achieved":
            detail = f"{row.dropped:,} dropped, {row.interrupted:,} interrupted"
    elif threshold.subject == "mock":
        value, detail = _of_mock(threshold, scenario, results, looked_at)
    elif threshold.subject == "postgres":
        value = of_postgres(threshold.metric, looked_at)
    elif threshold.subject in MONITORED:
        value, detail = of_monitored(threshold, looked_at)
    elif threshold.metric == "distortion":
        distortion = worst_distortion(scenario, looked_at, windows)
        value = 0.0 if distortion is None else distortion.share
        detail = "" if distortion is None else distortion.told
    else:
        value = of_generator(threshold.metric, looked_at)
    passed = value is not None and holds(threshold, value)
    if is_latency(threshold) and (failing := _failing(threshold, scenario, looked_at)):
        passed, detail = False, failing
    return Evaluation(threshold, value, passed, "" if passed else detail)


def _of_mock(
    threshold: Threshold,
    scenario: Scenario,
    results: Sequence[StageResult],
    looked_at: Sequence[StageResult],
) -> tuple[float | None, str]:
    """The figure of a mock, and which stage's recovery it is."""
    assert threshold.name is not None
    if threshold.metric != "recovery":
        return of_mock(threshold.metric, threshold.name, looked_at, scenario), ""
    names = {result.stage.name for result in looked_at}
    found = [
        each
        for each in recoveries(results, scenario)
        if each.mock == threshold.name and each.stage in names
    ]
    never = next((each for each in found if each.seconds is None), None)
    if never is not None:
        held = f"{RECOVERED} s of {never.following} with as few failing as before {never.stage}"
        return None, f"there were no {held}"
    return worst_recovery(found), ""


def _all_of(threshold: Threshold, scenario: Scenario, results: Iterable[StageResult]) -> Row:
    books = Recorder()
    for result in results:
        books.merge(result.books)
    return measured(threshold, books, scenario)


def _failing(threshold: Threshold, scenario: Scenario, results: Iterable[StageResult]) -> str:
    """Why there is nothing to say of a latency: failures are often quick, and in no percentile."""
    for result in results:
        row = measured(threshold, result.books, scenario)
        ended = row.succeeded + row.failed
        if ended and row.failed > _MOST_ERRORS * ended:
            share = format_share(row.failed / ended)
            return f"no verdict on a latency: {share} failed in stage {result.stage.name}"
    return ""
