"""A stage's news gathered into report intervals."""

from __future__ import annotations

import time

from stressrun.metrics.recorder import Recorder
from stressrun.run.events import Listener, Tick
from stressrun.scenario.model import Stage


class Ticker:
    """Tells a Tick whenever an interval (seconds) of a stage is over, except for its last."""

    def __init__(self, stage: Stage, interval: float, start: int, tell: Listener) -> None:
        """`start` is the stage's, in nanoseconds of the monotonic clock."""
        self._stage = stage
        self._interval = interval
        self._start = start
        self._tell = tell
        self._books = Recorder()
        self._last = 0.0

    def heard(self, books: Recorder) -> None:
        """Add a worker's news."""
        self._books.merge(books)
        elapsed = (time.monotonic_ns() - self._start) / 1e9
        if elapsed - self._last < self._interval or elapsed >= self._stage.duration:
            return
        self._tell(Tick(self._stage, elapsed, elapsed - self._last, self._books))
        self._books = Recorder()
        self._last = elapsed
