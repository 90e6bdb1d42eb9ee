from fractions import Fraction
from itertools import islice, pairwise
from math import isclose, sqrt
from random import Random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.load.pacing import Pacing, Population, Segment
from stressrun.scenario.model import Ramp

SECOND = 1_000_000_000
WHOLE = Segment(0, 1)
rates = st.floats(min_value=0.1, max_value=5000)
durations = st.floats(min_value=0.1, max_value=20)


def poisson(pacing: Pacing, seed: int, segment: Segment = WHOLE) -> list[tuple[int, int]]:
    return list(pacing.poisson(segment, 0, Random(seed)))


@pytest.mark.parametrize(
    ("start", "end", "duration", "count", "due"),
    [
        (50, 50, 5, 250, {0: 0.0, 1: 0.02, 249: 4.98}),
        (50, 50, 0.01, 1, {0: 0.0}),
        (0, 100, 10, 500, {0: 0.0, 5: 1.0, 125: 5.0}),
        (100, 0, 10, 500, {0: 0.0, 375: 5.0, 500: 10.0}),
        (2.5, 2.5, 1, 3, {2: 0.8}),
        (0, 0, 1, 0, {}),
    ],
)
def test_arrivals_are_due_where_the_integral_of_the_rate_says(
    start: float, end: float, duration: float, count: int, due: dict[int, float]
) -> None:
    pacing = Pacing(Ramp(start, end), duration)
    assert pacing.count == count
    for number, instant in due.items():
        assert isclose(pacing.inverse()(number), instant, abs_tol=1e-9)


@given(rates, rates, durations)
def test_all_arrivals_lie_in_the_stage_and_in_order(
    start: float, end: float, duration: float
) -> None:
    pacing = Pacing(Ramp(start, end), duration)
    due = pacing.inverse()
    numbers = range(0, pacing.count, max(1, pacing.count // 50))
    instants = [due(number) for number in [*numbers, pacing.count - 1]]
    assert instants == sorted(instants)
    assert instants[0] == 0
    assert instants[-1] <= duration


@given(rates, rates, durations)
def test_the_number_of_arrivals_is_the_area_under_the_rate(
    start: float, end: float, duration: float
) -> None:
    assert abs(Pacing(Ramp(start, end), duration).count - (start + end) / 2 * duration) <= 1


@given(st.integers(min_value=1, max_value=200_000), st.integers(min_value=0, max_value=3600))
def test_at_a_constant_rate_instants_are_exact_to_the_nanosecond(rate: int, second: int) -> None:
    pacing = Pacing(Ramp(float(rate), float(rate)), 3601.0)
    # A segment of one number: that of an arrival somewhere in the stage.
    number = second * rate + rate // 3
    ((_, instant),) = islice(pacing.uniform(Segment(number, pacing.count), 7), 1)
    assert abs(instant - 7 - Fraction(number, rate) * SECOND) <= Fraction(501, 1000)


@given(rates, rates, st.integers(min_value=1, max_value=7), st.booleans())
def test_segments_together_have_every_arrival_once(
    start: float, end: float, of: int, evenly: bool
) -> None:
    pacing = Pacing(Ramp(start, end), 0.2)

    def arrivals(segment: Segment) -> list[tuple[int, int]]:
        return list(pacing.uniform(segment, 0)) if evenly else poisson(pacing, 1, segment)

    whole = arrivals(WHOLE)
    assert [number for number, _ in whole] == list(range(len(whole)))
    parts = [arrivals(Segment(index, of)) for index in range(of)]
    assert sorted(arrival for part in parts for arrival in part) == whole
    assert all(number % of == index for index in range(of) for number, _ in parts[index])


@given(rates, rates, durations, st.integers())
def test_poisson_arrivals_lie_in_the_stage_and_in_order(
    start: float, end: float, duration: float, seed: int
) -> None:
    pacing = Pacing(Ramp(start, end), duration)
    arrivals = list(islice(pacing.poisson(WHOLE, SECOND, Random(seed)), 500))
    instants = [instant for _, instant in arrivals]
    assert instants == sorted(instants)
    assert all(SECOND <= i <= SECOND + round(duration * SECOND) for i in instants)


def test_poisson_arrivals_are_those_of_their_seed() -> None:
    pacing = Pacing(Ramp(50, 200), 2)
    assert poisson(pacing, seed=1) == poisson(pacing, seed=1)
    assert poisson(pacing, seed=1) != poisson(pacing, seed=2)


@pytest.mark.parametrize(("start", "end"), [(100.0, 100.0), (20.0, 180.0), (200.0, 0.0)])
def test_poisson_arrivals_are_as_many_as_the_area_on_average(start: float, end: float) -> None:
    pacing = Pacing(Ramp(start, end), 2)
    counts = [len(poisson(pacing, seed)) for seed in range(200)]
    mean = fmean(counts)
    assert abs(mean - pacing.area) < 4 * sqrt(pacing.area / len(counts))
    assert isclose(fmean((n - mean) ** 2 for n in counts), pacing.area, rel_tol=0.4)


def test_poisson_arrivals_follow_the_ramp() -> None:
    pacing = Pacing(Ramp(0, 200), 2)
    halves = [instant < SECOND for seed in range(50) for _, instant in poisson(pacing, seed)]
    assert isclose(sum(halves) / len(halves), 0.25, abs_tol=0.02)


def test_the_gaps_of_poisson_arrivals_are_exponential() -> None:
    arrivals = poisson(Pacing(Ramp(1000, 1000), 20), seed=3)
    gaps = [(later - earlier) / SECOND * 1000 for (_, earlier), (_, later) in pairwise(arrivals)]
    for length, share in ((0.1, 0.905), (0.693, 0.5), (2.303, 0.1)):
        assert isclose(sum(gap > length for gap in gaps) / len(gaps), share, abs_tol=0.015)


@pytest.mark.parametrize(
    ("start", "end", "elapsed", "interval"),
    [
        (100, 100, 3, 0.01),
        (0, 100, 5, 0.02),
        (0, 100, 99, 0.01),
        (0, 100, 0, float("inf")),
        (100, 0, 10, float("inf")),
    ],
)
def test_the_interval_is_that_of_the_rate_at_the_time(
    start: float, end: float, elapsed: float, interval: float
) -> None:
    assert isclose(Pacing(Ramp(start, end), 10).interval(elapsed), interval)


@given(st.integers(min_value=0, max_value=10_000), st.integers(min_value=1, max_value=64))
def test_segments_share_exactly(count: int, of: int) -> None:
    shares = [Segment(index, of).share(count) for index in range(of)]
    assert sum(shares) == count
    assert max(shares) - min(shares) <= 1


@pytest.mark.parametrize(
    ("start", "end", "elapsed", "target"),
    [
        (20, 20, 3, 20),
        (1, 20, 0, 1),
        (1, 20, 10, 20),
        (0, 10, 5, 5),
        (10, 0, 9.99, 0),
        (1, 3, 99, 3),
    ],
)
def test_the_population_follows_its_line(
    start: float, end: float, elapsed: float, target: int
) -> None:
    assert Population(Ramp(start, end), 10).at(elapsed) == target


@given(
    st.integers(min_value=0, max_value=50),
    st.integers(min_value=0, max_value=50),
    durations,
)
def test_following_the_changes_visits_every_target_once(
    start: int, end: int, duration: float
) -> None:
    population = Population(Ramp(start, end), duration)
    elapsed, targets = 0.0, [population.at(0)]
    while (change := population.next_change(elapsed)) is not None:
        assert change >= elapsed
        elapsed = change + 1e-9 * max(1.0, duration)
        targets.append(population.at(elapsed))
    step = 1 if end >= start else -1
    assert targets == list(range(start, end + step, step))
