"""The figures of the write mixes as lines: at each report interval, and at a stage's end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stressrun.load.stage import PoolReading, StageResult
from stressrun.metrics.recorder import Recorder, Row
from stressrun.metrics.summary import summarise
from stressrun.scenario.model import Scenario
from stressrun.units import format_duration, format_rate, format_share


def write_lines(
    books: Recorder, total: Recorder, seconds: float, scenario: Scenario
) -> Iterator[str]:
    """What each mix did in so many seconds, its total in the stage so far, and each operation."""
    for mix in scenario.writes:
        rows = _of_mix(books, mix.name)
        if not any(row.planned for row in rows.values()):
            continue
        whole, so_far = _sum(rows), _sum(_of_mix(total, mix.name))
        yield (
            f"{mix.name} {_throughput(whole, seconds)}, {_errors(whole)}, total {_ended(so_far):,}"
        )
        for name, row in rows.items():
            yield f"{name} {format_rate(_ended(row) / seconds)}{_times(row)}"


def pool_line(pool: PoolReading) -> str:
    """How the connections are used at the moment."""
    parts = [f"{pool.active} active", f"{pool.open - pool.active} idle"]
    if pool.waiting:
        parts.append(f"{pool.waiting:,} operations waiting")
    parts.append(f"{pool.most} at most")
    if pool.allowed < pool.most:
        parts.append(f"{pool.allowed} allowed now")
    free = "unknown" if pool.server_free is None else f"{pool.server_free}"
    return f"connections: {', '.join(parts)}; {free} free on the server"


def stage_lines(result: StageResult, scenario: Scenario) -> Iterator[str]:
    """What the write mixes of a stage did, and with which connections."""
    for mix in scenario.writes:
        total = _sum(_of_mix(result.books, mix.name))
        if total.planned:
            yield f"writes {mix.name}: {_total(total, result.elapsed)}"
    if result.pool.last is not None:
        yield _pool(result)


def _of_mix(books: Recorder, mix: str) -> dict[str, Row]:
    """The operations of a mix by their names."""
    return {
        name.partition(".")[2]: row
        for (kind, name), row in books.rows.items()
        if kind == "operation" and name.startswith(f"{mix}.")
    }


def _sum(rows: Mapping[str, Row]) -> Row:
    total = Row()
    for row in rows.values():
        total.merge(row)
    return total


def _times(row: Row) -> str:
    times = summarise(row.response)
    shown = (("avg", times.mean), ("p95", times.p95), ("p99", times.p99))
    return "".join(f" {name} {format_duration(value)}" for name, value in shown if value)


def _throughput(row: Row, seconds: float) -> str:
    return f"{format_rate(_ended(row) / seconds)}, {_megabytes(row) / seconds:.2f} MB/s"


def _total(row: Row, elapsed: float) -> str:
    parts = [f"{_ended(row):,} operations in {format_duration(elapsed)}"]
    if elapsed:
        parts += [
            _throughput(row, elapsed),
            f"{row.rows / elapsed:,.0f} rows/s",
        ]
    parts += [_errors(row), f"{row.rows_added:+,} rows in the table"]
    if row.retried:
        parts.append(f"{row.retried:,} tried again after a conflict")
    return ", ".join(parts)


def _pool(result: StageResult) -> str:
    pool = result.pool
    assert pool.last is not None
    line = f"connections: up to {pool.most_active} active of {pool.last.most} at most"
    if pool.most_waiting:
        line += f", up to {pool.most_waiting:,} operations waiting for one"
    if pool.least_server_free is not None:
        line += f"; at least {pool.least_server_free} free on the server"
    if pool.least_allowed is not None and pool.least_allowed < pool.last.most:
        line += f"; cut to {pool.least_allowed} for a while, to keep as many free as the floor says"
    return line


def _errors(row: Row) -> str:
    ended = _ended(row)
    share = f" ({format_share(row.failed / ended)})" if ended else ""
    return f"{row.failed:,} error{'' if row.failed == 1 else 's'}{share}"


def _ended(row: Row) -> int:
    return row.succeeded + row.failed


def _megabytes(row: Row) -> float:
    return (row.bytes_sent + row.bytes_received) / 1e6
