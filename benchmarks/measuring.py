"""Programs run, pinned to a core or not, and what they cost: CPU seconds and peak memory."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil

SERVER_CORE = 0
CLIENT_CORE = 1
_SAMPLING = 0.25
# How long a client may take beside its load: to start, to connect and to end.
PATIENCE = 60.0


class BenchmarkError(Exception):
    """Something without which there is no figure; the message is for the user."""


class Sample(NamedTuple):
    """What a program and its descendants had used at an instant, and what `count` said then.

    The instant `at` is of the monotonic clock.
    """

    at: float
    cpu_seconds: float
    total: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What a program and all its descendants used.

    `cpu_seconds` is user and system time from the first instruction to the last; `samples` were
    taken on the way. `peaks` holds the peak resident bytes of each process with its command line.
    """

    cpu_seconds: float
    samples: tuple[Sample, ...]
    peaks: tuple[tuple[str, int], ...]

    @property
    def peak(self) -> int:
        """The sum of all peaks: pages that processes share count in each."""
        return sum(size for _, size in self.peaks)

    def peak_of(self, program: str) -> int:
        """The largest peak of the processes whose command line names a program."""
        return max((size for command, size in self.peaks if program in command), default=0)


def run_client(
    command: Sequence[str],
    *,
    folder: Path,
    patience: float,
    core: int | None = CLIENT_CORE,
    env: Mapping[str, str] | None = None,
    count: Callable[[], int] = int,
) -> Cost:
    """Run a program in a folder to its end; what it prints is in the folder's file `output`.

    It is pinned to the core, or may run wherever we may.
    Raises BenchmarkError when it does not end within `patience` seconds.
    """
    samples: list[Sample] = []
    peaks: dict[int, tuple[str, int]] = {}
    deadline = time.monotonic() + patience
    with started(command, folder=folder, env=env, core=core) as process:
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                used = usage.ru_utime + usage.ru_stime
                return Cost(used, tuple(samples), tuple(peaks.values()))
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{command[0]} did not end within {patience:.0f} s")
            tree = _tree(process.pid)
            peaks.update(_peaks(tree))
            samples.append(Sample(time.monotonic(), sum(map(_cpu_seconds, tree)), count()))
            time.sleep(_SAMPLING)


@contextmanager
def started(
    command: Sequence[str],
    *,
    folder: Path,
    core: int | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs within the block; at its end it is killed with its descendants."""
    pinned = () if core is None else ("taskset", "-c", str(core))
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [*pinned, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, **(env or {})},
            # A ^C is ours alone to pass on, at once and to all.
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            _kill(process)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def answer_of(*command: str) -> str:
    """What a program prints, or nothing where it is missing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return (done.stdout + done.stderr).strip()


def machine() -> str:
    """The machine in a line: processor, cores, kernel, Python."""
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
        return (
            f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores, "
            f"Linux {platform.release()}, Python {platform.python_version()}"
        )
    return platform.platform()


def wake_up_cost() -> str:
    """What the client's core charges a process for each time that it is woken."""
    program = Path(__file__).with_name("wake_up.py")
    pinned = answer_of("taskset", "-c", str(CLIENT_CORE), sys.executable, str(program))
    nothing, some, work = pinned.split()
    return (
        f"A wake-up costs an otherwise idle process {nothing} µs of CPU time here, "
        f"and {some} µs with work in it that takes {work} µs without the sleep."
    )


def main(
    arguments: argparse.ArgumentParser,
    run: Callable[[argparse.Namespace], int],
    *,
    cores: Set[int] = frozenset({SERVER_CORE}),
) -> None:
    """Parse the command line, run on these cores, and exit; a signal ends everything at once."""
    options = arguments.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    if not {SERVER_CORE, CLIENT_CORE} <= os.sched_getaffinity(0):
        sys.exit(f"cores {SERVER_CORE} and {CLIENT_CORE} are needed")
    os.sched_setaffinity(0, cores)
    try:
        sys.exit(run(options))
    except BenchmarkError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def _tree(root: int) -> list[psutil.Process]:
    """A process and its descendants that are there now."""
    try:
        process = psutil.Process(root)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _cpu_seconds(process: psutil.Process) -> float:
    """User and system time of a process and of its children that have ended."""
    try:
        return sum(process.cpu_times()[:4])
    except psutil.NoSuchProcess:
        return 0.0


def _peaks(tree: Sequence[psutil.Process]) -> dict[int, tuple[str, int]]:
    """The command line and peak of each process by its pid."""
    peaks = {}
    for process in tree:
        with suppress(psutil.NoSuchProcess, ProcessLookupError, FileNotFoundError):
            if size := _high_water_mark(process.pid):
                peaks[process.pid] = (" ".join(process.cmdline()), size)
    return peaks


def _high_water_mark(pid: int) -> int:
    # Not ru_maxrss: it begins with the memory of the process that was forked, which is ours.
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(psutil.NoSuchProcess):
        # Stopped first, so that it starts no more while we look.
        psutil.Process(process.pid).suspend()
    for each in _tree(process.pid):
        with suppress(psutil.NoSuchProcess):
            each.kill()
    process.wait()
