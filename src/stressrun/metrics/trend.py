"""Whether a value grows, and how fast: the median of the slopes between its samples."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from statistics import median

LEAST_SAMPLES = 10
"""Of fewer nothing is said."""

# Past so many points each two become one.
_MOST = 256
# Of Kendall's test, in standard deviations: samples of one process are not independent of each
# other, which makes it find too much.
_BEYOND_CHANCE = 3.0
# The median absolute deviation of normally distributed values is so much of their deviation.
_OF_DEVIATION = 0.6745


class Trend:
    """A value over time, in bounded memory."""

    def __init__(self) -> None:
        self._points: list[tuple[float, float]] = []
        self._pending: list[tuple[float, float]] = []
        self._merged = 1

    def add(self, seconds: float, value: float) -> None:
        """A sample, later than those before it."""
        self._pending.append((seconds, value))
        if len(self._pending) < self._merged:
            return
        self._points.append(_mean(self._pending))
        self._pending.clear()
        if len(self._points) == _MOST:
            pairs = zip(self._points[::2], self._points[1::2], strict=True)
            self._points = [_mean(pair) for pair in pairs]
            self._merged *= 2

    def growth(self) -> float | None:
        """Per second; 0.0 where it is not beyond noise, None of too few samples."""
        return growth(self._points)


def growth(points: Sequence[tuple[float, float]]) -> float | None:
    """The slope of (seconds, value): Theil and Sen's, where there is one beyond noise.

    0.0 where Kendall's test finds no trend, or the values spread about the line by more than it
    rises; None of too few.
    """
    if len(points) < LEAST_SAMPLES:
        return None
    pairs = list(combinations(points, 2))
    slopes = [(v - u) / (t - s) for (s, u), (t, v) in pairs if t > s]
    if not slopes:
        return None
    slope = median(slopes)
    rise = abs(slope) * (points[-1][0] - points[0][0])
    return slope if _is_trend(points, pairs) and rise > _spread(points, slope) else 0.0


def _is_trend(
    points: Sequence[tuple[float, float]],
    pairs: Sequence[tuple[tuple[float, float], tuple[float, float]]],
) -> bool:
    """Mann and Kendall's test, corrected for ties."""
    score = sum((v > u) - (v < u) for (_, u), (_, v) in pairs)
    n = len(points)
    ties = Counter(value for _, value in points).values()
    variance = (_weight(n) - sum(map(_weight, ties))) / 18
    return variance > 0 and (abs(score) - 1) / math.sqrt(variance) > _BEYOND_CHANCE


def _weight(n: int) -> int:
    return n * (n - 1) * (2 * n + 5)


def _spread(points: Sequence[tuple[float, float]], slope: float) -> float:
    """Two deviations of the values from their line."""
    residuals = [value - slope * seconds for seconds, value in points]
    middle = median(residuals)
    return 2 * median(abs(residual - middle) for residual in residuals) / _OF_DEVIATION


def _mean(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    times, values = zip(*points, strict=True)
    return sum(times) / len(points), sum(values) / len(points)
