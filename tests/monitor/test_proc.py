"""What is read of real processes, and how they are found."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from stressrun.monitor.finding import NotThereError, finder
from stressrun.monitor.proc import (
    ancestors,
    command_line,
    family,
    holding,
    parsed_stat,
    processes,
    proportional,
)
from stressrun.scenario.model import NamedProcess

# It holds 30 MB and a listening socket, has a child that left its session, and says when.
HOLDER = """
import socket, subprocess, sys
kept = bytearray(b"x") * 30_000_000
listener = socket.create_server(("127.0.0.1", 0))
child = subprocess.Popen(
    [sys.executable, "-c", "import sys; sys.stdin.read()"],
    stdin=subprocess.PIPE,
    start_new_session=True,
)
print(listener.getsockname()[1], child.pid, flush=True)
input()
child.communicate()
"""


@pytest.fixture(scope="module")
def holder() -> Iterator[tuple[int, int, int]]:
    """A process's number, its port, and its child's number."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, "a-holder"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    port, child = map(int, process.stdout.readline().split())
    yield process.pid, port, child
    process.communicate("\n")


def test_a_process_is_read_with_what_it_holds(holder: tuple[int, int, int]) -> None:
    pid, _, _ = holder
    process = processes()[pid]
    assert process.parent == os.getpid()
    assert process.threads == 1
    assert not process.is_ended
    held = holding(pid)
    assert held is not None
    assert 30_000_000 < held.private < 60_000_000
    assert held.descriptors == len(os.listdir(f"/proc/{pid}/fd"))
    assert held.read is not None
    assert 30_000_000 < proportional(pid) < 60_000_000
    assert "a-holder" in command_line(pid)


def test_what_is_gone_is_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert holding(process.pid) is None
    assert proportional(process.pid) == 0
    assert command_line(process.pid) == ""
    assert process.pid not in processes()


def test_an_ended_process_that_nobody_waited_for_is_seen_as_such() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert processes()[process.pid].is_ended
    process.wait()


def test_a_family_has_those_that_left_the_session_and_those_that_lost_their_parent(
    holder: tuple[int, int, int],
) -> None:
    pid, _, child = holder
    every = processes()
    assert set(family({pid}, set(), every)) == {pid, child}
    orphaned = {number: process for number, process in every.items() if number != pid}
    assert set(family({pid}, {(child, every[child].started)}, orphaned)) == {child}
    assert set(family({pid}, {(child, every[child].started + 1)}, orphaned)) == set()


@pytest.mark.parametrize("by", ["pid", "port", "command"])
def test_a_process_is_found_by_its_number_its_port_or_its_command(
    holder: tuple[int, int, int], by: str
) -> None:
    pid, port, _ = holder
    named = {
        "pid": NamedProcess("it", pid=pid),
        "port": NamedProcess("it", port=port),
        "command": NamedProcess("it", command="(?s)-c .* a-hold.r$"),
    }[by]
    find = finder(named, [])
    assert find(processes()) == {pid}
    assert find(processes()) == {pid}


def test_what_is_not_there_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for named, why in (
        (NamedProcess("it", pid=2**22), "no process 4194304"),
        (NamedProcess("it", port=port), f"nothing listens on port {port}"),
        (
            NamedProcess("it", command="no such [c]ommand"),
            "no process has a command line with 'no such [c]ommand' in it",
        ),
    ):
        with pytest.raises(NotThereError, match=r"^no") as told:
            finder(named, [])(processes())
        assert str(told.value) == why


def test_stressrun_and_who_started_it_are_not_what_a_pattern_means(
    holder: tuple[int, int, int],
) -> None:
    pid, _, child = holder
    every = processes()
    above = set(ancestors(os.getpid(), every))
    assert {os.getpid(), os.getppid()} <= above
    found = finder(NamedProcess("it", command="."), [child])(every)
    assert pid in found
    assert found.isdisjoint({*above, child})


@pytest.mark.parametrize("name", [b"a", b") S 1 (", b"\xff) R 0", b"a b\nc"])
def test_a_name_in_a_stat_file_may_hold_anything(name: bytes) -> None:
    rest = b"S 7 8 9 0 -1 0 1 1 1 1 150 50 30 20 20 0 3 0 4711 1 1"
    process = parsed_stat(b"42 (" + name + b") " + rest + b"\n")
    assert (process.pid, process.parent, process.session) == (42, 7, 9)
    tick = os.sysconf("SC_CLK_TCK")
    assert (process.cpu, process.cpu_of_ended) == (200 / tick, 50 / tick)
    assert (process.threads, process.started, process.is_ended) == (3, 4711, False)
