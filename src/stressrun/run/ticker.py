"""A stage's news gathered into report intervals."""

from __future__ import annotations

import time

from stressrun.load.stage import StageResult
from stressrun.metrics.recorder import Recorder
from stressrun.run.events import Listener, Tick


class Ticker:
    """Tells a Tick whenever an interval (seconds) of a stage is over, except for its last."""

    def __init__(self, result: StageResult, interval: float, start: int, tell: Listener) -> None:
        """`start` is the stage's, in nanoseconds of the monotonic clock."""
        self._result = result
        self._interval = interval
        self._start = start
        self._tell = tell
        self._books = Recorder()
        self._last = 0.0
        self._due = interval

    def heard(self, books: Recorder) -> None:
        """Add a worker's news."""
        self._books.merge(books)
        elapsed = (time.monotonic_ns() - self._start) / 1e9
        result = self._result
        if elapsed < self._due or elapsed >= result.stage.duration:
            return
        self._tell(
            Tick(
                result.stage,
                elapsed,
                elapsed - self._last,
                self._books,
                total=result.books,
                pool=result.pool.last,
            )
        )
        self._books = Recorder()
        self._last = elapsed
        # Not an interval from now: news comes late by up to a quarter of a second each time.
        self._due = (elapsed // self._interval + 1) * self._interval
