"""Ends what a killed run left: a tiny process that outlives its controller by a moment.

The controller holds one end of a pipe and writes lines to it: `group PGID`, `forget PGID`,
`directory PATH` and `release`. When the pipe ends without `release`, the controller was killed
with no time to tidy up: the guardian ends the groups, every process that carries the run's mark
in its environment or works in one of the directories, and then removes the directories.

The file is run by itself, with the standard library only: `python -I -S guardian.py MARK`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

_GRACE = 1.0
_DEADLINE = 10.0


class Guardian:
    """The controller's side: what the guardian should end if we cannot."""

    def __init__(self, mark: str) -> None:
        """Start a guardian for the processes whose environment holds a string starting with mark.

        Returns at once; call it on the main thread.
        """
        reader, self._writer = os.pipe()
        try:
            self._popen = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__, mark],
                stdin=reader,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
        except BaseException:
            os.close(self._writer)
            raise
        finally:
            os.close(reader)
        self.pid = self._popen.pid

    def watch_group(self, pgid: int) -> None:
        self._tell(f"group {pgid}")

    def forget_group(self, pgid: int) -> None:
        self._tell(f"forget {pgid}")

    def watch_directory(self, path: str) -> None:
        """Have a directory removed if we are killed."""
        self._tell(f"directory {path}")

    def release(self) -> None:
        """Let go of everything and end the guardian."""
        if self._writer < 0:
            return
        self._tell("release")
        self._finish(_DEADLINE)

    def avenge(self) -> None:
        """Have the guardian do now what it would do if we were killed, and wait for it."""
        if self._writer >= 0:
            self._finish(2 * _DEADLINE)

    def _finish(self, deadline: float) -> None:
        os.close(self._writer)
        self._writer = -1
        try:
            self._popen.wait(timeout=deadline)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def _tell(self, line: str) -> None:
        if self._writer < 0:
            return
        # Where somebody killed the guardian, the ledger still names what it watched.
        with suppress(BrokenPipeError):
            os.write(self._writer, os.fsencode(line) + b"\n")


class _Process(NamedTuple):
    pid: int
    parent: int
    group: int
    started: int


def main(mark: str) -> None:
    """Read lines until the pipe ends, then do what the controller no longer can."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: dict[int, int] = {}
    directories: list[str] = []
    for line in sys.stdin.buffer:
        word, _, rest = line.rstrip(b"\n").partition(b" ")
        if word == b"group":
            leader = _read(int(rest))
            groups[int(rest)] = leader.started if leader else 0
        elif word == b"forget":
            groups.pop(int(rest), None)
        elif word == b"directory":
            directories.append(os.fsdecode(rest))
        elif word == b"release":
            return
    _end(lambda: _left(os.fsencode(mark), groups, directories))
    import shutil

    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


def _end(find: Callable[[], list[int]]) -> None:
    """SIGTERM once, and SIGKILL after the grace period until nothing is left."""
    number = signal.SIGTERM
    begin = time.monotonic()
    told: set[int] = set()
    while (pids := find()) and time.monotonic() - begin < _DEADLINE:
        if time.monotonic() - begin > _GRACE:
            number = signal.SIGKILL
            told.clear()
        for pid in pids:
            if pid not in told:
                told.add(pid)
                with suppress(OSError):
                    os.kill(pid, number)
        time.sleep(0.02)


def _left(mark: bytes, groups: dict[int, int], directories: list[str]) -> list[int]:
    """The pids of the live processes that the run has left, their descendants with them."""
    processes = [process for pid in _pids() if (process := _read(pid))]
    started = {process.pid: process.started for process in processes}
    # A group whose leader began at another time is somebody else's that got the same number.
    ours = {g for g, begun in groups.items() if started.get(g, begun) == begun}
    left = {
        process.pid
        for process in processes
        if process.group in ours or _marked(process.pid, mark) or _inside(process.pid, directories)
    }
    while more := {p.pid for p in processes if p.parent in left and p.pid not in left}:
        left |= more
    return sorted(left - {os.getpid()})


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _read(pid: int) -> _Process | None:
    """A live process of /proc; None when it is gone or only its exit status is left."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    if fields[0] in (b"Z", b"X"):
        return None
    return _Process(pid, int(fields[1]), int(fields[2]), int(fields[19]))


def _marked(pid: int, mark: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return any(entry.startswith(mark) for entry in file.read().split(b"\0"))
    except OSError:
        return False


def _inside(pid: int, directories: list[str]) -> bool:
    """Whether a process works in one of the directories, as all of PostgreSQL's do."""
    try:
        place = os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return False
    return any(place == path or place.startswith(path + "/") for path in directories)


if __name__ == "__main__":
    main(sys.argv[1])
