"""A row's figures against an exact sort, from several workers' parts to what the report says."""

import json
from collections.abc import Sequence
from math import ceil
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.metrics.recorder import Row
from stressrun.metrics.summary import PERCENTILES, summarise

WORKERS = 3
HOUR = 3600 * 10**9
MEASURES = ("service", "response", "first_byte")

Times = tuple[int, int, int]
"""Service, response and first byte, as `Row.succeed` takes them."""


def times(service: int, late: int, until_first_byte: float) -> Times:
    return service, late + service, round(service * until_first_byte)


# Most requests start when intended and are answered in one piece.
requests = st.lists(
    st.tuples(
        st.integers(0, HOUR),
        st.one_of(st.just(0), st.integers(0, HOUR)),
        st.one_of(st.just(1.0), st.floats(0, 1)),
    ).map(lambda drawn: times(*drawn)),
    min_size=1,
    max_size=300,
)


def gathered(samples: Sequence[Times]) -> Row:
    """The row that a controller has of samples which several workers told it in parts."""
    total = Row()
    workers = [Row() for _ in range(WORKERS)]
    for number, (service, response, first_byte) in enumerate(samples):
        worker = workers[number % WORKERS]
        if number % 7:
            worker.succeed(service, response, 0, 0, first_byte)
        else:
            worker.fail("status 503", service, response, 0, 0, first_byte)
        if number % 97 == 0:
            total.merge(told(worker))
    for worker in workers:
        total.merge(told(worker))
    return total


def told(worker: Row) -> Row:
    return Row.from_wire(json.loads(json.dumps(worker.drain())))


def assert_as_sorted(samples: Sequence[Times]) -> None:
    row = gathered(samples)
    for measure, values in zip(MEASURES, zip(*samples, strict=True), strict=True):
        histogram = getattr(row, measure)
        assert histogram.count == len(values)
        assert histogram.maximum == max(values)
        assert histogram.total == sum(values)
        figures = summarise(histogram)
        assert figures.mean == sum(values) / len(values) / 1e9
        assert figures.max == max(values) / 1e9
        for name, q in PERCENTILES.items():
            found, exact = getattr(figures, name), nearest_rank(sorted(values), q)
            assert (found is None) == (exact is None)
            if exact is not None:
                assert found == pytest.approx(exact / 1e9, rel=0.001, abs=0), (measure, name)


def nearest_rank(ascending: Sequence[int], q: float) -> int | None:
    # In thousandths, so that no rounding decides which rank it is.
    thousandths = round(q * 1000)
    if len(ascending) * (1000 - thousandths) < 1000:
        return None
    return ascending[ceil(len(ascending) * thousandths / 1000) - 1]


@given(requests)
def test_percentiles_of_a_row_are_within_a_thousandth_of_an_exact_sort(
    samples: list[Times],
) -> None:
    assert_as_sorted(samples)


def test_percentiles_of_a_hundred_thousand_log_normal_times_are_within_a_thousandth() -> None:
    random = Random(20_260_101)
    samples = []
    for number in range(100_000):
        service = round(random.lognormvariate(14, 1.2))
        late = round(random.lognormvariate(10, 2)) if number % 3 == 0 else 0
        samples.append(times(service, late, random.random() if number % 2 else 1.0))
    assert_as_sorted(samples)


def test_what_was_never_sent_has_a_response_time_only() -> None:
    row = Row()
    row.fail("refused", None, 500, 0, 0)
    row.succeed(100, 300, 10, 20)
    assert (row.service.count, row.response.count, row.first_byte.count) == (1, 2, 1)
    assert row.response.mean == 400
