"""Broken answers of every sort end as a failure of a known kind, or as a success, and no worse."""

from collections import Counter

import pytest
from response_fuzz import descriptors, make_case, run_cases

CASES = 300


@pytest.mark.parametrize("seed", [1, 2026])
async def test_every_broken_answer_is_classified_and_the_lane_goes_on(seed: int) -> None:
    before = descriptors()
    outcomes = await run_cases(CASES, seed)
    assert outcomes.wrong(seed) == []
    assert descriptors() == before
    row, kinds = outcomes.row, Counter(outcomes.kinds.values())
    assert (row.planned, row.succeeded, row.failed) == (
        CASES,
        kinds.pop("success"),
        sum(kinds.values()),
    )
    assert dict(row.errors) == kinds
    assert len(kinds) > 10


def test_the_cases_of_a_seed_are_always_the_same() -> None:
    assert [make_case(1, n) for n in range(50)] == [make_case(1, n) for n in range(50)]
    assert make_case(1, 0) != make_case(2, 0)
