from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import trio
from surroundings import eventually, marked

from stressrun.errors import SetupError
from stressrun.services.process import (
    ServiceProcess,
    describe_status,
    is_process,
    spawn,
    tail,
)

TERM = [signal.SIGTERM]
DEAF = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print('deaf', flush=True); time.sleep(600)"
)
DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print("daemon", flush=True)
        time.sleep(600)
    os._exit(0)
os.wait()
"""


@pytest.fixture
def mark() -> Iterator[str]:
    value = f"test-{secrets.token_hex(4)}/service"
    yield value
    assert marked(value) == []


def run(script: str, tmp_path: Path, mark: str) -> ServiceProcess:
    return spawn(
        "service",
        [sys.executable, "-c", script],
        log=tmp_path / "log",
        mark=mark,
        env=os.environ,
    )


def says(process: ServiceProcess, word: str) -> None:
    eventually(lambda: word in process.tail())


async def test_a_program_that_obeys_is_ended_by_the_first_signal(tmp_path: Path, mark: str) -> None:
    process = run("import time; print('up', flush=True); time.sleep(600)", tmp_path, mark)
    says(process, "up")
    assert await process.stop(signals=TERM) == []
    assert process.status == -signal.SIGTERM
    assert not psutil.pid_exists(process.pid)


async def test_a_program_that_stands_still_is_woken_to_end(tmp_path: Path, mark: str) -> None:
    process = run("import time; print('up', flush=True); time.sleep(600)", tmp_path, mark)
    says(process, "up")
    os.kill(process.pid, signal.SIGSTOP)
    assert await process.stop(signals=TERM) == []
    assert process.status == -signal.SIGTERM


async def test_a_program_that_ignores_sigterm_is_killed(tmp_path: Path, mark: str) -> None:
    process = run(DEAF, tmp_path, mark)
    says(process, "deaf")
    assert await process.stop(signals=TERM, grace=0.1) == []
    assert process.status == -signal.SIGKILL


async def test_children_that_outlive_their_parent_end_with_it(tmp_path: Path, mark: str) -> None:
    script = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {DEAF!r}])"
    process = run(script, tmp_path, mark)
    says(process, "deaf")
    assert await process.wait() == 0
    assert await process.stop(signals=TERM, grace=0.1) == []


async def test_a_daemon_that_left_the_group_and_its_parent_ends(tmp_path: Path, mark: str) -> None:
    process = run(DAEMON, tmp_path, mark)
    says(process, "daemon")
    assert await process.wait() == 0
    assert await process.stop(signals=TERM) == []


async def test_a_descendant_without_the_mark_ends_with_its_parent(
    tmp_path: Path, mark: str
) -> None:
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'],\n"
        "    env={}, start_new_session=True)\n"
        "print('child', child.pid, flush=True); time.sleep(600)"
    )
    process = run(script, tmp_path, mark)
    says(process, "child")
    child = int(process.tail().split()[1])
    assert await process.stop(signals=TERM) == []
    eventually(lambda: not psutil.pid_exists(child))


async def test_stopping_what_has_ended_or_been_stopped_does_nothing(
    tmp_path: Path, mark: str
) -> None:
    process = run("raise SystemExit(3)", tmp_path, mark)
    assert await process.wait() == 3
    assert await process.stop(signals=TERM) == []
    assert await process.stop(signals=TERM) == []
    assert await process.wait() == 3


async def test_a_process_that_has_ended_keeps_its_number_until_it_is_stopped(
    tmp_path: Path, mark: str
) -> None:
    process = run("", tmp_path, mark)
    await process.wait()
    assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE
    await process.stop(signals=TERM)


async def test_a_cancelled_wait_leaves_the_process_alone(tmp_path: Path, mark: str) -> None:
    process = run("import time; time.sleep(600)", tmp_path, mark)
    descriptors = len(os.listdir("/proc/self/fd"))
    with trio.move_on_after(0):
        await process.wait()
    assert process.status is None
    assert len(os.listdir("/proc/self/fd")) == descriptors
    await process.stop(signals=TERM)


async def test_stop_cannot_be_cancelled(tmp_path: Path, mark: str) -> None:
    process = run(DEAF, tmp_path, mark)
    says(process, "deaf")
    with trio.CancelScope() as scope:
        scope.cancel()
        await process.stop(signals=TERM, grace=0.1)
    assert process.status == -signal.SIGKILL


@pytest.mark.parametrize(
    ("command", "cwd", "told"),
    [
        (["no-such-program"], None, "no-such-program: (No such|Permission)"),
        (["/etc/passwd"], None, "/etc/passwd: Permission denied"),
        (["a\0b"], None, "null byte"),
        (["true"], "/no/such/folder", "the folder /no/such/folder does not exist"),
    ],
)
def test_a_command_that_cannot_start_is_told(
    command: list[str], cwd: str | None, told: str, tmp_path: Path
) -> None:
    with pytest.raises(SetupError, match=told) as raised:
        spawn("api", command, log=tmp_path / "log", mark="none", env=os.environ, cwd=cwd)
    assert raised.value.hint


def test_a_process_dies_with_the_one_that_started_it(tmp_path: Path, mark: str) -> None:
    parent = f"""
import os, signal, sys
from pathlib import Path
from stressrun.services.process import spawn
process = spawn("s", [sys.executable, "-c", {DEAF!r}], log=Path({str(tmp_path / "log")!r}),
    mark={mark!r}, env=os.environ)
while b"deaf" not in process.log.read_bytes():
    pass
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", parent]).returncode == -signal.SIGKILL
    eventually(lambda: marked(mark) == [])


def test_a_number_with_another_time_of_creation_is_another_process() -> None:
    created = psutil.Process().create_time()
    assert is_process(os.getpid(), created)
    assert not is_process(os.getpid(), created - 60)
    assert not is_process(2**22 + 1, created)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (b"", ""),
        (b"one\ntwo\nthree\n", "two\nthree"),
        (b"\x1b[31mred\x00\n", " [31mred"),
        (b"\xff\xfe\n", "��"),
        (b"x" * 10_000_000 + b"\nend\n", "x" * 795 + "\nend"),
    ],
)
def test_the_tail_of_a_log_is_short_and_printable(
    written: bytes, shown: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    log.write_bytes(written)
    assert tail(log, 2) == shown.rstrip()


def test_the_tail_of_a_missing_log_is_empty(tmp_path: Path) -> None:
    assert tail(tmp_path / "none") == ""


@pytest.mark.parametrize(
    ("status", "described"), [(3, "exit status 3"), (-11, "killed by SIGSEGV"), (-40, "signal 40")]
)
def test_a_status_is_told_in_words(status: int, described: str) -> None:
    assert described in describe_status(status)


def test_orphans_of_a_subreaper_are_killed_but_not_those_spared(tmp_path: Path) -> None:
    script = f"""
import subprocess, sys, time
import psutil, trio
from stressrun.services.process import become_subreaper, kill_remaining_descendants
become_subreaper()
spared = subprocess.Popen(["sleep", "600"])
subprocess.run([sys.executable, "-c", {DAEMON!r}], env={{}}, start_new_session=True)
while not any(c.pid != spared.pid for c in psutil.Process().children()):
    time.sleep(0.01)
assert trio.run(kill_remaining_descendants, [spared.pid]) == []
alive = [c.pid for c in psutil.Process().children() if c.status() != psutil.STATUS_ZOMBIE]
assert alive == [spared.pid], alive
assert trio.run(kill_remaining_descendants) == []
assert spared.wait() == -9
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)
