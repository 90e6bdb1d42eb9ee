"""How long answers take: times drawn from a latency, as functions of a random number."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from math import exp, log
from statistics import NormalDist

from stressrun.scenario.model import Between, Delay, MockLatency, Percentiles

Draw = Callable[[float], int]
"""From a random number (0 < r < 1) to nanoseconds."""

_normal = NormalDist()
_LEAST, _MOST = 1e-9, 1 - 1e-9
# The logarithm of a year: where two percentiles are near each other, there is no end to the times.
_HIGHEST = log(366 * 86_400e9)


def compile_delay(delay: Delay) -> Draw:
    """What draws the times of a delay.

    Between two percentiles, and beyond them, the logarithm of the time goes straight with the
    normal quantile: two percentiles are those of a log-normal distribution, one is always the same.
    """
    if isinstance(delay, Between):
        shortest, span = delay.shortest * 1e9, (delay.longest - delay.shortest) * 1e9
        return lambda r: round(shortest + r * span)
    return _of_percentiles(delay)


def _of_percentiles(delay: Percentiles) -> Draw:
    places = [_normal.inv_cdf(quantile) for quantile, _ in delay.points]
    heights = [log(seconds * 1e9) for _, seconds in delay.points]
    most = float("inf") if delay.most is None else delay.most * 1e9
    if len(places) == 1:
        always = round(min(most, exp(heights[0])))
        return lambda r: always
    slopes = [
        (heights[n + 1] - heights[n]) / (places[n + 1] - places[n]) for n in range(len(places) - 1)
    ]
    inner = places[1:-1]

    def draw(r: float) -> int:
        z = _normal.inv_cdf(min(max(r, _LEAST), _MOST))
        n = bisect_right(inner, z)
        height = heights[n] + slopes[n] * (z - places[n])
        return round(min(most, exp(min(height, _HIGHEST))))

    return draw


def compile_latencies(latencies: Sequence[MockLatency]) -> Callable[[float, float], int]:
    """What draws the times of latencies that apply together: which one, and its time.

    The calls that none of them has a share of take no time.
    """
    draws = [compile_delay(latency.delay) for latency in latencies]
    bounds = list(accumulate(latency.share for latency in latencies))
    if not draws:
        return lambda which, r: 0
    if len(draws) == 1 and bounds[0] >= 1:
        (only,) = draws
        return lambda which, r: only(r)

    def draw(which: float, r: float) -> int:
        n = bisect_right(bounds, which)
        return draws[n](r) if n < len(draws) else 0

    return draw
