"""The monitor of processes and of their host: looks at them from a thread, stage after stage.

Whatever fails here leaves a gap in what a stage's report tells, and disturbs nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import trio

from stressrun.metrics.excerpt import MOST_OF_DETAIL, on_one_line
from stressrun.metrics.gap import Gap
from stressrun.metrics.usage import MachineUse
from stressrun.monitor import host
from stressrun.monitor.finding import Started, finder
from stressrun.monitor.gaps import Gaps
from stressrun.monitor.proc import processes
from stressrun.monitor.process_watch import ProcessWatch
from stressrun.scenario.model import Monitoring
from stressrun.scenario.monitoring import GENERATOR

T = TypeVar("T")

# How long a stage's boundary may wait for a look.
_BOUNDARY = 3.0
# Of an interval, so much may be spent on adding up the memory of the processes of one name.
_DEAREST = 0.005
_HANGS = f"the system did not tell of its processes within {_BOUNDARY:g} s"
_LATE = "no sample: the machine was too busy"


class MachineMonitor:
    """Looks at the processes of services, mocks, the generator and others, and at the host.

    `services` and `mocks` are the numbers of their first processes by name, `workers` those of the
    generator; `helpers` are those of stressrun's other processes.
    """

    def __init__(
        self,
        monitoring: Monitoring,
        services: Mapping[str, int],
        mocks: Mapping[str, int],
        workers: Sequence[int],
        helpers: Sequence[int],
        mask: Callable[[str], str],
    ) -> None:
        own = [*workers, *helpers, *mocks.values()]
        self._interval = monitoring.interval
        self._mask = mask
        self._eyes = _Eyes(
            [
                ProcessWatch(name, kind, find, _DEAREST * monitoring.interval)
                for name, kind, find in (
                    *((name, "service", Started([pid])) for name, pid in services.items()),
                    *((name, "mock", Started([pid])) for name, pid in mocks.items()),
                    *([(GENERATOR, "generator", Started(workers))] if workers else []),
                    *((each.name, "named", finder(each, own)) for each in monitoring.processes),
                )
            ],
            monitoring.interval,
        )
        # One that hangs keeps its turn until its thread has ended, even when nobody waits any more.
        self._turns = trio.CapacityLimiter(1)
        self._is_prepared = False
        self._began = 0.0

    async def run(self) -> None:
        """Look until cancelled."""
        due = trio.current_time()
        while True:
            due = max(due + self._interval, trio.current_time())
            await trio.sleep_until(due)
            await self._do(self._eyes.look)

    async def prepare(self) -> None:
        """Before a stage: it begins now."""
        self._began = trio.current_time()
        with trio.move_on_after(_BOUNDARY) as waiting:
            await self._do(self._eyes.start)
        self._is_prepared = not waiting.cancelled_caught

    async def finish(self) -> MachineUse:
        """After a stage has drained: what there was."""
        with trio.move_on_after(_BOUNDARY):
            # Else it would be of a time that began before the stage, or in the middle of it.
            if self._is_prepared:
                found = await self._do(self._eyes.finish)
                return found.masked(self._mask)
        gap = Gap(0.0, trio.current_time() - self._began, _HANGS)
        return MachineUse(self._interval, 0, 0.0, (gap,), (), None)

    async def _do(self, look: Callable[[], T]) -> T:
        """In a thread: a look takes some milliseconds, and reading may hang where disks do."""
        return await trio.to_thread.run_sync(look, abandon_on_cancel=True, limiter=self._turns)


class _Eyes:
    """What is done in the thread."""

    def __init__(self, watches: Sequence[ProcessWatch], interval: float) -> None:
        self._watches = watches
        self._interval = interval
        self._patience = round((interval + 1) * 1e9)
        self._began = self._looked_at = 0
        self._samples = 0
        self._cost = 0.0
        self._gaps = Gaps()
        self._host: host.HostWatch | None = None

    def start(self) -> None:
        """Look for the first time in a stage."""
        self.look()
        now = self._began = self._looked_at = time.monotonic_ns()
        self._samples, self._cost, self._gaps = 0, 0.0, Gaps()
        for watch in self._watches:
            watch.start(now)
        first = self._host_now()
        self._host = None if first is None else host.HostWatch(first)

    def look(self) -> None:
        """Look at everything."""
        begin = time.thread_time()
        now = time.monotonic_ns()
        if now - self._looked_at > self._patience:
            self._gaps.add(self._looked_at, now, _LATE)
        self._look_at_processes(now)
        seen = self._host_now()
        if self._host is not None and seen is not None:
            self._host.see(seen)
        self._looked_at = now
        self._samples += 1
        self._cost += time.thread_time() - begin

    def finish(self) -> MachineUse:
        """Look for the last time in a stage: what it comes to."""
        self.look()
        now = time.monotonic_ns()
        uses = [watch.finish(now) for watch in self._watches]
        seconds = (now - self._began) / 1e9
        return MachineUse(
            interval=self._interval,
            samples=self._samples,
            cost=self._cost / seconds if seconds > 0 else 0.0,
            gaps=self._gaps.since(self._began),
            processes=tuple(sorted(uses, key=lambda use: -(use.cpu or 0.0))),
            host=None if self._host is None else self._host.finish(),
        )

    def _look_at_processes(self, now: int) -> None:
        try:
            every = processes()
        except Exception as error:  # whatever the system says there: it must end no run
            for watch in self._watches:
                watch.miss(now, _told(error))
            return
        for watch in self._watches:
            try:
                watch.see(now, every)
            except Exception as error:  # as above
                watch.miss(now, _told(error))

    def _host_now(self) -> host.Sample | None:
        try:
            return host.sample(time.monotonic_ns())
        except Exception as error:  # as above
            self._gaps.add(self._looked_at, time.monotonic_ns(), f"the host: {_told(error)}")
            return None


def _told(error: Exception) -> str:
    return on_one_line(f"{type(error).__name__}: {error}", MOST_OF_DETAIL)
