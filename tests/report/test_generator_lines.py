"""What the console says of the load generator itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stressrun.load.stage import StageResult, WorkerReading
from stressrun.metrics.histogram import Histogram
from stressrun.report.generator import generator_lines
from stressrun.scenario.model import Ramp, Users
from verdict_samples import MS, STAGES

CLOSED = replace(STAGES[2], endpoints=Users(Ramp(5, 5)), writes=None)
READING = WorkerReading(
    cpu_seconds=2.0,
    wall_seconds=10.0,
    waiting_seconds=0.1,
    longest_stall=0.004,
    longest_gc_pause=0.0,
    cores=2,
    descriptors=1024,
    ports=28_232,
)


def lag(count: int, milliseconds: float, longest: float = 0.0) -> Histogram:
    found = Histogram()
    for _ in range(count):
        found.record(round(milliseconds * MS))
    if longest:
        found.record(round(longest * MS))
    return found


def test_its_lag_its_share_of_a_core_and_how_long_it_had_none_stand_in_a_line() -> None:
    result = StageResult(STAGES[2], 2)
    result.books.lag.merge(lag(100, 0.2))
    result.books.loop_lag.merge(lag(50, 0.1))
    result.generator.add("endpoints-0", READING, Histogram())
    assert generator_lines(result) == [
        "generator: lag p50 200 µs, p99 200 µs, max 200 µs · loop lag p50 100 µs, max 100 µs"
        " · CPU 20.00 % of a core · waited for a core 100 ms"
    ]


def test_what_was_not_measured_is_left_out_and_of_several_workers_the_busiest_is_told() -> None:
    result = StageResult(STAGES[2], 2)
    for name, seconds in (("endpoints-0", 1.0), ("writes", 3.0)):
        reading = replace(READING, cpu_seconds=seconds, waiting_seconds=None)
        result.generator.add(name, reading, Histogram())
    assert generator_lines(result) == [
        "generator: CPU 30.00 % of a core (the busiest of 2 workers)"
    ]


@pytest.mark.parametrize(
    ("starts", "loop", "missed", "warning"),
    [
        (lag(999, 0.2, 90), Histogram(), 0, None),
        (
            lag(99, 0.2, 900),
            lag(50, 0.1, 950),
            0,
            "warning: starts were late by up to 900 ms, 1.00 % of them by more than 1.00 ms",
        ),
        (
            lag(99, 0.2, 90),
            lag(50, 0.1, 950),
            0,
            "warning: the generator came to nothing for up to 950 ms",
        ),
        (
            lag(99, 0.2, 20),
            Histogram(),
            1_700,
            "warning: the generator was too late for 1,700 arrivals",
        ),
    ],
)
def test_a_long_stop_is_told_with_the_share_that_was_late(
    starts: Histogram, loop: Histogram, missed: int, warning: str | None
) -> None:
    result = StageResult(STAGES[2], 2)
    result.books.lag.merge(starts)
    result.books.loop_lag.merge(loop)
    result.books.missed = missed
    result.generator.add("endpoints-0", READING, Histogram())
    assert generator_lines(result)[1:] == ([] if warning is None else [warning])


@pytest.mark.parametrize(
    ("reading", "warning"),
    [
        (READING, None),
        (
            replace(READING, cpu_seconds=9.7),
            "warning: the generator used 97.00 % of its core: the endpoints were as fast as it is, "
            "not as the target",
        ),
        (
            replace(READING, waiting_seconds=2.0),
            "warning: the generator waited for a core in 20.00 % of the time: the times of the "
            "endpoints hold that",
        ),
        (replace(READING, waiting_seconds=None), None),
    ],
)
def test_users_that_are_as_fast_as_the_generator_is_are_told_to_be(
    reading: WorkerReading, warning: str | None
) -> None:
    for stage, expected in ((CLOSED, warning), (STAGES[2], None)):
        result = StageResult(stage, 2)
        result.generator.add("endpoints-0", reading, Histogram())
        assert generator_lines(result)[1:] == ([] if expected is None else [expected])
