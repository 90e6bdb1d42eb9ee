"""What the processes of a name come to in a stage, of real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stressrun.metrics.usage import ProcessUse
from stressrun.monitor.finding import Every, NotThereError, Started
from stressrun.monitor.proc import processes
from stressrun.monitor.process_watch import ProcessWatch

SECOND = 1_000_000_000
MB = 1_000_000
# Each line that it reads it runs, and says so.
OBEDIENT = """
import os, sys, time
def spin(cpu):
    end = time.process_time() + cpu
    while time.process_time() < end: pass
def child(cpu):
    pid = os.fork()
    if not pid:
        spin(cpu)
        os._exit(0)
    os.waitpid(pid, 0)
for line in sys.stdin:
    exec(line)
    print(flush=True)
"""


class Obedient:
    """A process that does what it is told."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OBEDIENT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.do("pass")

    def do(self, line: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "\n"


@pytest.fixture
def it() -> Iterator[Obedient]:
    obedient = Obedient()
    yield obedient
    obedient.process.communicate()


def watch(pid: int, most: float = 10.0) -> ProcessWatch:
    found = ProcessWatch("it", "service", Started([pid]), most)
    found.see(0, processes())
    found.start(0)
    return found


def test_cpu_of_children_that_have_come_and_gone_counts(it: Obedient) -> None:
    watching = watch(it.process.pid)
    it.do("spin(0.1); child(0.1)")
    watching.see(SECOND, processes())
    it.do("child(0.05)")
    watching.see(2 * SECOND, processes())
    use = watching.finish(2 * SECOND)
    assert use.samples == 2
    # Counted in hundredths of a second.
    assert use.cpu == pytest.approx(0.25 / 2, abs=0.03)
    assert use.cpu_max == pytest.approx(0.2, abs=0.05)
    assert use.processes == 1
    assert use.gaps == ()


def test_memory_threads_and_descriptors_are_the_most_there_were(it: Obedient) -> None:
    watching = watch(it.process.pid)
    it.do("kept = [bytearray(b'x') * 20_000_000, open('/dev/null'), open('/dev/null')]")
    watching.see(SECOND, processes())
    it.do("kept = []")
    watching.see(2 * SECOND, processes())
    use = watching.finish(2 * SECOND)
    assert use.memory is not None
    assert use.memory_max is not None
    assert 9 * MB < use.memory_max - use.memory < 11 * MB
    assert use.memory_kind == "proportional"
    assert use.descriptors == 3 + 2
    assert use.threads == 1
    assert use.growth is None


def test_memory_that_is_dear_to_add_up_is_resident(it: Obedient) -> None:
    it.do("kept = bytearray(b'x') * 20_000_000")
    cheap, dear = watch(it.process.pid), watch(it.process.pid, most=0.0)
    for each in (cheap, dear):
        each.see(SECOND, processes())
    uses = [each.finish(SECOND) for each in (cheap, dear)]
    assert [use.memory_kind for use in uses] == ["proportional", "resident"]
    assert all(20 * MB < (use.memory or 0) < 60 * MB for use in uses)


def test_a_leak_is_a_growth(it: Obedient) -> None:
    watching = watch(it.process.pid)
    it.do("kept = []")
    for second in range(1, 13):
        it.do("kept.append(bytearray(b'x') * 1_000_000)")
        watching.see(second * SECOND, processes())
    assert watching.finish(12 * SECOND).growth == pytest.approx(MB, rel=0.1)


def test_what_goes_to_files_counts_and_what_goes_to_pipes_does_not(
    it: Obedient, tmp_path: Path
) -> None:
    watching = watch(it.process.pid)
    it.do(f"f = open({str(tmp_path / 'f')!r}, 'wb'); f.write(b'x' * 2_000_000); f.flush()")
    it.do("r, w = os.pipe(); [(os.write(w, b'x' * 50_000), os.read(r, 50_000)) for n in range(99)]")
    watching.see(SECOND, processes())
    use = watching.finish(SECOND)
    assert use.written is not None
    # None where the folder of tests is in memory only.
    assert use.written == 0 or 2_000_000 <= use.written < 4_000_000
    assert use.read is not None


def test_an_end_is_a_gap_until_another_takes_its_place() -> None:
    found: list[set[int]] = [{os.getpid()}]

    def find(every: Every) -> set[int]:
        if not found[-1]:
            raise NotThereError("it is gone")
        return found[-1]

    watching = ProcessWatch("it", "named", find, 1.0)
    every = processes()
    watching.see(0, every)
    watching.start(0)
    watching.see(SECOND, every)
    found.append(set())
    for second in (2, 3):
        watching.see(second * SECOND, every)
    found.append({os.getppid()})
    watching.see(4 * SECOND, every)
    use = watching.finish(4 * SECOND)
    assert [(gap.begin, gap.end, gap.why) for gap in use.gaps] == [(1.0, 3.0, "it is gone")]
    assert (use.samples, use.restarts) == (2, 1)


def test_another_process_with_the_same_number_is_not_the_one_that_was_meant() -> None:
    every = processes()
    pid = os.getpid()
    find = Started([pid])
    assert find(every) == {pid}
    other = {pid: replace(every[pid], started=every[pid].started + 1)}
    with pytest.raises(NotThereError, match=f"no process {pid}"):
        find(other)


def test_a_stage_in_which_it_was_never_there_has_no_figures() -> None:
    watching = ProcessWatch("it", "named", Started([2**22]), 1.0)
    watching.see(0, processes())
    watching.start(0)
    watching.see(SECOND, processes())
    use: ProcessUse = watching.finish(SECOND)
    assert (use.samples, use.cpu, use.memory, use.threads, use.read) == (0, None, None, None, None)
    assert use.gaps[0].why == "no process 4194304"
