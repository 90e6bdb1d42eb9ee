import time

import pytest

from stressrun.load.stage import StageResult
from stressrun.metrics.recorder import Recorder
from stressrun.run.events import Event, Tick
from stressrun.run.ticker import Ticker
from verdict_samples import STAGES


def test_intervals_that_end_late_do_not_make_the_next_ones_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[Event] = []
    ticker = Ticker(StageResult(STAGES[2], 2), 0.5, 0, told.append)
    for milliseconds in (150, 400, 650, 900, 1140, 1400, 1650, 2900):
        monkeypatch.setattr(time, "monotonic_ns", lambda now=milliseconds: now * 1_000_000)
        ticker.heard(Recorder())
    ticks = [event for event in told if isinstance(event, Tick)]
    assert [tick.elapsed for tick in ticks] == [0.65, 1.14, 1.65, 2.9]
    assert [tick.interval for tick in ticks] == pytest.approx([0.65, 0.49, 0.51, 1.25])
