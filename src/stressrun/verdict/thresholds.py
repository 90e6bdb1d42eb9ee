"""Thresholds judged at the end of a run, over the merged books of the stages they look at."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from stressrun.load.stage import StageResult
from stressrun.metrics.recorder import Row
from stressrun.metrics.summary import PERCENTILES, summarise
from stressrun.scenario.model import Scenario, Threshold
from stressrun.scenario.threshold import stages_of

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A threshold with the value it was held against; `value` None: no data, which fails."""

    threshold: Threshold
    value: float | None
    passed: bool


def evaluate(scenario: Scenario, results: Sequence[StageResult]) -> list[Evaluation]:
    """Judge every threshold of a scenario."""
    return [_evaluate(threshold, scenario, results) for threshold in scenario.thresholds]


def _evaluate(
    threshold: Threshold, scenario: Scenario, results: Sequence[StageResult]
) -> Evaluation:
    stages = stages_of(threshold, scenario.stages)
    looked_at = [result for result in results if result.stage in stages]
    rows = [row for result in looked_at for row in _rows(threshold, scenario, result)]
    value = _value(threshold.metric, rows, sum(result.elapsed for result in looked_at))
    passed = value is not None and _OPERATORS[threshold.operator](value, threshold.value)
    return Evaluation(threshold, value, passed)


def _rows(threshold: Threshold, scenario: Scenario, result: StageResult) -> Iterable[Row]:
    if threshold.subject == "http":
        yield from result.requests(scenario)
        return
    for (kind, name), row in result.books.rows.items():
        if threshold.subject == "endpoint":
            wanted = kind == "endpoint" and name == threshold.name
        else:
            mix, _, operation = name.partition(".")
            wanted = (
                kind == "operation"
                and mix == threshold.name
                and threshold.operation in (None, operation)
            )
        if wanted:
            yield row


def _value(metric: str, rows: Sequence[Row], elapsed: float) -> float | None:
    total = Row()
    for row in rows:
        total.merge(row)
    ended = total.succeeded + total.failed
    if not ended:
        return None
    if metric == "errors":
        return total.failed / ended
    if metric == "rate":
        return ended / elapsed if elapsed else None
    summary = summarise(total.response)
    assert metric in PERCENTILES or metric in ("mean", "max")
    value: float | None = getattr(summary, metric)
    return value
