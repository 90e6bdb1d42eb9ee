"""The monitor of a run's database: a task that looks at the server, stage after stage.

Whatever fails here leaves a gap in what a stage's report tells, and disturbs nothing else.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from stressrun.http.poller import Timer
from stressrun.metrics.histogram import Histogram
from stressrun.metrics.slowest import Slowest
from stressrun.monitor.stage_watch import StageWatch
from stressrun.postgres.findings import Findings, StatementCalls
from stressrun.postgres.observing import Look, NotSeen, Observer
from stressrun.postgres.shape import shape_of
from stressrun.postgres.statistics import MARK, MOST_NAMED, Reading, between, busiest
from stressrun.postgres.waiting import Lock
from stressrun.safety.guard import Guard
from stressrun.scenario.model import Database

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
# How long a stage's boundary may wait for the server's statistics.
_BOUNDARY = 3.0
# The same for a server that is not there just now.
_BOUNDARY_WITHOUT = 0.5
# The looks of so many nanoseconds are made into samples together.
_TOGETHER = 1_000_000_000
# Samples may be this late (nanoseconds) without being missed.
_LATE = 1_000_000_000
# Of the busiest statements some are the monitor's own.
_OWN_STATEMENTS = 10


@asynccontextmanager
async def watching(
    database: Database | None, guard: Guard, *, run_id: str, mask: Callable[[str], str]
) -> AsyncIterator[PostgresMonitor | None]:
    """A monitor at work while the block runs; None where the scenario wants none.

    `mask` takes the secrets out of what it tells.
    """
    if database is None or database.sample_interval is None:
        yield None
        return
    monitor = PostgresMonitor(
        Observer(database, guard, run_id=run_id), database.sample_interval, mask
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(monitor.run)
        yield monitor
        nursery.cancel_scope.cancel()


class PostgresMonitor:
    """Takes a sample each `interval` (seconds), and readings of the statistics between stages."""

    def __init__(self, observer: Observer, interval: float, mask: Callable[[str], str]) -> None:
        self._observer = observer
        self._interval = round(interval * 1e9)
        self._mask = mask
        self._using = Lock()
        self._pause = _FIRST_PAUSE
        self._retry_at = 0.0
        self._refused = ""
        self._watch: StageWatch | None = None
        self._looks: list[Look] = []
        self._before: Reading | None = None

    async def run(self) -> None:
        """Look until cancelled."""
        timer = Timer()  # costs a good deal less for each look than a sleep of trio's
        due = time.monotonic_ns()
        try:
            while True:
                await self._look()
                due = max(due + self._interval, time.monotonic_ns())
                await timer.wait_until(due)
        finally:
            timer.close()
            self._observer.close()

    async def prepare(self) -> None:
        """Before a stage: read the statistics from which it will be counted.

        Mostly those of the stage before its own: what sessions tell late is in neither otherwise.
        """
        if self._before is None:
            with trio.move_on_after(_BOUNDARY):
                self._before, _ = await self._read()

    def start(self, instant: int) -> None:
        """A stage begins at an instant in nanoseconds of the monotonic clock."""
        self._watch = StageWatch(instant, patience=_LATE + self._interval)

    def hear(self, slowest: Slowest) -> None:
        """Take a worker's slowest requests since it last told."""
        if self._watch is not None:
            self._watch.hear(slowest)

    async def finish(self, requests: Histogram) -> Findings:
        """After the stage has drained: what was found. `requests` are the times of all of them."""
        watch = self._watch
        assert watch is not None
        patience = _BOUNDARY if self._observer.connected else _BOUNDARY_WITHOUT
        before, after, why = self._before, None, f"no answer within {patience:g} s"
        with trio.move_on_after(patience) as boundary:
            await self._look()
            after, why = await self._read()
        self._see()
        end = time.monotonic_ns()
        if boundary.cancelled_caught:
            watch.miss(end, why)
        self._watch, self._before = None, after
        lacking = [self._observer.unseen] if self._observer.unseen else []
        statistics = statements = None
        if before is None or after is None:
            lacking.append(f"statistics: {why or 'they could not be read before the stage'}")
        else:
            statistics = between(before, after)
            if statistics is None:
                lacking.append("statistics: the server set them back to zero")
            else:
                statements = await self._statements(before, after, requests.count)
        findings = watch.finish(
            end,
            limit=self._observer.limit,
            requests=requests,
            statistics=statistics,
            statements=statements,
            lacking=lacking,
        )
        return findings.masked(self._mask)

    # Looking.

    async def _look(self) -> None:
        async with self._using:
            try:
                await self._connect()
                self._looks.append(await self._observer.look())
            except NotSeen as error:
                self._see()
                if self._watch is not None:
                    self._watch.miss(time.monotonic_ns(), str(error))
        if len(self._looks) * self._interval >= _TOGETHER:
            self._see()

    def _see(self) -> None:
        """Have the watch see the looks since the last time."""
        looks, self._looks = self._looks, []
        if self._watch is not None:
            for look in looks:
                self._watch.see(look.sample())

    async def _connect(self) -> None:
        """Connect where that is needed, and not tried too often. Raises NotSeen."""
        if self._observer.connected:
            return
        now = trio.current_time()
        if now < self._retry_at:
            raise NotSeen(self._refused)
        try:
            await self._observer.connect()
        except NotSeen as error:
            self._refused = str(error)
            self._retry_at = now + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            raise
        self._pause = _FIRST_PAUSE

    async def _read(self) -> tuple[Reading | None, str]:
        """The statistics now, or why they could not be read."""
        async with self._using:
            try:
                await self._connect()
                return await self._observer.read(), ""
            except NotSeen as error:
                return None, str(error)

    async def _statements(
        self, before: Reading, after: Reading, requests: int
    ) -> list[StatementCalls] | None:
        """The statements that took the most time, the monitor's own left out."""
        ranked = busiest(before, after)
        if ranked is None:
            return None
        ranked = ranked[: MOST_NAMED + _OWN_STATEMENTS]
        try:
            async with self._using:
                texts = await self._observer.texts([key for key, *_ in ranked])
        except NotSeen:
            return None
        return [
            StatementCalls(
                statement=shape_of(texts[key]),
                calls=calls,
                seconds=seconds,
                rows=rows,
                per_request=calls / requests if requests else None,
            )
            for key, calls, seconds, rows in ranked
            if key in texts and MARK not in texts[key]
        ][:MOST_NAMED]
