"""Slow requests held against lock waits."""

from __future__ import annotations

from stressrun.metrics.histogram import Histogram
from stressrun.metrics.slowest import Slowest
from stressrun.monitor.intervals import Intervals
from stressrun.monitor.overlaps import Overlaps
from stressrun.postgres.findings import SlowRequests

MS = 1_000_000
Request = tuple[int, int]
"""The time of a request and its end, in milliseconds."""


def intervals(*spans: tuple[int, int]) -> Intervals:
    made = Intervals()
    for begin, end in spans:
        made.add(begin * MS, end * MS)
    return made


def told(*requests: Request, limit: int = 0) -> Slowest:
    wire = [number * MS for request in requests for number in request]
    return Slowest.from_wire([limit * MS, *wire])


def found(
    *requests: Request,
    fast: int = 5000,
    limit: int = 0,
    gaps: Intervals | None = None,
    **waits: Intervals,
) -> SlowRequests | None:
    """What is found in a second with these requests and so many of 1 ms."""
    times = Histogram()
    for milliseconds in [1] * fast + [response for response, _ in requests]:
        times.record(milliseconds * MS)
    overlaps = Overlaps()
    overlaps.hear(told(*requests, limit=limit))
    overlaps.settle(1000 * MS, waits, gaps or Intervals())
    return overlaps.finish(times, 0, 1000 * MS, waits)


def test_requests_over_the_p99_are_counted_by_the_place_that_they_overlapped() -> None:
    # Those that end until 330 began before the wait ended.
    slow = found(*((50, 250 + 10 * number) for number in range(10)), products=intervals((200, 290)))
    assert slow is not None
    assert slow.is_p99
    assert (slow.count, slow.overlapping, slow.unknown) == (10, 9, 0)
    (overlap,) = slow.overlaps
    assert (overlap.place, overlap.count, overlap.share) == ("products", 9, 0.9)


def test_what_would_overlap_by_chance_is_told_beside_it() -> None:
    slow = found(*[(50, 250)] * 10, products=intervals((200, 290)))
    assert slow is not None
    # Whatever ends from 200 to 290 + (nearly) 1 ms, which is the p99.
    assert abs(slow.overlaps[0].by_chance - 0.091) < 0.001


def test_a_request_can_overlap_waits_of_several_places() -> None:
    slow = found(*[(50, 250)] * 12, a=intervals((240, 241)), b=intervals((0, 201)), c=intervals())
    assert slow is not None
    assert slow.overlapping == 12
    assert {overlap.place: overlap.count for overlap in slow.overlaps} == {"a": 12, "b": 12}


def test_of_few_requests_no_share_is_stated() -> None:
    slow = found(*[(50, 250)] * 9, products=intervals((200, 290)))
    assert slow is not None
    assert [(overlap.count, overlap.share) for overlap in slow.overlaps] == [(9, None)]


def test_without_a_p99_nothing_is_said() -> None:
    assert found((50, 250), fast=98, products=intervals((0, 900))) is None


def test_requests_during_a_gap_are_not_judged() -> None:
    slow = found(
        *[(50, 250)] * 10, *[(50, 600)] * 4, gaps=intervals((220, 230)), t=intervals((0, 900))
    )
    assert slow is not None
    assert (slow.count, slow.unknown, slow.overlapping) == (4, 10, 4)


def test_where_faster_ones_were_not_kept_the_bound_is_above_the_p99() -> None:
    slow = found(*[(50, 250)] * 12, *[(80, 250)] * 12, limit=60, t=intervals((0, 900)))
    assert slow is not None
    assert not slow.is_p99
    assert slow.over == 0.06
    assert slow.count == 12


def test_a_request_is_counted_when_the_waits_of_its_time_are_known() -> None:
    times = Histogram()
    for response in [1] * 990 + [50] * 10:
        times.record(response * MS)
    overlaps, waits = Overlaps(), intervals()
    overlaps.hear(told(*[(50, 250)] * 10))
    overlaps.settle(249 * MS, {"t": waits}, Intervals())
    waits.add(240 * MS, 260 * MS)
    overlaps.settle(260 * MS, {"t": waits}, Intervals())
    slow = overlaps.finish(times, 0, 1000 * MS, {"t": waits})
    assert slow is not None
    assert slow.overlapping == 10


def test_the_news_of_a_worker_that_keeps_none_change_nothing() -> None:
    overlaps = Overlaps()
    overlaps.hear(Slowest())
    times = Histogram()
    for _ in range(100):
        times.record(MS)
    slow = overlaps.finish(times, 0, 1000 * MS, {})
    assert slow is not None
    assert slow.is_p99
