"""How the console words the write mixes: at each report interval, and at a stage's end."""

from __future__ import annotations

from dataclasses import replace

from stressrun.load.stage import Pool, PoolReading, StageResult
from stressrun.metrics.recorder import Recorder, Row
from stressrun.report.writes import pool_line, stage_lines, write_lines
from verdict_samples import MS, STAGES, scenario

SCENARIO = scenario()
READING = PoolReading(
    most=8, allowed=8, open=7, active=5, most_active=5, waiting=0, server_free=40, lost=False
)


def do(row: Row, count: int, milliseconds: int, added: int = 0) -> None:
    """So many operations of a row each, 500 kB sent by each of them."""
    row.planned += count
    row.rows += count
    row.rows_added += added
    for _ in range(count):
        row.succeed(milliseconds * MS, milliseconds * MS, 500_000, 0)


def books() -> Recorder:
    recorder = Recorder()
    do(recorder.row("operation", "audit.insert"), 100, 5, added=100)
    do(recorder.row("operation", "audit.update"), 19, 7)
    row = recorder.row("operation", "audit.update")
    row.planned += 3
    row.fail("40P01 deadlock_detected", MS, MS, 0, 0)
    row.interrupted += 1
    row.unknown += 1
    return recorder


def test_each_interval_tells_the_figures_of_each_mix_and_operation() -> None:
    total = Recorder()
    total.merge(books())
    total.merge(books())
    assert list(write_lines(books(), total, 2.0, SCENARIO)) == [
        "audit 60.0/s, 29.75 MB/s, 1 error (0.83 %), total 240",
        "insert 50.0/s avg 5.00 ms p95 5.00 ms p99 5.00 ms",
        "update 10.0/s avg 6.70 ms p95 7.00 ms",
    ]


def test_a_mix_that_did_nothing_has_no_line() -> None:
    assert list(write_lines(Recorder(), books(), 2.0, SCENARIO)) == []


def test_the_connections_are_told_as_they_are_used() -> None:
    assert pool_line(READING) == "connections: 5 active, 2 idle, 8 at most; 40 free on the server"
    cut = replace(READING, allowed=6, waiting=1200, server_free=None)
    assert pool_line(cut) == (
        "connections: 5 active, 2 idle, 1,200 operations waiting, 8 at most, 6 allowed now;"
        " unknown free on the server"
    )


def test_a_stage_tells_what_its_mixes_did_in_all() -> None:
    result = StageResult(STAGES[2], 2, elapsed=10.0, books=books())
    result.books.row("operation", "audit.update").retried = 4
    assert list(stage_lines(result, SCENARIO)) == [
        "writes audit: 120 operations in 10.0 s, 12.0/s, 5.95 MB/s, 12 rows/s, 1 error (0.83 %),"
        " +100 rows in the table, 4 tried again after a conflict"
    ]


def test_a_stage_tells_how_its_connections_were_used() -> None:
    pool = Pool()
    pool.add(READING, 0.25)
    pool.add(replace(READING, most_active=6, waiting=3, server_free=30), 0.25)
    result = StageResult(STAGES[2], 2, elapsed=10.0, pool=pool)
    assert list(stage_lines(result, SCENARIO)) == [
        "connections: up to 6 active of 8 at most, up to 3 operations waiting for one;"
        " at least 30 free on the server"
    ]
    pool.add(replace(READING, allowed=2, server_free=5), 0.25)
    (line,) = stage_lines(result, SCENARIO)
    assert line.endswith("; cut to 2 for a while, to keep as many free as the floor says")
