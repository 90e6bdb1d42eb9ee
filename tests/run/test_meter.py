"""What a worker tells of itself."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stressrun.run.meter import GeneratorMeter


@pytest.fixture
def meter() -> Iterator[GeneratorMeter]:
    before = list(gc.callbacks)
    yield GeneratorMeter()
    gc.callbacks[:] = before


def test_a_reading_is_of_the_time_since_the_last(meter: GeneratorMeter) -> None:
    meter.read()
    sum(range(100_000))
    reading = meter.read()
    assert reading.cpu_seconds > 0 < reading.wall_seconds
    meter.woken(0.3)
    meter.woken(0.2)
    gc.collect(0)
    reading = meter.read()
    assert reading.longest_stall == 0.3
    assert reading.longest_gc_pause > 0
    again = meter.read()
    assert (again.longest_stall, again.longest_gc_pause) == (0.0, 0.0)


def test_it_says_what_it_may_use_and_what_the_system_counts(meter: GeneratorMeter) -> None:
    reading = meter.read()
    assert 0 < reading.cores <= (os.cpu_count() or 1)
    assert reading.descriptors > 0
    counted = Path("/proc/self/schedstat").exists()
    assert (reading.waiting_seconds is not None) is counted
    assert reading.waiting_seconds is None or reading.waiting_seconds >= 0
    assert (reading.ports is not None) is Path("/proc/sys/net/ipv4/ip_local_port_range").exists()
