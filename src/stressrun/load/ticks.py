"""How late a loop comes to what is due: sampled at even instants, in nanoseconds."""

from __future__ import annotations

from stressrun.metrics.histogram import Histogram
from stressrun.metrics.recorder import LEAST_LAG

# Often enough for a p95 of a stage of half a second, and rare enough to cost nothing.
_INTERVAL = 20_000_000
_NEVER = 1 << 62


class Ticks:
    """Even instants, `next` the one to come.

    How late the loop is for one is how long an answer that came in then has waited to be read.
    """

    __slots__ = ("_lag", "next")

    def __init__(self, lag: Histogram) -> None:
        self._lag = lag
        self.next = _NEVER

    def start(self, now: int) -> None:
        """Begin with a stage."""
        self.next = now + _INTERVAL

    def stop(self) -> None:
        """There are none between stages."""
        self.next = _NEVER

    def passed(self, now: int) -> int:
        """Take the tick that has passed; how late that is, 0 where it is nothing to speak of.

        A loop that was stopped has slept over several, which are one and the same delay.
        """
        late = now - self.next
        self._lag.record(late)
        self.next = now + _INTERVAL
        return late if late > LEAST_LAG else 0
