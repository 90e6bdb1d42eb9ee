"""Whether the database was there for the load."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stressrun.load.stage import PoolReading
from stressrun.verdict.target import lost_target
from verdict_samples import results

THERE = PoolReading(
    most=8, allowed=8, open=8, active=8, most_active=8, waiting=0, server_free=9, lost=False
)
GONE = replace(THERE, open=0, active=0, lost=True)


@pytest.mark.parametrize(
    ("stage", "gone", "cause"),
    [
        (2, 0, None),
        (2, 2, None),
        (2, 12, "the database took no connections for 3.00 s of stage peak"),
        (0, 40, None),
    ],
)
def test_a_database_that_was_gone_for_a_good_part_of_a_stage_makes_it_invalid(
    stage: int, gone: int, cause: str | None
) -> None:
    found = results()
    for number in range(40):
        found[stage].pool.add(GONE if number < gone else THERE, 0.25)
    fault = lost_target(found)
    assert (None if fault is None else fault.cause) == cause
