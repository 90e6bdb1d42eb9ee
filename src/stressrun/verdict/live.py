"""Thresholds judged while the load runs: those over windows, and those that end the run."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from stressrun.metrics.recorder import Recorder, Row
from stressrun.scenario.model import Scenario, Stage, Threshold
from stressrun.scenario.threshold import stages_of
from stressrun.units import format_duration
from stressrun.verdict.figures import measured, of_load
from stressrun.verdict.thresholds import Evaluation, holds

_SLICE = 0.5


class LiveThresholds:
    """Follows a run's stages from what its workers tell; windows move on by half a second.

    `worst` has for each threshold with a window the figure nearest to, or furthest beyond, its
    limit; `crossed` is the first evaluation that is to end the run.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._watched = [
            _Watched(threshold)
            for threshold in scenario.thresholds
            if threshold.window is not None or threshold.abort
        ]
        self._stage: Stage | None = None
        self.crossed: Evaluation | None = None

    @property
    def worst(self) -> dict[Threshold, float | None]:
        return {
            watched.threshold: watched.worst
            for watched in self._watched
            if watched.threshold.window is not None
        }

    def start(self, stage: Stage) -> None:
        """A stage begins."""
        self._stage = stage
        for watched in self._looking():
            watched.start()

    def heard(self, books: Recorder, elapsed: float) -> None:
        """Take a worker's news at so many seconds of the stage."""
        stage = self._stage
        assert stage is not None
        for watched in self._looking():
            watched.add(measured(watched.threshold, books, self._scenario))
            value = watched.look(min(elapsed, stage.duration))
            if value is None or self.crossed is not None:
                continue
            threshold = watched.threshold
            if threshold.abort and elapsed >= threshold.after and not holds(threshold, value):
                detail = f"crossed {format_duration(elapsed)} into stage {stage.name}"
                self.crossed = Evaluation(threshold, value, passed=False, detail=detail)

    def _looking(self) -> Iterable[_Watched]:
        stage = self._stage
        assert stage is not None
        return (watched for watched in self._watched if stages_of(watched.threshold, [stage]))


class _Watched:
    """One threshold: the seconds of its window, or all of a stage where it has none."""

    def __init__(self, threshold: Threshold) -> None:
        self.threshold = threshold
        self.worst: float | None = None
        self.start()

    def start(self) -> None:
        """Begin anew with a stage."""
        self._slices: deque[tuple[float, Row]] = deque()
        self._now = Row()
        self._since = 0.0

    def add(self, news: Row) -> None:
        self._now.merge(news)

    def look(self, elapsed: float) -> float | None:
        """The figure of the last window when it has moved on; None: it has not, or no data."""
        if elapsed - self._since < _SLICE:
            return None
        self._slices.append((elapsed - self._since, self._now))
        self._now, self._since = Row(), elapsed
        window = self.threshold.window
        length = sum(seconds for seconds, _ in self._slices)
        if window is not None:
            if length < window:
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
            self.worst = value
        return value

    def _is_worse(self, value: float) -> bool:
        if self.worst is None:
            return True
        upwards = self.threshold.operator in ("<", "<=")
        return value > self.worst if upwards else value < self.worst
