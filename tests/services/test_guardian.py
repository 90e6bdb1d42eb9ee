from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from surroundings import eventually, marked

from stressrun.services.guardian import Guardian
from stressrun.services.process import MARK

DEAF = (
    "import signal, time\n"
    "for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(n, signal.SIG_IGN)\n"
    "print('deaf', flush=True); time.sleep(600)"
)


@pytest.fixture
def kill_controller(tmp_path: Path) -> Callable[[str], str]:
    """Runs a controller that does what it is told to, and kills itself; returns the run's id."""

    def run(body: str) -> str:
        run_id = f"test-{secrets.token_hex(4)}"
        script = textwrap.dedent("""
            import os, signal, subprocess, sys, time
            from stressrun.services.guardian import Guardian
            from stressrun.services.process import MARK
            guardian = Guardian(f"{MARK}={run_id}")

            def start(env=None, **more):
                process = subprocess.Popen([sys.executable, "-c", deaf], env=env or {},
                    stdout=subprocess.PIPE, start_new_session=True, **more)
                assert process.stdout.readline()
                print(process.pid, flush=True)
                return process
        """)
        ending = "\nos.kill(os.getpid(), signal.SIGKILL)\n"
        names = f"run_id, deaf, directory = {run_id!r}, {DEAF!r}, {str(tmp_path / 'data')!r}\n"
        script = names + script + textwrap.dedent(body) + ending
        result = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        assert result.returncode == -signal.SIGKILL
        (tmp_path / "pids").write_text(result.stdout)
        return run_id

    return run


def started(tmp_path: Path) -> list[int]:
    return [int(line) for line in (tmp_path / "pids").read_text().split()]


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_group_of_a_killed_controller_ends(
    kill_controller: Callable[[str], str], tmp_path: Path
) -> None:
    kill_controller("guardian.watch_group(start().pid)")
    (pid,) = started(tmp_path)
    eventually(lambda: not lives(pid))


def test_marked_processes_of_a_killed_controller_end_wherever_they_went(
    kill_controller: Callable[[str], str], tmp_path: Path
) -> None:
    run_id = kill_controller('start(env={MARK: run_id + "/api"})')
    (pid,) = started(tmp_path)
    eventually(lambda: not lives(pid))
    assert marked(run_id) == []


def test_a_directory_is_removed_after_the_processes_that_work_in_it(
    kill_controller: Callable[[str], str], tmp_path: Path
) -> None:
    kill_controller(
        """
        os.makedirs(directory + "/base")
        open(directory + "/base/file", "w").close()
        guardian.watch_directory(directory)
        start(cwd=directory + "/base")
        """
    )
    (pid,) = started(tmp_path)
    eventually(lambda: not lives(pid) and not (tmp_path / "data").exists())


def test_what_was_forgotten_or_never_named_lives_on(
    kill_controller: Callable[[str], str], tmp_path: Path
) -> None:
    kill_controller(
        """
        forgotten, stranger, watched = start(), start(), start()
        for process in (forgotten, watched):
            guardian.watch_group(process.pid)
        guardian.forget_group(forgotten.pid)
        """
    )
    forgotten, stranger, watched = started(tmp_path)
    try:
        eventually(lambda: not lives(watched))
        assert lives(forgotten)
        assert lives(stranger)
    finally:
        os.kill(forgotten, signal.SIGKILL)
        os.kill(stranger, signal.SIGKILL)


def test_what_was_released_lives_on(kill_controller: Callable[[str], str], tmp_path: Path) -> None:
    run_id = kill_controller(
        """
        guardian.watch_group(start(env={MARK: run_id}).pid)
        guardian.release()
        """
    )
    (pid,) = started(tmp_path)
    assert marked(run_id) == [pid]
    os.kill(pid, signal.SIGKILL)


def test_a_guardian_ignores_the_signals_that_end_a_run_and_ends_when_released() -> None:
    guardian = Guardian(f"{MARK}=test-{secrets.token_hex(4)}")
    process = psutil.Process(guardian.pid)
    guardian.watch_group(guardian.pid)  # it is up when it has read something
    ignored = 1 << (signal.SIGTERM - 1)
    status = Path(f"/proc/{guardian.pid}/status")
    eventually(
        lambda: int(status.read_text().split("SigIgn:\t")[1].split()[0], 16) & ignored == ignored
    )
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        process.send_signal(number)
    assert process.is_running()
    assert os.getsid(guardian.pid) == guardian.pid
    guardian.release()
    guardian.release()
    assert not process.is_running()


def test_a_guardian_that_was_killed_disturbs_nobody() -> None:
    guardian = Guardian(f"{MARK}=test-{secrets.token_hex(4)}")
    os.kill(guardian.pid, signal.SIGKILL)
    eventually(lambda: psutil.Process(guardian.pid).status() == psutil.STATUS_ZOMBIE)
    guardian.watch_group(os.getpid())
    guardian.release()
