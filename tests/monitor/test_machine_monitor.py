"""The monitor of processes and host at work, and what keeps it from its work."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import psutil
import pytest
import trio

from stressrun.data.bounded import TOLD
from stressrun.monitor import host, machine, process_watch
from stressrun.monitor.machine import MachineMonitor
from stressrun.monitor.proc import Process, processes
from stressrun.scenario.model import Monitoring, NamedProcess


def same(text: str) -> str:
    return text


def monitor(mask: Callable[[str], str] = same, *named: NamedProcess) -> MachineMonitor:
    watched = Monitoring(interval=0.1, processes=named)
    return MachineMonitor(watched, {"api": os.getppid()}, {}, [os.getpid()], [], mask)


async def test_each_stage_is_counted_by_itself(nursery: trio.Nursery) -> None:
    watching = monitor()
    nursery.start_soon(watching.run)
    for _ in range(2):
        await watching.prepare()
        total = sum(range(3_000_000))
        found = await watching.finish()
        assert total
        uses = {use.name: use for use in found.processes}
        assert {use.kind for use in found.processes} == {"service", "generator"}
        assert uses["generator"].samples == found.samples >= 1
        assert found.host is not None
        assert found.cost > 0
        assert [use.cpu or 0 for use in found.processes] == sorted(
            (use.cpu or 0 for use in found.processes), reverse=True
        )
    nursery.cancel_scope.cancel()


async def test_secrets_are_taken_out_of_what_it_tells() -> None:
    named = NamedProcess("x", command="pw=hunter[2]hunter2")
    watching = monitor(lambda text: text.replace("hunter2", "***"), named)
    await watching.prepare()
    found = await watching.finish()
    (use,) = (use for use in found.processes if use.name == "x")
    assert use.gaps[0].why == "no process has a command line with 'pw=hunter[2]***' in it"


@pytest.fixture
def bait() -> Iterator[int]:
    """The number of a process on whose command line some patterns would search for ever."""
    command = [sys.executable, "-c", "input()", "a" * 64 + "!"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as process:
        yield process.pid
        process.communicate("\n")


async def test_a_mock_is_watched_and_is_nobody_a_pattern_means(bait: int) -> None:
    watched = Monitoring(processes=(NamedProcess("x", command="a{64}!"),))
    watching = MachineMonitor(watched, {}, {"bank": bait}, [], [], same)
    await watching.prepare()
    found = await watching.finish()
    uses = {use.name: use for use in found.processes}
    assert (uses["bank"].kind, uses["bank"].samples) == ("mock", 1)
    assert uses["x"].samples == 0


@pytest.mark.usefixtures("bait")
async def test_a_pattern_that_searches_for_ever_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stressrun.data.bounded.LIMIT", 0.05)
    watching = monitor(same, NamedProcess("x", command="(a+)+$"))
    await watching.prepare()
    found = await watching.finish()
    uses = {use.name: use for use in found.processes}
    assert uses["x"].gaps[0].why == f"'(a+)+$' in command lines: {TOLD}"
    assert uses["generator"].samples == 1


class Hanging:
    """A system that does not tell of its processes until it is told to go on."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()

    def processes(self) -> dict[int, Process]:
        self.goes_on.wait()
        return processes()


@pytest.mark.parametrize("hangs_from", ["the start of a stage", "its end"])
async def test_a_system_that_does_not_answer_holds_nothing_up_and_is_seen_again_when_it_does(
    monkeypatch: pytest.MonkeyPatch, hangs_from: str
) -> None:
    watching, hanging = monitor(), Hanging()
    monkeypatch.setattr(machine, "_BOUNDARY", 60.0)
    if hangs_from == "its end":
        await watching.prepare()
    with monkeypatch.context() as patched:
        patched.setattr(machine, "_BOUNDARY", 0.01)
        patched.setattr(machine, "processes", hanging.processes)
        if hangs_from == "the start of a stage":
            await watching.prepare()
            hanging.goes_on.set()
        found = await watching.finish()
        hanging.goes_on.set()
    assert (found.samples, found.processes, found.host) == (0, (), None)
    (gap,) = found.gaps
    assert gap.why == "the system did not tell of its processes within 3 s"
    await watching.prepare()
    found = await watching.finish()
    assert {use.samples for use in found.processes} == {1}


@pytest.mark.parametrize("what", ["processes", "family"])
async def test_what_the_system_says_of_processes_and_nobody_knew_is_a_gap(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def unknown(*_: object) -> None:
        raise ValueError("not a number:\n'x'")

    watching = monitor()
    monkeypatch.setattr(machine if what == "processes" else process_watch, what, unknown)
    await watching.prepare()
    found = await watching.finish()
    assert {use.gaps[0].why for use in found.processes} == {"ValueError: not a number: 'x'"}
    assert {use.samples for use in found.processes} == {0}
    assert found.gaps == ()


@pytest.mark.parametrize("error", [psutil.AccessDenied(), ValueError("of a line\nthere")])
async def test_a_host_that_is_not_seen_is_told(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def unseen(_: int) -> host.Sample:
        raise error

    watching = monitor()
    monkeypatch.setattr(host, "sample", unseen)
    await watching.prepare()
    found = await watching.finish()
    assert found.host is None
    assert found.processes
    assert found.gaps[0].why.startswith("the host: ")
