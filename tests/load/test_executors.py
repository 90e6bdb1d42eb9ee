import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.load.executors import ArrivalExecutor, Executor, UserExecutor, executor
from stressrun.load.pacing import Pacing, Population, Segment
from stressrun.scenario.model import Arrivals, Ramp, Users

SECOND = 1_000_000_000
WHOLE = Segment(0, 1)


def arrivals(rate: float, duration: float, segment: Segment = WHOLE) -> ArrivalExecutor:
    return ArrivalExecutor(Pacing(Ramp(rate, rate), duration), segment, start=SECOND)


def take_all(what: Executor, now: int) -> list[tuple[int, int]]:
    taken = []
    while (item := what.take(now, 0)) is not None:
        taken.append(item)
    return taken


def test_nothing_is_due_before_the_start() -> None:
    what = arrivals(10, 1)
    assert what.take(SECOND - 1, 0) is None
    assert what.wake(0) == SECOND


def test_an_arrival_keeps_its_due_time_however_late_it_is_taken() -> None:
    taken = take_all(arrivals(10, 1), SECOND + SECOND // 2)
    assert taken == [(k, SECOND + k * SECOND // 10) for k in range(6)]


def test_what_never_started_by_the_end_is_dropped() -> None:
    what = arrivals(10, 1)
    take_all(what, SECOND)
    assert what.drop(what.end) == list(range(1, 10))
    assert what.wake(what.end) is None


def test_a_late_wake_up_drops_nothing_until_the_executor_is_closed() -> None:
    what = arrivals(10, 1)
    assert len(take_all(what, what.end + SECOND)) == 10
    late = arrivals(10, 1)
    late.close()
    assert late.take(late.end + SECOND, 0) is None
    assert late.wake(late.end + SECOND) is None
    assert late.drop(late.end) == list(range(10))


def test_a_stop_drops_what_was_due_and_does_not_plan_the_rest() -> None:
    what = arrivals(10, 1)
    take_all(what, SECOND)
    what.end = SECOND + SECOND // 2
    assert what.drop(what.end) == [1, 2, 3, 4, 5]
    assert what.take(what.end + 1, 0) is None


@given(
    st.floats(min_value=1, max_value=500),
    st.floats(min_value=1, max_value=500),
    st.integers(min_value=1, max_value=7),
)
def test_segments_together_do_every_arrival_once(start: float, end: float, of: int) -> None:
    pacing = Pacing(Ramp(start, end), 2)
    numbers = []
    for index in range(of):
        what = ArrivalExecutor(pacing, Segment(index, of), start=0)
        numbers += [number for number, _ in take_all(what, what.end)] + what.drop(what.end)
    assert sorted(numbers) == list(range(pacing.count))


def test_users_start_when_they_are_free_and_only_as_many_as_the_target() -> None:
    what = UserExecutor(Population(Ramp(3, 3), 1), WHOLE, start=SECOND)
    assert what.take(0, 0) is None
    assert what.take(SECOND, 0) == (0, SECOND)
    assert what.take(SECOND, 2) == (1, SECOND)
    assert what.take(SECOND, 3) is None
    assert what.take(what.end, 0) is None


def test_the_target_of_a_ramp_is_followed_by_waking_at_its_changes() -> None:
    what = UserExecutor(Population(Ramp(1, 4), 3), WHOLE, start=0)
    targets = []
    now: int | None = 0
    while now is not None:
        running = 0
        while what.take(now, running) is not None:
            running += 1
        targets.append(running)
        now = what.wake(now)
    assert targets == [1, 2, 3, 4]


def test_a_ramp_that_nobody_followed_wakes_nobody_after_the_end() -> None:
    what = UserExecutor(Population(Ramp(1, 40), 1), WHOLE, start=0)
    assert what.wake(0) is not None
    assert what.wake(what.end) is None
    what.close()
    assert what.wake(0) is None


@pytest.mark.parametrize(
    ("load", "kind"),
    [(Arrivals(Ramp(5, 5), 10), ArrivalExecutor), (Users(Ramp(5, 5)), UserExecutor)],
)
def test_the_model_chooses_the_executor(load: Arrivals | Users, kind: type) -> None:
    assert isinstance(executor(load, 1.0, WHOLE, 0), kind)
