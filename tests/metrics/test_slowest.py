"""Of the slowest requests all above the limit are kept, in bounded memory."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.metrics.slowest import Slowest


def offer(slowest: Slowest, times: list[int]) -> None:
    for time in times:
        if time > slowest.limit:
            slowest.keep(time)


def drained(slowest: Slowest, answered: int) -> Slowest:
    return Slowest.from_wire(json.loads(json.dumps(slowest.drain(answered))))


def test_it_keeps_nothing_until_it_is_restarted() -> None:
    slowest = Slowest()
    offer(slowest, [1, 10**12])
    assert not slowest.active
    assert slowest.drain(2) == []
    assert not drained(slowest, 2).active


@given(st.lists(st.lists(st.integers(1, 10**6), max_size=3000), max_size=8))
def test_every_one_above_the_limit_that_is_told_was_kept(intervals: list[list[int]]) -> None:
    slowest = Slowest()
    slowest.restart()
    for times in intervals:
        offer(slowest, times)
        told = drained(slowest, len(times))
        assert told.active
        assert len(told.kept) < 1024
        assert sorted(time for time, _ in told.kept) == sorted(
            time for time in times if time > told.limit
        )


def test_of_even_traffic_it_keeps_a_fortieth() -> None:
    slowest = Slowest()
    slowest.restart()
    for _ in range(50):
        offer(slowest, list(range(1, 4001)))
        told = drained(slowest, 4000)
    assert len(told.kept) == 100


def test_a_slow_beginning_does_not_hide_what_follows() -> None:
    slowest = Slowest()
    slowest.restart()
    offer(slowest, [10**9] * 200)
    slowest.drain(200)
    for _ in range(10):
        offer(slowest, list(range(1, 401)))
        told = drained(slowest, 400)
        assert told.limit < 396


def test_the_limit_rises_with_the_times_and_falls_with_them() -> None:
    slowest = Slowest()
    slowest.restart()

    def run(factor: int) -> int:
        for _ in range(60):
            offer(slowest, [number * factor for number in range(1, 401)])
            told = drained(slowest, 400)
        return told.limit

    assert 350 < run(1) < 396
    assert 350_000 < run(1000) < 396_000
    assert 250 < run(1) < 396


@pytest.mark.parametrize("answered", [1, 5, 30])
def test_the_limit_falls_where_few_requests_come(answered: int) -> None:
    slowest = Slowest()
    slowest.restart()
    for times in [[1000] * answered] * 50 + [[10] * answered] * 80:
        offer(slowest, times)
        told = drained(slowest, answered)
    assert told.limit <= 10


def test_the_ends_are_instants_of_the_monotonic_clock() -> None:
    slowest = Slowest()
    slowest.restart()
    offer(slowest, [5, 6])
    first, second = slowest.kept
    assert (first[0], second[0]) == (5, 6)
    assert 0 < first[1] <= second[1]
