"""What the samples of one stage come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from stressrun.metrics.histogram import Histogram
from stressrun.metrics.slowest import Slowest
from stressrun.monitor.gaps import Gaps
from stressrun.monitor.intervals import Intervals
from stressrun.monitor.lock_waits import LockTally
from stressrun.monitor.overlaps import Overlaps
from stressrun.postgres.findings import (
    Connections,
    Extent,
    Findings,
    StatementCalls,
    States,
    WaitShare,
)
from stressrun.postgres.observation import Sample
from stressrun.postgres.statistics import Statistics

ON_CPU = "CPU"
"""The wait class of an active session that does not wait."""

_HIDDEN = "sessions of other roles cannot be seen into: grant pg_monitor to the run's role"
_LATE = "no sample: the machine or the server was too busy"
_MOST_WAITS = 20
_STATES = {
    "active": "active",
    "fastpath function call": "active",
    "idle": "idle",
    "idle in transaction": "idle_in_transaction",
    "idle in transaction (aborted)": "idle_in_transaction",
}


class _Numbers:
    """A number that was sampled."""

    def __init__(self) -> None:
        self._most = 0
        self._total = 0
        self._count = 0

    def add(self, number: int) -> None:
        self._most = max(self._most, number)
        self._total += number
        self._count += 1

    @property
    def extent(self) -> Extent:
        return Extent(self._most, self._total / max(1, self._count))


class StageWatch:
    """Gathers what is seen from a stage's start on, in bounded memory.

    Instants are nanoseconds; when there was no sample for longer than `patience`, it is a gap.
    """

    def __init__(self, start: int, *, patience: int) -> None:
        self._start = start
        self._patience = patience
        self._looked_at = start
        self._missing = ""
        self._samples = 0
        self._clients = _Numbers()
        self._states = {state: _Numbers() for state in _STATES.values()}
        self._longest_transaction: float | None = None
        self._waits: Counter[tuple[str, str | None]] = Counter()
        self._locks = LockTally(start)
        self._overlaps = Overlaps()
        self._gaps = Gaps()
        self._blind = Intervals()

    def see(self, sample: Sample) -> None:
        """Add a sample; one from before the start is none of the stage's."""
        now = sample.instant
        if now < self._start:
            return
        late = now - self._looked_at > self._patience
        if why := self._missing or (_LATE if late else ""):
            self._not_seen(now, why)
            self._missing = ""
        if sample.hidden:
            self._gaps.add(self._looked_at, now, _HIDDEN)
        self._looked_at = now
        self._samples += 1
        self._clients.add(sample.clients + sample.hidden)
        self._count_sessions(sample)
        self._locks.see(sample)
        self._overlaps.settle(now, self._locks.by_place, self._blind)

    def miss(self, now: int, why: str) -> None:
        """Note that nothing is seen, from the last sample to the next."""
        if now < self._start:
            return
        self._missing = why
        self._not_seen(now, why)
        self._overlaps.settle(now, self._locks.by_place, self._blind)

    def hear(self, slowest: Slowest) -> None:
        """Take a worker's slowest requests since it last told."""
        self._overlaps.hear(slowest)

    def finish(
        self,
        end: int,
        *,
        limit: int,
        requests: Histogram,
        statistics: Statistics | None,
        statements: Iterable[StatementCalls] | None,
        lacking: Iterable[str],
    ) -> Findings:
        """All that was found until the stage's end.

        `limit` is how many connections there can be; for the reasons in `lacking`, something was
        not to be seen in the whole stage.
        """
        for why in lacking:
            self._gaps.add(self._start, end, why)
        self._overlaps.settle(end, self._locks.by_place, self._blind)
        return Findings(
            samples=self._samples,
            gaps=self._gaps.since(self._start),
            connections=self._connections(limit),
            states=self._sessions(),
            longest_transaction=self._longest_transaction,
            waits=self._wait_shares(),
            lock_waits=self._locks.finish(),
            slow_requests=self._overlaps.finish(requests, self._start, end, self._locks.by_place),
            statistics=statistics,
            statements=None if statements is None else tuple(statements),
        )

    def _not_seen(self, until: int, why: str) -> None:
        self._gaps.add(self._looked_at, until, why)
        self._blind.add(self._looked_at, until)
        self._looked_at = until

    def _count_sessions(self, sample: Sample) -> None:
        counts: Counter[str] = Counter()
        for sessions in sample.sessions:
            state = _STATES.get(sessions.state or "")
            if state is not None:
                counts[state] += sessions.number
            if state == "active":
                wait = (sessions.wait_class or ON_CPU, sessions.wait_event)
                self._waits[wait] += sessions.number
        for state, numbers in self._states.items():
            numbers.add(counts[state])
        if sample.longest_transaction is not None:
            self._longest_transaction = max(
                self._longest_transaction or 0.0, sample.longest_transaction
            )

    def _connections(self, limit: int) -> Connections | None:
        if not self._samples:
            return None
        clients = self._clients.extent
        # The monitor's own connection is none of the run's load, but it is not free either.
        free = max(0, limit - clients.max - 1)
        return Connections(clients.max, clients.mean, least_free=free, limit=limit)

    def _sessions(self) -> States | None:
        if not self._samples:
            return None
        return States(**{state: numbers.extent for state, numbers in self._states.items()})

    def _wait_shares(self) -> tuple[WaitShare, ...]:
        total = self._waits.total()
        return tuple(
            WaitShare(wait_class, event, count / total)
            for (wait_class, event), count in self._waits.most_common(_MOST_WAITS)
        )
