"""Lock waits put together from samples: who kept whom waiting, for what, and how long."""

from __future__ import annotations

from dataclasses import dataclass

from stressrun.monitor.intervals import Intervals
from stressrun.postgres.findings import LockPair, LockWaits, Party
from stressrun.postgres.observation import Backend, Sample, Waiter
from stressrun.postgres.shape import shape_of

MOST_PAIRS = 10
_MOST_PAIRS_KEPT = 500
_MOST_PLACES = 50
_ELSEWHERE = "other locks"
_OF_TABLES = ("row", "table")
_LONG = 1_000_000_000


@dataclass(slots=True)
class _Wait:
    """A wait that is going on, `seen` last at an instant; instants are nanoseconds."""

    since: float
    begin: int
    seen: int
    place: str
    blocker: int
    holding: Backend | None
    waiter: int
    waiting: Backend | None

    @property
    def seconds(self) -> float:
        return (self.seen - self.begin) / 1e9


@dataclass(slots=True)
class _Pair:
    """All waits of one statement for another, whose session is of one application."""

    longest: _Wait
    count: int = 0
    total: float = 0.0

    def add(self, wait: _Wait) -> None:
        self.count += 1
        self.total += wait.seconds
        if wait.seconds >= self.longest.seconds:
            self.longest = wait


class LockTally:
    """The lock waits of a stage, in bounded memory.

    A wait begins where the server says so; where the version does not, when it is first seen. It
    ends when it is last seen, which is up to one sample before its real end. `by_place` are the
    times in which anybody waited for a table's locks.
    """

    def __init__(self, start: int) -> None:
        self._before = start
        self._open: dict[int, _Wait] = {}
        self._pairs: dict[tuple[str, str, str, str], _Pair] = {}
        self._count = 0
        self._total = 0.0
        self._estimated = 0.0
        self._longest = 0.0
        self.by_place: dict[str, Intervals] = {}

    def see(self, sample: Sample) -> None:
        """Add what a sample shows; samples come in order."""
        holders = sample.holders()
        seen = {
            waiter.pid: self._seen(waiter, holders[waiter.pid], sample) for waiter in sample.waiters
        }
        for pid, wait in self._open.items():
            if seen.get(pid) is not wait:
                self._end(wait)
        self._open = seen
        # After a longer while without a sample nobody knows.
        self._estimated += len(seen) * min(sample.instant - self._before, _LONG) / 1e9
        self._before = sample.instant
        begins: dict[str, int] = {}
        for wait in seen.values():
            begins[wait.place] = min(wait.begin, begins.get(wait.place, wait.begin))
        for place, begin in begins.items():
            self._intervals(place).add(begin, sample.instant)

    def finish(self) -> LockWaits:
        """End what is still going on, and tell of all."""
        for wait in self._open.values():
            self._end(wait)
        self._open = {}
        pairs = sorted(self._pairs.values(), key=lambda pair: -pair.total)[:MOST_PAIRS]
        return LockWaits(
            count=self._count,
            total=self._total,
            estimated=self._estimated,
            longest=self._longest,
            pairs=tuple(_told(pair) for pair in pairs),
            others=self._count - sum(pair.count for pair in pairs),
        )

    def _seen(self, waiter: Waiter, blocker: int, sample: Sample) -> _Wait:
        """The wait that a waiter is in: the one that it was in before, or a new one."""
        now, backends = sample.instant, sample.backends
        place = _place(waiter)
        wait = self._open.get(waiter.pid)
        if (
            wait is not None
            and wait.since == waiter.since
            and wait.blocker == blocker
            and wait.place == place
        ):
            wait.seen = now
            return wait
        begin = now
        if waiter.waited is not None:
            # Until the sample before it did not wait, or for somebody else.
            begin = max(now - round(waiter.waited * 1e9), self._before)
        return _Wait(
            since=waiter.since,
            begin=begin,
            seen=now,
            place=place,
            blocker=blocker,
            holding=backends.get(blocker),
            waiter=waiter.pid,
            waiting=backends.get(waiter.pid),
        )

    def _end(self, wait: _Wait) -> None:
        self._count += 1
        self._total += wait.seconds
        self._longest = max(self._longest, wait.seconds)
        holder = "" if wait.holding is None else wait.holding.application
        key = (wait.place, holder, _shape(wait.holding), _shape(wait.waiting))
        pair = self._pairs.get(key)
        if pair is None and len(self._pairs) < _MOST_PAIRS_KEPT:
            pair = self._pairs[key] = _Pair(wait)
        if pair is not None:
            pair.add(wait)

    def _intervals(self, place: str) -> Intervals:
        if place not in self.by_place and len(self.by_place) >= _MOST_PLACES:
            place = _ELSEWHERE
        return self.by_place.setdefault(place, Intervals())


def _place(waiter: Waiter) -> str:
    """The table that is waited for, with the kind of lock where it is not of rows or all of it."""
    if waiter.relation is None:
        return f"{waiter.lock} lock"
    if waiter.lock in _OF_TABLES:
        return waiter.relation
    return f"{waiter.relation} ({waiter.lock} lock)"


def _shape(backend: Backend | None) -> str:
    return "" if backend is None else shape_of(backend.statement)


def _told(pair: _Pair) -> LockPair:
    longest = pair.longest
    return LockPair(
        place=longest.place,
        count=pair.count,
        total=pair.total,
        longest=longest.seconds,
        blocker=_party(longest.blocker, longest.holding),
        waiter=_party(longest.waiter, longest.waiting),
    )


def _party(pid: int, backend: Backend | None) -> Party:
    if backend is None:
        # A prepared transaction has no process.
        return Party(pid, "", "prepared transaction" if pid == 0 else "gone", "")
    return Party(pid, backend.application, backend.state, _shape(backend))
