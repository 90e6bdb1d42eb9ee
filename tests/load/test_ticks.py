"""How late a loop comes to even instants."""

from __future__ import annotations

from stressrun.load.ticks import Ticks
from stressrun.metrics.histogram import Histogram
from verdict_samples import MS


def test_a_tick_is_sampled_once_however_many_were_slept_over() -> None:
    lag = Histogram()
    ticks = Ticks(lag)
    assert ticks.next > 1 << 60, "there are none between stages"
    ticks.start(1_000 * MS)
    assert ticks.next == 1_020 * MS
    assert ticks.passed(1_020 * MS) == 0
    assert ticks.passed(1_041 * MS) == 0, "a millisecond is nothing to speak of"
    assert ticks.passed(1_561 * MS) == 500 * MS
    assert ticks.next == 1_581 * MS
    assert (lag.count, lag.maximum) == (3, 500 * MS)
    ticks.stop()
    assert ticks.next > 1 << 60
