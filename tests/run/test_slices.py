"""A stage in slices: all of its news is in one of them, by when it was told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.metrics.recorder import Recorder
from stressrun.run.slices import Slices, slices_of
from stressrun.scenario.model import Arrivals, Load, Ramp, SharedIterations, Stage, Users
from verdict_samples import LOAD

FIGURES = ("p50", "p95")
ENDS = SharedIterations(10, 1)


def stage(duration: float, endpoints: Load | None = LOAD, writes: Load | None = None) -> Stage:
    return Stage("load", duration, False, 5.0, endpoints, writes)


def news(planned: int, failed: int = 0, milliseconds: int = 10) -> Recorder:
    books = Recorder()
    row = books.row("endpoint", "home")
    row.planned = planned
    for _ in range(planned - failed):
        row.succeed(milliseconds * 1_000_000, milliseconds * 1_000_000, 1, 1)
    for _ in range(failed):
        row.fail("status 503", 1, 1, 1, 1)
    return books


@pytest.mark.parametrize(
    ("judged", "count"),
    [
        (stage(0.3), 1),
        (stage(3.9), 1),
        (stage(4), 2),
        (stage(15.9), 7),
        (stage(16), 8),
        (stage(3600), 8),
        (stage(20, Users(Ramp(1, 9)), Arrivals(Ramp(1, 9), 1)), 8),
        (stage(20, ENDS), 1),
        (stage(20, LOAD, ENDS), 1),
        (Stage("warm-up", 20, True, 5.0, LOAD, None), 0),
    ],
)
def test_slices_have_two_seconds_or_more_and_are_eight_at_most(judged: Stage, count: int) -> None:
    assert slices_of(judged) == count


def test_news_belongs_to_the_slice_in_which_most_of_it_happened() -> None:
    slices = Slices(stage(4.0), FIGURES)
    for elapsed, planned in ((0.25, 1), (2.0, 2), (2.12, 4), (2.13, 8), (4.1, 16), (9.0, 32)):
        slices.heard(news(planned), elapsed)
    slices.finish()
    key = ("endpoint", "home")
    assert [rows[key].planned for rows in slices.done] == [7, 56]
    few, many = (rows[key].figures for rows in slices.done)
    assert few == {"p50": pytest.approx(0.01, rel=1e-3), "p95": None}
    assert many == {"p50": pytest.approx(0.01, rel=1e-3), "p95": pytest.approx(0.01, rel=1e-3)}


def test_a_slice_in_which_nothing_was_told_is_empty_and_keeps_its_place() -> None:
    slices = Slices(stage(6.0), FIGURES)
    slices.heard(news(1), 0.5)
    slices.heard(news(1), 5.0)
    slices.finish()
    assert [bool(rows) for rows in slices.done] == [True, False, True]


def test_a_stage_that_is_stopped_has_the_slices_that_it_came_to() -> None:
    slices = Slices(stage(16.0), FIGURES)
    slices.heard(news(1), 3.0)
    slices.finish()
    assert len(slices.done) == 2


@given(
    st.floats(0.1, 60),
    st.lists(st.tuples(st.floats(0, 80), st.integers(1, 5), st.integers(0, 1)), max_size=20),
)
def test_nothing_of_a_stage_is_lost_or_counted_twice(
    duration: float, told: list[tuple[float, int, int]]
) -> None:
    slices = Slices(stage(duration), FIGURES)
    for elapsed, planned, failed in sorted(told):
        slices.heard(news(planned, failed), elapsed)
    slices.finish()
    blocks = [block for rows in slices.done for block in rows.values()]
    assert 1 <= len(slices.done) <= slices_of(stage(duration))
    assert sum(block.planned for block in blocks) == sum(planned for _, planned, _ in told)
    assert sum(block.count for block in blocks) == sum(planned for _, planned, _ in told)
    assert sum(block.failed for block in blocks) == sum(failed for _, _, failed in told)


def test_a_stage_that_is_not_judged_has_no_slices() -> None:
    slices = Slices(Stage("warm-up", 20, True, 5.0, LOAD, None), FIGURES)
    slices.heard(news(3), 1.0)
    slices.finish()
    assert slices.done == []
