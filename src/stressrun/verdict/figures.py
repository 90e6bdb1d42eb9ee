"""The figures that thresholds are held against, computed from what stages have measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from stressrun.load.stage import StageResult
from stressrun.metrics.block import Block
from stressrun.metrics.histogram import Histogram
from stressrun.metrics.recorder import Recorder, Row, RowKey
from stressrun.postgres.findings import Findings
from stressrun.postgres.statistics import Statistics
from stressrun.scenario.figures import ERRORS_OF_KIND, OF_ITERATIONS, is_of_kind, quantile_of
from stressrun.scenario.model import Scenario, Stage, Threshold


@dataclass(frozen=True, slots=True)
class Window:
    """The figure of a window in a stage; of a latency also `without` the generator's lag."""

    value: float
    without: float | None
    stage: Stage


Windows = Mapping[Threshold, Window | None]
"""Of thresholds over windows the worst; None: none was whole."""


def measured(threshold: Threshold, books: Recorder, scenario: Scenario) -> Row:
    """All that a threshold on a load looks at, in one row."""
    total = Row()
    if threshold.subject == "http" and threshold.metric not in OF_ITERATIONS:
        single = {endpoint.name for endpoint in scenario.endpoints if endpoint.single is not None}
        rows = (
            row
            for (kind, name), row in books.rows.items()
            if kind == "step" or (kind == "endpoint" and name in single)
        )
    else:
        rows = (row for key, row in books.rows.items() if _is_of(threshold, *key))
    for row in rows:
        total.merge(row)
    return total


def of_load(metric: str, row: Row, elapsed: float) -> float | None:
    """A figure of requests, iterations or operations; None: there is no data for it.

    Planned load without an end has no latency, but it has not been achieved.
    """
    ended = row.succeeded + row.failed
    if metric == "achieved":
        return ended / row.planned if row.planned else None
    if metric == "dropped":
        return row.dropped / row.planned if row.planned else None
    if metric == "count":
        return ended
    if not ended:
        return None
    if metric == "errors":
        return row.failed / ended
    if metric.startswith(ERRORS_OF_KIND):
        kind = metric.removeprefix(ERRORS_OF_KIND)
        return sum(n for error, n in row.errors.items() if is_of_kind(error, kind)) / ended
    if metric == "rate":
        return ended / elapsed if elapsed else None
    return time_of(metric, row.response)


def values_needed(figure: str) -> int:
    """How many values a figure needs, to be more than a guess."""
    return ceil(round(1 / (1 - (quantile_of(figure) or 0.0)), 6))


def blocks_of(books: Recorder, figures: Iterable[str]) -> dict[RowKey, Block]:
    """The endpoints and operations that did something, with some figures of their response times.

    In seconds, without the generator's own lag, which is neither side's doing.
    """
    return {
        key: _block(row, figures)
        for key, row in books.rows.items()
        if key[0] in ("endpoint", "operation") and row.planned
    }


def _block(row: Row, figures: Iterable[str]) -> Block:
    times = row.response_without_lag
    found = {name: time_of(name, times) for name in figures}
    return Block(
        planned=row.planned,
        failed=row.failed,
        dropped=row.dropped,
        unanswered=row.interrupted + row.unknown,
        count=row.succeeded + row.failed,
        figures=found,
    )


def of_postgres(metric: str, stages: Iterable[StageResult]) -> float | None:
    """A figure of the database: of several stages the worst, or their sum where it counts.

    None where it was not seen in one of them.
    """
    values = []
    for stage in stages:
        value = None if stage.database is None else _seen(metric, stage.database)
        if value is None:
            return None
        values.append(value)
    if not values:
        return None
    if metric in _COUNTED:
        return sum(values)
    return min(values) if metric in _LEAST else max(values)


def of_generator(metric: str, stages: Sequence[StageResult]) -> float | None:
    """A figure of the generator but for its distortion: percentiles are of its lag."""
    if metric == "cpu":
        return max((stage.generator.cpu_share for stage in stages), default=None)
    if metric == "waiting":
        uses = [use for stage in stages for use in stage.generator.uses.values()]
        shares = [use.waiting_share for use in uses]
        return max((share for share in shares if share is not None), default=None)
    if metric == "stall":
        return max((stage.generator.longest_stall for stage in stages), default=None)
    if metric == "gc_pause":
        return max((stage.generator.longest_gc_pause for stage in stages), default=None)
    lag = Histogram()
    for stage in stages:
        lag.merge(stage.books.lag)
    return time_of(metric, lag)


def _is_of(threshold: Threshold, kind: str, name: str) -> bool:
    if threshold.subject == "write":
        mix, _, operation = name.partition(".")
        wanted = threshold.operation in (None, operation)
        return kind == "operation" and mix == threshold.name and wanted
    return kind == "endpoint" and threshold.name in (None, name)


def time_of(metric: str, times: Histogram) -> float | None:
    """A percentile, the mean or the maximum, in seconds; None: there are too few values."""
    if not times.count:
        return None
    if metric == "mean":
        return times.mean / 1e9
    if metric == "max":
        return times.maximum / 1e9
    q = quantile_of(metric)
    assert q is not None
    value = times.quantile(q)
    return None if value is None else value / 1e9


_COUNTED = ("lock_waits", "deadlocks", "rollbacks", "wal", "temp_files")
_LEAST = ("free_connections", "cache_hits")


def _seen(metric: str, found: Findings) -> float | None:
    connections, states, counted = found.connections, found.states, found.statistics
    match metric:
        case "connections":
            return None if connections is None else connections.max
        case "free_connections":
            return None if connections is None else connections.least_free
        case "active":
            return None if states is None else states.active.max
        case "idle_in_transaction":
            return None if states is None else states.idle_in_transaction.max
        case "longest_transaction":
            return (found.longest_transaction or 0.0) if found.samples else None
        case "lock_waits":
            return found.lock_waits.count if found.samples else None
        case "longest_lock_wait":
            return found.lock_waits.longest if found.samples else None
    return None if counted is None else _counted(metric, counted)


def _counted(metric: str, counted: Statistics) -> float | None:
    match metric:
        case "cache_hits":
            return counted.cache_hit_ratio
        case "wal":
            return counted.wal.bytes
    value: int = getattr(counted, metric)
    return value
