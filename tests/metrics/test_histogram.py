from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.metrics.histogram import Histogram

nanoseconds = st.integers(min_value=0, max_value=2**50)


def histogram_of(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


@given(
    st.lists(nanoseconds, min_size=1, max_size=300), st.sampled_from([0.0, 0.5, 0.9, 0.95, 0.99])
)
def test_a_quantile_is_within_a_thousandth_of_the_exact_nearest_rank(
    values: list[int], q: float
) -> None:
    found = histogram_of(values).quantile(q)
    if round(len(values) * (1 - q), 9) < 1:
        assert found is None
        return
    exact = sorted(values)[max(1, ceil(round(len(values) * q, 9))) - 1]
    assert found == pytest.approx(exact, rel=0.001)


@given(st.lists(nanoseconds, min_size=1))
def test_mean_and_maximum_are_exact(values: list[int]) -> None:
    histogram = histogram_of(values)
    assert histogram.mean == sum(values) / len(values)
    assert histogram.maximum == max(values)


@given(st.lists(nanoseconds), st.lists(nanoseconds))
def test_merging_equals_recording_all_in_one(left: list[int], right: list[int]) -> None:
    merged = histogram_of(left)
    merged.merge(histogram_of(right))
    assert merged.drain() == pytest.approx(histogram_of(left + right).drain())


@given(st.lists(nanoseconds, min_size=2), st.lists(nanoseconds), st.lists(nanoseconds))
def test_replacing_some_values_equals_never_having_recorded_them(
    kept: list[int], some: list[int], others: list[int]
) -> None:
    whole = histogram_of(kept + some)
    found = whole.replacing(histogram_of(some), histogram_of(others))
    expected = histogram_of(kept + others)
    assert (found.count, found.total) == (expected.count, expected.total)
    assert found.maximum == pytest.approx(expected.maximum, rel=0.001, abs=1)
    assert found.quantile(0.5) == pytest.approx(expected.quantile(0.5), rel=0.001, abs=1)
    assert (whole.count, whole.total) == (len(kept + some), sum(kept + some))


@given(st.lists(nanoseconds))
def test_the_wire_form_carries_everything_and_empties_the_sender(values: list[int]) -> None:
    sender = histogram_of(values)
    received = Histogram.from_wire(sender.drain())
    assert (received.count, received.total) == (len(values), sum(values))
    assert received.maximum == max(values, default=0)
    assert (sender.count, sender.total, sender.maximum) == (0, 0, 0)


@pytest.mark.parametrize(
    ("count", "q", "known"),
    [
        (99, 0.99, False),
        (100, 0.99, True),
        (19, 0.95, False),
        (20, 0.95, True),
        (999, 0.999, False),
    ],
)
def test_a_percentile_needs_enough_values(count: int, q: float, known: bool) -> None:
    assert (histogram_of([1] * count).quantile(q) is not None) is known


def test_memory_is_bounded_by_the_range_and_not_by_the_count() -> None:
    histogram = Histogram()
    for value in range(1, 200_000):
        histogram.record(value * 1000)
    # 2 for the sum and the maximum; two numbers for each of at most 512 buckets an octave.
    assert len(histogram.drain()) <= 2 + 2 * 512 * 19


@given(st.lists(nanoseconds), nanoseconds)
def test_what_is_above_a_time_is_above_all_that_shares_its_bucket(
    values: list[int], limit: int
) -> None:
    histogram = histogram_of(values)
    surely = sum(value > limit * 1.002 + 1 for value in values)
    assert surely <= histogram.above(limit) <= sum(value > limit for value in values)
