"""The memory of several processes: what it may cost to add it up, and what comes of a stage."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from stressrun.monitor import memory
from stressrun.monitor.consumption import Member
from stressrun.monitor.memory import MemoryWatch
from stressrun.monitor.proc import Holding, Process

MB = 1_000_000
EACH = 1 / 1024


class Kernel:
    """Adds up the memory of any process, for some time of CPU each."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.asked: list[int] = []
        self.refused: int | None = None

    def proportional(self, pid: int) -> int:
        if pid == self.refused:
            raise PermissionError
        self.asked.append(pid)
        self.seconds += EACH
        return MB


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    monkeypatch.setattr(memory, "proportional", made.proportional)
    monkeypatch.setattr(memory, "thread_time", lambda: made.seconds)
    return made


def members(number: int) -> Sequence[Member]:
    """Processes with 2 MB of their own each, and 5 MB shared."""
    holding = Holding(2 * MB, 5 * MB, 3, 0, 0, 0)
    return [
        Member(Process(pid, 1, pid, 0, False, 0.0, 0.0, 1), holding) for pid in range(1, number + 1)
    ]


def pids(number: int) -> range:
    return range(1, number + 1)


def test_the_first_look_at_what_is_dear_is_at_a_part_of_it(kernel: Kernel) -> None:
    watch = MemoryWatch(most=3.5 * EACH)
    watch.start([])
    watch.see(0.0, members(50))
    assert len(kernel.asked) == 4
    assert (watch.kind, watch.mean) == ("resident", (50 * 2 + 5) * MB)
    watch.start(pids(50))
    watch.see(1.0, members(50))
    assert len(kernel.asked) == 4


def test_what_is_dear_at_a_stage_s_start_is_resident_in_all_of_it(kernel: Kernel) -> None:
    watch = MemoryWatch(most=3.5 * EACH)
    watch.start(pids(3))
    watch.see(1.0, members(3))
    assert (watch.kind, watch.mean) == ("proportional", 3 * MB)
    watch.start(pids(4))
    watch.see(1.0, members(4))
    assert (watch.kind, watch.mean) == ("resident", (4 * 2 + 5) * MB)


def test_what_grows_dear_within_a_stage_may_be_so_up_to_a_limit(kernel: Kernel) -> None:
    watch = MemoryWatch(most=3.5 * EACH)
    watch.start(pids(3))
    watch.see(1.0, members(30))
    assert (watch.kind, watch.largest) == ("proportional", 30 * MB)
    kernel.asked.clear()
    watch.see(2.0, members(90))
    assert len(kernel.asked) == 36
    assert (watch.kind, watch.largest) == ("resident", (90 * 2 + 5) * MB)


def test_figures_are_of_one_kind_when_a_process_cannot_be_seen_any_more(kernel: Kernel) -> None:
    watch = MemoryWatch(most=1.0)
    watch.start(pids(2))
    for second in range(12):
        watch.see(second, members(2))
    assert watch.growth == 0.0
    kernel.refused = 3
    watch.see(12.0, members(3))
    assert watch.kind == "resident"
    assert watch.mean == watch.largest == (3 * 2 + 5) * MB
    assert watch.growth is None


def test_a_stage_without_processes_has_no_memory(kernel: Kernel) -> None:
    watch = MemoryWatch(most=1.0)
    watch.start([])
    assert (watch.kind, watch.mean, watch.largest) == ("proportional", None, None)
