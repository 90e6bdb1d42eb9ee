"""Whether a value grows."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.metrics.trend import LEAST_SAMPLES, Trend, growth

MB = 1_000_000


def line(slope: float, count: int = 20, noise: float = 0.0) -> list[tuple[float, float]]:
    chance = random.Random(7)
    return [(t, 100 * MB + slope * t + chance.uniform(-noise, noise)) for t in range(count)]


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (line(MB), MB),
        (line(-MB), -MB),
        (line(MB, noise=MB), pytest.approx(MB, rel=0.2)),
        (line(0), 0.0),
        (line(0, noise=MB), 0.0),
        (line(0.01 * MB, noise=5 * MB), 0.0),
        (line(MB, count=LEAST_SAMPLES), MB),
        (line(MB, count=LEAST_SAMPLES - 1), None),
        ([], None),
    ],
    ids=["up", "down", "noisy", "flat", "noise", "hidden", "just enough", "too few", "none"],
)
def test_a_slope_is_told_where_it_is_beyond_noise(
    points: list[tuple[float, float]], expected: float | None
) -> None:
    assert growth(points) == expected


def test_one_sample_that_is_far_off_moves_nothing() -> None:
    points = line(MB)
    points[10] = (10, 10_000 * MB)
    assert growth(points) == pytest.approx(MB, rel=0.01)


def test_what_grew_at_the_start_only_grows_no_more() -> None:
    assert growth([(t, min(t, 4) * MB) for t in range(40)]) == 0.0


def test_samples_at_one_instant_do_no_harm() -> None:
    assert growth([(0.0, float(n)) for n in range(20)]) is None
    assert growth([(float(n // 2), float(n)) for n in range(20)]) == 2.0


@given(st.integers(min_value=256, max_value=3000))
def test_a_long_trend_is_kept_in_bounded_memory_without_loss(count: int) -> None:
    trend = Trend()
    for t in range(count):
        trend.add(t, 3.0 * t)
    assert trend.growth() == pytest.approx(3.0)
    assert len(trend._points) < 256
