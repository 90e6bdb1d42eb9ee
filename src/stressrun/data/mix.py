"""A weighted choice, drawn before load: arrival k of a stage always has the same endpoint."""

from __future__ import annotations

from collections.abc import Sequence

from stressrun.data.pools import randomness

_SIZE = 4096


def draw(weights: Sequence[float], seed: int, site: str) -> tuple[int, ...]:
    """A shuffled table of indices in proportion to the weights, exact to one in 4,096.

    Every weight above zero has at least one place.
    """
    total = sum(weights)
    table = [
        choice
        for choice, weight in enumerate(weights)
        for _ in range(max(1, round(weight / total * _SIZE)) if weight > 0 else 0)
    ]
    randomness(seed, site).shuffle(table)
    return tuple(table)
