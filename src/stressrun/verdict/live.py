"""Thresholds judged while the load runs: those over windows, and those that end the run."""

from __future__ import annotations

from collections import deque

from stressrun.metrics.recorder import Recorder, Row
from stressrun.scenario.figures import is_latency
from stressrun.scenario.model import Scenario, Stage, Threshold
from stressrun.scenario.threshold import stages_of
from stressrun.units import format_duration
from stressrun.verdict.figures import Window, measured, of_load, time_of
from stressrun.verdict.thresholds import Evaluation, holds

_ROUNDING = 1e-6
# Less than two reports of a worker, so that it is never a little too late for them.
_SLICE = 0.4


class LiveThresholds:
    """Follows a run's stages from what its workers tell; windows move on by half a second.

    `windows` has for each threshold with a window that whose figure is nearest to, or furthest
    beyond, its limit; `crossed` is the first evaluation that is to end the run.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._watched = [
            _Watched(threshold)
            for threshold in scenario.thresholds
            if threshold.window is not None or threshold.abort
        ]
        self._looking: list[_Watched] = []
        self._told: set[str] = set()
        self._since = 0.0
        self.crossed: Evaluation | None = None

    @property
    def windows(self) -> dict[Threshold, Window | None]:
        return {
            watched.threshold: watched.worst
            for watched in self._watched
            if watched.threshold.window is not None
        }

    def start(self, stage: Stage) -> None:
        """A stage begins."""
        self._stage = stage
        self._since = 0.0
        self._told.clear()
        self._looking = [each for each in self._watched if stages_of(each.threshold, [stage])]
        for watched in self._looking:
            watched.start(stage)

    def heard(self, worker: str, books: Recorder, elapsed: float, workers: int) -> None:
        """Take the news of one of so many workers at so many seconds of the stage."""
        for watched in self._looking:
            watched.add(measured(watched.threshold, books, self._scenario))
        if elapsed - self._since >= _SLICE:
            self._told.add(worker)
        # A slice holds as much of each of them, or their rate would seem to falter.
        if len(self._told) == workers:
            self._told.clear()
            self._look(elapsed)

    def finish(self, elapsed: float) -> None:
        """The stage has ended after so many seconds: the rest of it is a slice, too."""
        self._look(elapsed)

    def _look(self, elapsed: float) -> None:
        stage = self._stage
        seconds = min(elapsed, stage.duration) - self._since
        self._since += max(0.0, seconds)
        for watched in self._looking:
            value = watched.look(seconds)
            if value is None or self.crossed is not None:
                continue
            threshold = watched.threshold
            if threshold.abort and elapsed >= threshold.after and not holds(threshold, value):
                detail = f"crossed {format_duration(elapsed)} into stage {stage.name}"
                self.crossed = Evaluation(threshold, value, passed=False, detail=detail)


class _Watched:
    """One threshold: the slices of its window, or all of a stage where it has none."""

    def __init__(self, threshold: Threshold) -> None:
        self.threshold = threshold
        self.worst: Window | None = None

    def start(self, stage: Stage) -> None:
        """Begin anew with a stage."""
        self._stage = stage
        self._slices: deque[tuple[float, Row]] = deque()
        self._now = Row()

    def add(self, news: Row) -> None:
        self._now.merge(news)

    def look(self, seconds: float) -> float | None:
        """Move on by a slice: the figure of the window now; None: it is not whole, or no data."""
        if seconds <= 0:
            return None
        self._slices.append((seconds, self._now))
        self._now = Row()
        window = self.threshold.window
        length = sum(slice_seconds for slice_seconds, _ in self._slices)
        if window is not None:
            if length < window - _ROUNDING:
                return None
            while length - self._slices[0][0] >= window:
                length -= self._slices.popleft()[0]
        total = Row()
        for _, row in self._slices:
            total.merge(row)
        if window is None:
            self._slices = deque([(length, total)])
        value = of_load(self.threshold.metric, total, length)
        if value is not None and self._is_worse(value):
            without = None
            if is_latency(self.threshold):
                without = time_of(self.threshold.metric, total.response_without_lag)
            self.worst = Window(value, without, self._stage)
        return value

    def _is_worse(self, value: float) -> bool:
        if self.worst is None:
            return True
        upwards = self.threshold.operator in ("<", "<=")
        return value > self.worst.value if upwards else value < self.worst.value
