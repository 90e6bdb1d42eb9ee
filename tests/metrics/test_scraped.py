"""Quantiles from the buckets of a histogram."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.metrics.scraped import Buckets

INF = math.inf


@pytest.mark.parametrize(
    ("bounds", "counts", "q", "expected"),
    [
        ((0.1, 0.5, INF), (0, 100, 100), 0.5, 0.3),
        ((0.1, 0.5, INF), (50, 100, 100), 0.5, 0.1),
        ((0.1, 0.5, INF), (100, 100, 100), 0.9, 0.09),
        ((0.1, 0.5, INF), (0, 0, 100), 0.5, 0.5),
        ((-1.0, 0.0, INF), (0, 100, 100), 0.5, -0.5),
        ((-1.0, INF), (100, 100), 0.5, -1.0),
        ((0.1, 0.5, INF), (0, 19, 19), 0.95, None),
        ((0.1, 0.5, INF), (0, 20, 20), 0.95, pytest.approx(0.48)),
        ((0.1, 0.5), (50, 100), 0.5, None),
        ((INF,), (100,), 0.5, None),
        ((), (), 0.5, None),
        ((0.1, INF), (50, INF), 0.5, None),
    ],
)
def test_a_quantile_lies_on_a_line_within_its_bucket(
    bounds: tuple[float, ...], counts: tuple[float, ...], q: float, expected: float | None
) -> None:
    found = Buckets(bounds, counts).quantile(q)
    assert found == (expected if expected is None else pytest.approx(expected))


@given(
    st.lists(st.floats(0.001, 10), min_size=20, max_size=200),
    st.sampled_from([0.5, 0.9, 0.95]),
)
def test_a_quantile_is_in_the_bucket_of_the_true_one(values: list[float], q: float) -> None:
    bounds = (0.5, 1.0, 2.0, 5.0, 10.0, INF)
    counts = tuple(float(sum(value <= bound for value in values)) for bound in bounds)
    true = sorted(values)[math.ceil(q * len(values)) - 1]
    upper = next(bound for bound in bounds if true <= bound)
    lower = max((bound for bound in bounds if bound < upper), default=0.0)
    found = Buckets(bounds, counts).quantile(q)
    assert found is not None
    assert lower <= found <= upper + 1e-9
