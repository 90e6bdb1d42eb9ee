from dataclasses import replace

import pytest

from stressrun.load.stage import StageResult
from stressrun.scenario.model import Arrivals, IterationsPerVu, Load, Ramp, SharedIterations, Users
from stressrun.verdict.delivery import undelivered
from verdict_samples import STAGES, fill


def result(stage: int, *, succeeded: int, failed: int = 0, dropped: int = 0) -> StageResult:
    found = StageResult(STAGES[stage], stage, elapsed=10)
    row = found.books.row("endpoint", "browse")
    fill(row, succeeded, 10, failed=failed)
    row.planned += dropped
    row.dropped += dropped
    return found


@pytest.mark.parametrize(
    ("what", "lines"),
    [
        (result(2, succeeded=95, dropped=5), []),
        (
            result(2, succeeded=94, dropped=6),
            ["stage peak achieved 94.00 % of its plan: 6 dropped, 0 interrupted"],
        ),
        (result(2, succeeded=80, failed=20), []),
        (result(2, succeeded=79, failed=21), ["in stage peak 21.00 % failed"]),
        (result(0, succeeded=1, failed=99, dropped=100), []),
        (result(1, succeeded=0), []),
    ],
)
def test_a_judged_stage_must_deliver_its_load(what: StageResult, lines: list[str]) -> None:
    assert undelivered([what]) == lines


@pytest.mark.parametrize(
    ("load", "is_plan"),
    [
        (Arrivals(Ramp(10, 10), 10), True),
        (SharedIterations(100, 10), True),
        (IterationsPerVu(10, 10), True),
        (Users(Ramp(10, 10)), False),
    ],
)
def test_arrivals_and_given_numbers_of_iterations_are_a_plan(load: Load, is_plan: bool) -> None:
    what = result(2, succeeded=60, dropped=40)
    what.stage = replace(what.stage, endpoints=load)
    line = "stage peak achieved 60.00 % of its plan: 40 dropped, 0 interrupted"
    assert undelivered([what]) == ([line] if is_plan else [])
