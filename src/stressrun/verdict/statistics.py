"""Paired comparisons: exact tests and intervals for the differences of a few pairs.

Wilcoxon's signed-rank test with its exact distribution, the Hodges-Lehmann estimate with the
interval that belongs to the test (Hollander, Wolfe and Chicken, Nonparametric Statistical Methods,
3.1 to 3.3), and Holm's correction for several tests. Nothing is assumed of the differences but that
without an effect they are as likely positive as negative, each by itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from statistics import median


@dataclass(frozen=True, slots=True)
class Interval:
    """The shifts that a one-sided test at either end does not reject; infinite with few pairs."""

    low: float
    high: float

    def __contains__(self, shift: float) -> bool:
        return self.low <= shift <= self.high


def signed_rank(differences: Sequence[float]) -> float:
    """The exact one-sided p-value of the differences being above zero: P(W+ ≥ the one seen).

    Zeros say nothing and are left out; equal ones share their ranks, and the distribution is that
    of these ranks.
    """
    seen = [difference for difference in differences if difference]
    # Twice the rank is a whole number also where ranks are shared.
    ranks = _doubled_ranks([abs(difference) for difference in seen])
    positive = sum(rank for rank, one in zip(ranks, seen, strict=True) if one > 0)
    return sum(_ways(ranks)[positive:]) / float(1 << len(seen))


def hodges_lehmann(differences: Sequence[float]) -> float:
    """The median of the averages of all pairs of differences, each with itself among them."""
    return median(_walsh_averages(differences))


def interval(differences: Sequence[float], alpha: float) -> Interval:
    """The interval whose ends belong to the one-sided tests at `alpha` each.

    It excludes zero exactly where such a test rejects, but for ties.
    """
    averages = _walsh_averages(differences)
    left_out = _critical(len(differences), alpha)
    if left_out < 0:
        return Interval(-math.inf, math.inf)
    return Interval(averages[left_out], averages[-1 - left_out])


def holm(p_values: Sequence[float], alpha: float) -> list[float]:
    """For each of several tests the level that it is held against, in the order given.

    The smallest p-value against alpha / m, the next against alpha / (m - 1) and so on, as long as
    all before it were rejected; the others all against the level at which that ended.
    """
    levels = [0.0] * len(p_values)
    left, level = len(p_values), alpha
    going_on = True
    for number in sorted(range(len(p_values)), key=p_values.__getitem__):
        if going_on:
            level = alpha / left
            going_on = p_values[number] <= level
            left -= 1
        levels[number] = level
    return levels


def pairs_needed(tests: int, alpha: float) -> int:
    """The fewest pairs with which one of so many tests can be rejected: 2⁻ⁿ ≤ alpha / tests."""
    return math.ceil(math.log2(max(1, tests) / alpha))


def _doubled_ranks(sizes: Sequence[float]) -> list[int]:
    return [sum(2 * (other < size) + (other == size) for other in sizes) + 1 for size in sizes]


def _ways(ranks: Iterable[int]) -> list[int]:
    """In how many ways a choice of the ranks has each sum, from 0 to that of all."""
    ways = [1]
    for rank in ranks:
        without, with_it = [*ways, *[0] * rank], [*[0] * rank, *ways]
        ways = [one + other for one, other in zip(without, with_it, strict=True)]
    return ways


def _walsh_averages(differences: Sequence[float]) -> list[float]:
    pairs = combinations_with_replacement(differences, 2)
    return sorted((one + other) / 2 for one, other in pairs)


def _critical(pairs: int, alpha: float) -> int:
    """The greatest w with P(W+ ≤ w) ≤ alpha without ties; -1 where there is none."""
    cumulated, w = 0, -1
    for count in _ways(range(1, pairs + 1)):
        cumulated += count
        if cumulated > alpha * (1 << pairs):
            break
        w += 1
    return w
