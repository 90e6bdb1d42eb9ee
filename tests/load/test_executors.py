from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.load.executors import (
    ArrivalExecutor,
    CeilingExecutor,
    Executor,
    PerVuExecutor,
    SharedExecutor,
    UserExecutor,
    executor,
)
from stressrun.load.pacing import Pacing, Segment
from stressrun.scenario.model import (
    Arrivals,
    IterationsPerVu,
    Load,
    Ramp,
    SharedIterations,
    Users,
)

SECOND = 1_000_000_000
WHOLE = Segment(0, 1)
ramps = st.builds(
    Ramp, st.floats(min_value=1, max_value=500), st.floats(min_value=1, max_value=500)
)
workers = st.integers(min_value=1, max_value=7)
iterations = st.one_of(
    st.builds(SharedIterations, st.integers(1, 60), st.integers(1, 9)),
    st.builds(IterationsPerVu, st.integers(1, 9), st.integers(1, 9)),
)


def make(
    load: Load, duration: float = 1, segment: Segment = WHOLE, start: int = SECOND, seed: int = 1
) -> Executor:
    return executor(load, duration, segment, start, seed, "peak endpoints")


def arrivals(rate: float, duration: float = 1) -> Executor:
    return make(Arrivals(Ramp(rate, rate), 10), duration)


def take_all(what: Executor, now: int) -> list[tuple[int, int]]:
    taken = []
    while (item := what.take(now, 0)) is not None:
        taken.append(item)
    return taken


def overdue(what: Executor, now: int) -> list[int]:
    return [number for number, due in what.overdue(now) if due < now]


def drive(what: Executor, lengths: list[int], most: int) -> list[list[int]]:
    """Do all iterations until the executor closes: the numbers that each virtual user did.

    Iteration k lasts `lengths[k % len(lengths)]`. A free user is taken last in, first out.
    """
    done: list[list[int]] = []
    idle: list[list[int]] = []
    busy: list[tuple[int, list[int]]] = []
    now = what.wake(0) or 0
    while True:
        while len(busy) < most and (taken := what.take(now, len(busy))) is not None:
            number, due = taken
            assert due == now
            if not idle:
                done.append([])
                idle.append(done[-1])
            user = idle.pop()
            user.append(number)
            busy.append((now + lengths[number % len(lengths)], user))
        if not busy:
            assert what.closed
            return done
        ended = min(busy, key=lambda item: item[0])
        busy.remove(ended)
        now, user = ended
        if what.finished(user[-1]):
            idle.append(user)


def test_nothing_is_due_before_the_start() -> None:
    what = arrivals(10)
    assert what.take(SECOND - 1, 0) is None
    assert what.wake(0) == SECOND


def test_an_arrival_keeps_its_due_time_however_late_it_is_taken() -> None:
    taken = take_all(arrivals(10), SECOND + SECOND // 2)
    assert taken == [(k, SECOND + k * SECOND // 10) for k in range(6)]


def test_what_never_started_by_the_end_is_dropped_once() -> None:
    what = arrivals(10)
    take_all(what, SECOND)
    assert list(what.drop(what.end)) == list(range(1, 10))
    assert list(what.drop(what.end)) == []
    assert what.wake(what.end) is None


def test_a_late_wake_up_drops_nothing_until_the_executor_is_closed() -> None:
    what = arrivals(10)
    assert len(take_all(what, what.end + SECOND)) == 10
    late = arrivals(10)
    late.close()
    assert late.take(late.end + SECOND, 0) is None
    assert late.wake(late.end + SECOND) is None
    assert list(late.drop(late.end)) == list(range(10))


def test_a_stop_drops_what_was_due_and_does_not_plan_the_rest() -> None:
    what = arrivals(10)
    take_all(what, SECOND)
    what.end = SECOND + SECOND // 2
    assert list(what.drop(what.end)) == [1, 2, 3, 4, 5]
    assert what.take(what.end + 1, 0) is None


def test_a_stage_without_arrivals_hands_out_none() -> None:
    what = arrivals(0)
    assert what.wake(0) is None
    assert what.take(what.end, 0) is None
    assert list(what.drop(what.end)) == []


@given(
    ramps,
    workers,
    st.sampled_from(["uniform", "poisson"]),
    st.booleans(),
    st.lists(st.integers(0, SECOND), max_size=20),
)
def test_segments_together_take_or_drop_every_arrival_once(
    rate: Ramp, of: int, spacing: str, catch_up: bool, instants: list[int]
) -> None:
    load = Arrivals(rate, 10, spacing, catch_up)
    whole = sorted(take_all(make(Arrivals(rate, 10, spacing)), 2 * SECOND))
    numbers = []
    for index in range(of):
        what = make(load, segment=Segment(index, of))
        for now in sorted(instants):
            numbers += overdue(what, SECOND + now)
            taken = take_all(what, SECOND + now)
            assert set(taken) <= set(whole)
            numbers += [number for number, _ in taken]
        what.close()
        numbers += list(what.drop(what.end))
    assert sorted(numbers) == [number for number, _ in whole]


def test_poisson_arrivals_depend_on_the_seed_and_the_site() -> None:
    load = Arrivals(Ramp(100, 100), 10, "poisson")
    ones = [take_all(make(load, seed=seed), 2 * SECOND) for seed in (1, 1, 2)]
    other = take_all(executor(load, 1, WHOLE, SECOND, 1, "ramp endpoints"), 2 * SECOND)
    assert ones[0] == ones[1]
    assert ones[0] not in (ones[2], other)
    gaps = {later - earlier for (_, earlier), (_, later) in pairwise(ones[0])}
    assert len(gaps) > 50


def ceiling(start: float = 10, end: float = 10, spacing: str = "uniform") -> Executor:
    return make(Arrivals(Ramp(start, end), 10, spacing, catch_up=False))


def test_below_a_ceiling_only_what_is_late_by_more_than_an_interval_is_dropped() -> None:
    what = ceiling()
    # At 0.35 s: 0.0, 0.1 and 0.2 are overdue by more than 0.1 s, 0.3 is not.
    now = SECOND + 35 * SECOND // 100
    assert what.take(now, 0) is None
    assert what.wake(now) == SECOND
    assert overdue(what, now) == [0, 1, 2]
    assert overdue(what, now) == []
    assert what.take(now, 0) == (3, SECOND + 3 * SECOND // 10)
    assert what.take(now, 0) is None
    assert overdue(what, now) == []
    assert list(what.drop(what.end)) == [4, 5, 6, 7, 8, 9]


def test_just_one_interval_late_is_not_too_late() -> None:
    what = ceiling()
    assert what.take(SECOND + SECOND // 10, 0) == (0, SECOND)


def test_the_interval_of_a_ceiling_is_that_of_the_ramp() -> None:
    what = ceiling(0, 100)
    # Arrival 0 comes at a rate of zero, where the interval has no end.
    assert overdue(what, SECOND + SECOND // 2) == []
    assert what.take(SECOND + SECOND // 2, 0) == (0, SECOND)
    # 12.5 arrivals are due by half a second, at 50/s: those of the last 20 to 21 ms remain.
    assert overdue(what, SECOND + SECOND // 2) == list(range(1, 12))
    assert [number for number, _ in take_all(what, SECOND + SECOND // 2)] == [12]


def test_a_ceiling_drops_nothing_that_was_not_due_when_the_stage_was_stopped() -> None:
    what = ceiling()
    what.end = SECOND + SECOND // 4
    assert overdue(what, 2 * SECOND) == [0, 1, 2]
    assert what.take(2 * SECOND, 0) is None


@given(ramps, st.sampled_from(["uniform", "poisson"]), st.lists(st.integers(0, SECOND)))
def test_below_a_ceiling_nothing_starts_late_and_evenly_spaced_arrivals_never_bunch(
    rate: Ramp, spacing: str, instants: list[int]
) -> None:
    what = ceiling(rate.start, rate.end, spacing)
    pacing = Pacing(rate, 1)
    for now in sorted(instants):
        overdue(what, SECOND + now)
        taken = take_all(what, SECOND + now)
        for _, due in taken:
            interval = pacing.interval((due - SECOND) / SECOND)
            assert SECOND + now - due <= interval * SECOND
        assert spacing == "poisson" or len(taken) <= 2


def test_only_below_a_ceiling_is_anything_overdue() -> None:
    for load in (Arrivals(Ramp(10, 10), 10), Users(Ramp(5, 5)), SharedIterations(5, 5)):
        assert overdue(make(load), 2 * SECOND) == []


def test_users_start_when_they_are_free_and_only_as_many_as_the_target() -> None:
    what = make(Users(Ramp(3, 3)))
    assert what.take(0, 0) is None
    assert what.take(SECOND, 0) == (0, SECOND)
    assert what.take(SECOND, 2) == (1, SECOND)
    assert what.take(SECOND, 3) is None
    assert what.take(what.end, 0) is None


def test_the_target_of_a_ramp_is_followed_by_waking_at_its_changes() -> None:
    what = make(Users(Ramp(1, 4)), 3, start=0)
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
    what = make(Users(Ramp(1, 40)), start=0)
    assert what.wake(0) is not None
    assert what.wake(what.end) is None
    what.close()
    assert what.wake(0) is None


@given(workers, st.integers(1, 20))
def test_the_iterations_of_users_have_numbers_of_their_own(of: int, count: int) -> None:
    numbers = []
    for index in range(of):
        what = make(Users(Ramp(100, 100)), segment=Segment(index, of))
        numbers += [taken[0] for _ in range(count) if (taken := what.take(SECOND, 0))]
    assert sorted(numbers) == list(range(of * count))


@given(iterations, workers, st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_all_workers_together_do_all_iterations_and_end_with_the_last(
    load: SharedIterations | IterationsPerVu, of: int, lengths: list[int]
) -> None:
    total = load.iterations * (load.vus if isinstance(load, IterationsPerVu) else 1)
    numbers = []
    for index in range(of):
        segment = Segment(index, of)
        what = make(load, segment=segment)
        users = drive(what, lengths, segment.share(load.vus))
        assert len(users) <= segment.share(load.vus)
        assert what.closed
        assert what.take(SECOND + 10, 0) is None
        assert what.wake(SECOND + 10) is None
        assert list(what.drop(what.end)) == []
        numbers += [number for done in users for number in done]
    assert sorted(numbers) == list(range(total))


@given(
    st.integers(1, 9),
    st.integers(1, 9),
    workers,
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
)
def test_each_virtual_user_does_as_many_iterations_as_every_other(
    count: int, vus: int, of: int, lengths: list[int]
) -> None:
    users = []
    for index in range(of):
        segment = Segment(index, of)
        what = make(IterationsPerVu(count, vus), segment=segment)
        users += drive(what, lengths, segment.share(vus))
    assert [len(done) for done in users] == [count] * vus
    assert all(len({number % vus for number in done}) == 1 for done in users)


@given(iterations, workers, st.integers(0, 30))
def test_iterations_that_never_started_are_dropped_once(
    load: SharedIterations | IterationsPerVu, of: int, started: int
) -> None:
    numbers: Counter[int] = Counter()
    for index in range(of):
        what = make(load, segment=Segment(index, of))
        for _ in range(started):
            if (taken := what.take(SECOND, 0)) is not None:
                numbers[taken[0]] += 1
                what.finished(taken[0])
        assert what.take(what.end, 0) is None
        what.close()
        numbers.update(what.drop(what.end))
        assert list(what.drop(what.end)) == []
    total = load.iterations * (load.vus if isinstance(load, IterationsPerVu) else 1)
    assert numbers == Counter(range(total))


def test_workers_share_iterations_in_proportion_to_their_virtual_users() -> None:
    parts = [make(SharedIterations(90, 3), segment=Segment(index, 4)) for index in range(4)]
    assert [len(take_all(what, SECOND)) for what in parts] == [30, 30, 30, 0]
    parts = [make(SharedIterations(90, 3), segment=Segment(index, 2)) for index in range(2)]
    assert [len(take_all(what, SECOND)) for what in parts] == [60, 30]


def test_a_worker_without_virtual_users_has_nothing_to_wait_for() -> None:
    for load in (SharedIterations(5, 1), IterationsPerVu(5, 1)):
        idle = make(load, segment=Segment(1, 2))
        assert idle.closed
        assert idle.wake(0) is None


def test_no_more_virtual_users_share_iterations_than_the_load_says() -> None:
    what = make(SharedIterations(90, 3))
    assert what.take(SECOND - 1, 0) is None
    assert what.wake(0) == SECOND
    assert what.take(SECOND, 2) == (0, SECOND)
    assert what.take(SECOND, 3) is None
    assert what.wake(SECOND) is None


def test_a_virtual_user_does_not_take_what_another_has_to_do() -> None:
    what = make(IterationsPerVu(2, 2))
    assert what.wake(0) == SECOND
    assert [number for number, _ in take_all(what, SECOND)] == [0, 1]
    assert what.wake(SECOND) is None
    assert what.finished(1)
    assert what.take(SECOND + 5, 1) == (3, SECOND + 5)
    assert not what.finished(3)
    # Virtual user 0 is still in its first iteration; 1 has done both of its own.
    assert what.take(SECOND + 9, 1) is None
    assert not what.closed
    assert what.finished(0)
    assert what.take(SECOND + 9, 0) == (2, SECOND + 9)
    assert what.closed


def test_a_stage_that_never_began_drops_none_of_its_iterations() -> None:
    for load in (SharedIterations(5, 1), IterationsPerVu(5, 1), Arrivals(Ramp(9, 9), 1)):
        assert list(make(load).drop(SECOND - 1)) == []


@pytest.mark.parametrize(
    ("load", "kind"),
    [
        (Arrivals(Ramp(5, 5), 10), ArrivalExecutor),
        (Arrivals(Ramp(5, 5), 10, catch_up=False), CeilingExecutor),
        (Users(Ramp(5, 5)), UserExecutor),
        (SharedIterations(5, 5), SharedExecutor),
        (IterationsPerVu(5, 5), PerVuExecutor),
    ],
)
def test_the_model_chooses_the_executor(load: Load, kind: type) -> None:
    what = make(load)
    assert type(what) is kind
    assert what.keeps_time == isinstance(load, Arrivals)
    assert what.counts_per_vu == isinstance(load, IterationsPerVu)
