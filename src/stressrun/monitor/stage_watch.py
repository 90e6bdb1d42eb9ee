"""What the samples of one stage come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from stressrun.metrics.histogram import Histogram
from stressrun.metrics.slowest import Slowest
from stressrun.monitor.intervals import Intervals
from stressrun.monitor.lock_waits import LockTally
from stressrun.monitor.overlaps import Overlaps
from stressrun.postgres.findings import (
    Connections,
    Extent,
    Findings,
    Gap,
    StatementCalls,
    States,
    WaitShare,
)
from stressrun.postgres.observation import Sample
from stressrun.postgres.statistics import Statistics

ON_CPU = "CPU"
_HIDDEN = "sessions of other roles cannot be seen into: grant pg_monitor to the run's role"
_LATE = "no sample: the machine or the server was too busy"
_MOST_GAPS = 20
_MOST_WAITS = 20
_STATES = {
    "active": "active",
    "fastpath function call": "active",
    "idle": "idle",
    "idle in transaction": "idle_in_transaction",
    "idle in transaction (aborted)": "idle_in_transaction",
}


class StageWatch:
    """Gathers what is seen from a stage's start on, in bounded memory.

    Instants are nanoseconds; without a sample for longer than `late` there is a gap.
    """

    def __init__(self, start: int, *, late: int) -> None:
        self._start = start
        self._late = late
        self._looked_at = start
        self._samples = 0
        self._clients = _Extent()
        self._limit = 0
        self._states = {state: _Extent() for state in _STATES.values()}
        self._longest_transaction: float | None = None
        self._waits: Counter[tuple[str, str | None]] = Counter()
        self._locks = LockTally(start)
        self._overlaps = Overlaps()
        self._gaps: list[Gap] = []
        self._blind = Intervals()

    def see(self, sample: Sample, limit: int) -> None:
        """Add a sample of a server that gives ordinary roles so many connections."""
        now = sample.instant
        if now < self._start:
            return
        if now - self._looked_at > self._late:
            self.miss(now, _LATE)
        elif self._gaps and self._gaps[-1].end == self._seconds(self._looked_at):
            pass
        self._samples += 1
        self._clients.add(sample.clients + sample.hidden)
        self._limit = limit
