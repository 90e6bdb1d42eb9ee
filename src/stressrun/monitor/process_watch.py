"""What the processes of one name use, from one stage to the next."""

from __future__ import annotations

from stressrun.metrics.usage import ProcessUse
from stressrun.monitor.consumption import Member, Members, Used, used
from stressrun.monitor.finding import Every, Finder, NotThereError
from stressrun.monitor.gaps import Gaps
from stressrun.monitor.memory import MemoryWatch
from stressrun.monitor.proc import Process, family, holding

# CPU is counted in hundredths of a second, which say little of a time much shorter than a second.
_LEAST = 500_000_000


class ProcessWatch:
    """Looks at the processes of a name, and gathers what a stage of it comes to.

    Instants are nanoseconds of the monotonic clock; `most` is what `MemoryWatch` may take.
    """

    def __init__(self, name: str, kind: str, find: Finder, most: float) -> None:
        self.name = name
        self._kind = kind
        self._find = find
        self._memory = MemoryWatch(most)
        self._roots: set[tuple[int, int]] = set()
        self._members: Members | None = None
        self.start(0)

    def start(self, now: int) -> None:
        """A stage begins: what is used from the last look on counts in it."""
        self._began = self._looked_at = self._since = now
        self._samples = self._restarts = 0
        self._used = self._lately = Used()
        self._cpu_max: float | None = None
        self._threads = self._processes = 0
        self._descriptors: int | None = 0
        self._gaps = Gaps()
        self._memory.start(self._members or {})

    def see(self, now: int, every: Every) -> None:
        """Look, at all processes of an instant."""
        try:
            roots = {(pid, every[pid].started) for pid in self._find(every)}
        except NotThereError as error:
            self._members = None
            self.miss(now, str(error))
            return
        if self._roots:
            self._restarts += min(len(roots - self._roots), len(self._roots - roots))
        self._roots = roots
        known = self._members or {}
        found = family(
            {pid for pid, _ in roots},
            {(pid, member.process.started) for pid, member in known.items()},
            every,
        )
        members = {pid: self._member(process) for pid, process in found.items()}
        if self._members is not None:
            self._count(now, used(self._members, members))
        self._members = members
        self._add(now, members)
        self._looked_at = now

    def miss(self, now: int, why: str) -> None:
        """Note that nothing was seen since the last look."""
        self._gaps.add(self._looked_at, now, why)
        self._looked_at = now

    def finish(self, now: int) -> ProcessUse:
        """What the stage comes to."""
        samples, seconds = self._samples, (now - self._began) / 1e9
        cpu = self._used.seconds / seconds if samples and seconds > 0 else None
        seen = samples > 0
        return ProcessUse(
            name=self.name,
            kind=self._kind,
            samples=samples,
            gaps=self._gaps.since(self._began),
            cpu=cpu,
            cpu_max=cpu if self._cpu_max is None else self._cpu_max,
            memory=self._memory.mean,
            memory_max=self._memory.largest,
            memory_kind=self._memory.kind,
            growth=self._memory.growth,
            threads=self._threads if seen else None,
            descriptors=self._descriptors if seen else None,
            processes=self._processes if seen else None,
            read=self._storage(self._used.read),
            written=self._storage(self._used.written),
            restarts=self._restarts,
        )

    def _member(self, process: Process) -> Member:
        """With what it has; what has ended still has what it had, until somebody waits for it."""
        old = None if self._members is None else self._members.get(process.pid)
        if old is not None and old.process.started != process.started:
            old = None
        has = None if process.is_ended else holding(process.pid)
        return Member(process, has or (old.holding if old else None))

    def _count(self, now: int, news: Used) -> None:
        self._used += news
        self._lately += news
        if now - self._since >= _LEAST:
            share = self._lately.seconds / ((now - self._since) / 1e9)
            self._cpu_max = max(self._cpu_max or 0.0, share)
            self._since, self._lately = now, Used()

    def _add(self, now: int, members: Members) -> None:
        alive = [member for member in members.values() if not member.process.is_ended]
        has = [member.holding for member in alive if member.holding is not None]
        self._samples += 1
        self._memory.see((now - self._began) / 1e9, alive)
        self._threads = max(self._threads, sum(member.process.threads for member in alive))
        self._processes = max(self._processes, len(alive))
        counts = [each.descriptors for each in has]
        told = [count for count in counts if count is not None]
        if len(told) < len(counts):
            self._descriptors = None
        elif self._descriptors is not None:
            self._descriptors = max(self._descriptors, sum(told))

    def _storage(self, size: int | None) -> int | None:
        return max(0, size) if self._samples and size is not None else None
