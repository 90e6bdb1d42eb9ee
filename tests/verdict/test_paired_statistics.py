"""The statistics of paired comparisons, against scipy's and against plain enumeration."""

from __future__ import annotations

import math
import random
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata, wilcoxon

from stressrun.verdict.statistics import (
    Interval,
    hodges_lehmann,
    holm,
    interval,
    pairs_needed,
    signed_rank,
)

few_numbers = st.lists(st.integers(-4, 4), max_size=9)
levels = st.sampled_from([0.1, 0.05, 0.0167, 0.005])


def samples(count: int, most: int) -> list[list[float]]:
    """Differences without ties, some of them with an effect."""
    generator = random.Random(5)
    return [
        [
            generator.gauss(effect, 1)
            for effect in [generator.choice([0, 0.3, 2])] * generator.randint(1, most)
        ]
        for _ in range(count)
    ]


def test_p_values_are_those_of_scipy_on_a_thousand_samples() -> None:
    for differences in samples(1000, 25):
        expected = wilcoxon(differences, alternative="greater", method="exact").pvalue
        assert signed_rank(differences) == pytest.approx(expected, rel=1e-9)


def test_the_interval_is_where_the_test_of_scipy_does_not_reject() -> None:
    for number, differences in enumerate(samples(200, 14)):
        alpha = (0.1, 0.05, 0.0167)[number % 3]
        found = interval(differences, alpha)
        for end, sign in ((found.low, 1), (found.high, -1)):
            if math.isinf(end):
                assert 0.5 ** len(differences) > alpha
                continue
            for shift, rejected in ((-1e-9, True), (1e-9, False)):
                shifted = [sign * (one - end) - shift for one in differences]
                p = wilcoxon(shifted, alternative="greater", method="exact").pvalue
                assert bool(p <= alpha) is rejected


@given(few_numbers)
def test_ties_share_their_ranks_and_zeros_say_nothing(differences: list[int]) -> None:
    seen = [one for one in differences if one]
    ranks = rankdata([abs(one) for one in seen]) if seen else []
    found = sum(rank for rank, one in zip(ranks, seen, strict=True) if one > 0)
    sums = [
        sum(rank for rank, sign in zip(ranks, signs, strict=True) if sign)
        for signs in product((False, True), repeat=len(seen))
    ]
    expected = sum(one >= found for one in sums) / len(sums)
    assert signed_rank(differences) == pytest.approx(expected)


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=12), st.floats(-5, 5), levels)
def test_a_shift_of_all_moves_estimate_and_interval(
    differences: list[float], shift: float, alpha: float
) -> None:
    moved = [one + shift for one in differences]
    assert hodges_lehmann(moved) == pytest.approx(hodges_lehmann(differences) + shift)
    before, after = interval(differences, alpha), interval(moved, alpha)
    assert after.low == pytest.approx(before.low + shift)
    assert after.high == pytest.approx(before.high + shift)
    assert hodges_lehmann(differences) in before


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), levels)
def test_levels_of_holm_reject_what_its_adjusted_p_values_do(
    p_values: list[float], alpha: float
) -> None:
    held_against = holm(p_values, alpha)
    rejected = [p <= level for p, level in zip(p_values, held_against, strict=True)]
    worst = 0.0
    expected = [False] * len(p_values)
    for rank, number in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        worst = max(worst, p_values[number] * (len(p_values) - rank))
        expected[number] = worst <= alpha
    close = [abs(p * (len(p_values) - k) - alpha) < 1e-9 for p in p_values for k in range(12)]
    assert rejected == expected or any(close)
    assert all(alpha / len(p_values) <= level <= alpha for level in held_against)


@pytest.mark.parametrize(("tests", "pairs"), [(0, 5), (1, 5), (3, 6), (12, 8), (20, 9)])
def test_so_many_pairs_can_reject_one_of_so_many_tests(tests: int, pairs: int) -> None:
    assert pairs_needed(tests, 0.05) == pairs
    assert signed_rank([1.0] * pairs) <= 0.05 / max(1, tests) < signed_rank([1.0] * (pairs - 1))


def test_too_few_pairs_exclude_nothing() -> None:
    assert interval([0.1, 0.2, 0.3], 0.05) == Interval(-math.inf, math.inf)
