"""The memory of the processes of one name, over a stage."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from time import thread_time

from stressrun.metrics.trend import Trend
from stressrun.metrics.usage import PROPORTIONAL, RESIDENT
from stressrun.monitor.consumption import Member
from stressrun.monitor.proc import proportional

# A stage's figures are not begun anew for a look that was a little dearer than the first.
_MUCH_DEARER = 10


class MemoryWatch:
    """Gathers what there was in a stage.

    It is proportional where the kernel takes at most `most` seconds of CPU to add that up when a
    stage begins, or when the processes are there for the first time. Where it is too dear, or not
    ours to see, it is resident from then on.
    """

    def __init__(self, most: float) -> None:
        self._most = most
        self._kind: str | None = None
        self._begin()

    def start(self, pids: Collection[int]) -> None:
        """A stage begins, with these processes."""
        if self._kind != RESIDENT:
            self._kind = self._affordable(pids) if pids else None
        self._begin()

    def _begin(self) -> None:
        self._samples = self._sum = self._largest = 0
        self._trend = Trend()

    def see(self, seconds: float, alive: Sequence[Member]) -> None:
        """Look at living processes, so many seconds after the start."""
        memory = self._size(alive)
        self._samples += 1
        self._sum += memory
        self._largest = max(self._largest, memory)
        self._trend.add(seconds, memory)

    @property
    def kind(self) -> str:
        return self._kind or PROPORTIONAL

    @property
    def mean(self) -> float | None:
        return self._sum / self._samples if self._samples else None

    @property
    def largest(self) -> int | None:
        return self._largest if self._samples else None

    @property
    def growth(self) -> float | None:
        """Bytes per second; 0.0 where it is not beyond noise, None of too few samples."""
        return self._trend.growth()

    def _size(self, alive: Sequence[Member]) -> int:
        pids = [member.process.pid for member in alive]
        if self._kind is None and pids:
            self._kind = self._affordable(pids)
        if self._kind == PROPORTIONAL:
            size = _added_up(pids, _MUCH_DEARER * self._most)
            if size is not None:
                return size
            # There are more of them now, or one of another user.
            self._kind = RESIDENT
            # What was added up before is of another kind.
            self._begin()
        has = [member.holding for member in alive if member.holding is not None]
        return sum(each.private for each in has) + max((each.shared for each in has), default=0)

    def _affordable(self, pids: Collection[int]) -> str:
        return RESIDENT if _added_up(pids, self._most) is None else PROPORTIONAL


def _added_up(pids: Collection[int], most: float) -> int | None:
    """The proportional memory of processes.

    None: one is not ours to see, or it took more than so many seconds, which is asked after each,
    since a large one takes a tenth of a second.
    """
    begin, size = thread_time(), 0
    for pid in pids:
        try:
            size += proportional(pid)
        except OSError:
            return None
        if thread_time() - begin > most:
            return None
    return size
