"""The monitor of processes and host at work, and what keeps it from its work."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import psutil
import pytest
import trio

from stressrun.monitor import host, machine
from stressrun.monitor.machine import MachineMonitor
from stressrun.scenario.model import Monitoring, NamedProcess


def same(text: str) -> str:
    return text


def monitor(mask: Callable[[str], str] = same, *named: NamedProcess) -> MachineMonitor:
    watched = Monitoring(interval=0.1, processes=named)
    return MachineMonitor(watched, {"api": os.getppid()}, [os.getpid()], [], mask)


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


async def test_a_system_that_does_not_answer_holds_nothing_up(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    hangs = threading.Event()
    watching = monitor()
    await watching.prepare()

    def processes() -> dict[int, object]:
        hangs.wait()
        return {}

    monkeypatch.setattr(machine, "processes", processes)
    try:
        found = await watching.finish()
        assert (found.samples, found.processes, found.host) == (0, (), None)
        (gap,) = found.gaps
        assert gap.why == "the system did not tell of its processes within 3 s"
        await watching.prepare()
        assert (await watching.finish()).gaps[0].why == gap.why
    finally:
        hangs.set()


async def test_a_host_that_is_not_seen_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def unseen(_: int) -> host.Sample:
        raise psutil.AccessDenied

    watching = monitor()
    monkeypatch.setattr(host, "sample", unseen)
    await watching.prepare()
    found = await watching.finish()
    assert found.host is None
    assert found.processes
    assert found.gaps[0].why.startswith("the host: ")
