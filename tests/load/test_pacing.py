from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.load.pacing import Pacing, Population, Segment
from stressrun.scenario.model import Ramp

rates = st.floats(min_value=0.1, max_value=5000)
durations = st.floats(min_value=0.1, max_value=20)


@pytest.mark.parametrize(
    ("start", "end", "duration", "count", "due"),
    [
        (50, 50, 5, 250, {0: 0.0, 1: 0.02, 249: 4.98}),
        (50, 50, 0.01, 1, {0: 0.0}),
        (0, 100, 10, 500, {0: 0.0, 5: 1.0, 125: 5.0}),
        (100, 0, 10, 500, {0: 0.0, 375: 5.0}),
        (2.5, 2.5, 1, 3, {2: 0.8}),
    ],
)
def test_arrivals_are_due_where_the_integral_of_the_rate_says(
    start: float, end: float, duration: float, count: int, due: dict[int, float]
) -> None:
    pacing = Pacing(Ramp(start, end), duration)
    assert pacing.count == count
    for number, instant in due.items():
        assert isclose(pacing.due(number), instant, abs_tol=1e-9)


@given(rates, rates, durations)
def test_all_arrivals_lie_in_the_stage_and_in_order(
    start: float, end: float, duration: float
) -> None:
    pacing = Pacing(Ramp(start, end), duration)
    numbers = range(0, pacing.count, max(1, pacing.count // 50))
    instants = [pacing.due(number) for number in [*numbers, pacing.count - 1]]
    assert instants == sorted(instants)
    assert instants[0] == 0
    assert instants[-1] <= duration * (1 + 1e-6)


@given(rates, rates, durations)
def test_the_number_of_arrivals_is_the_area_under_the_rate(
    start: float, end: float, duration: float
) -> None:
    assert abs(Pacing(Ramp(start, end), duration).count - (start + end) / 2 * duration) <= 1


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
