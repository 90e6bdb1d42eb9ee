"""A process of a service: in a session of its own, with a log, ended with all its descendants.

Linux only: exits are awaited by a pidfd, strays are found in /proc.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import trio

from stressrun.errors import SetupError

MARK = "STRESSRUN_SERVICE"
"""The environment variable that every process of a service inherits: `RUN_ID/SERVICE`.

It finds descendants that have left the process group and lost their parent.
"""

_KILL_DEADLINE = 5.0
_POLL = 0.02
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Account:
    """The user that a process runs as."""

    name: str
    uid: int
    gid: int


class ServiceProcess:
    """A running process, the leader of its group.

    It stays unreaped until `stop()`, so that neither its number nor its group's can pass to a
    process of somebody else while it may still be signalled.
    """

    def __init__(self, popen: subprocess.Popen[bytes], name: str, log: Path, mark: str) -> None:
        self._popen = popen
        self.name = name
        self.log = log
        self.mark = mark
        self.pid = popen.pid
        self.created = psutil.Process(popen.pid).create_time()

    @property
    def status(self) -> int | None:
        """The exit status, negative for the signal that ended it; None while it runs."""
        if self._popen.returncode is not None:
            return self._popen.returncode
        result = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if result is None:
            return None
        return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status

    async def wait(self) -> int:
        """Wait for the exit of the leader and return its status."""
        if self.status is None:
            descriptor = os.pidfd_open(self.pid)
            try:
                await trio.lowlevel.wait_readable(descriptor)
            finally:
                os.close(descriptor)
        status = self.status
        assert status is not None
        return status

    async def stop(self, *, signals: Sequence[signal.Signals], grace: float = 5.0) -> list[int]:
        """End the process with all its descendants, as `end` does, and reap it."""
        if self._popen.returncode is not None:
            return []
        survivors = await end(self.pid, self.mark, signals=signals, grace=grace)
        if self.status is not None:
            self._popen.wait()
        return survivors

    def tail(self, lines: int = 20) -> str:
        """The last lines of the log, printable."""
        return tail(self.log, lines)


def spawn(
    name: str,
    command: Sequence[str],
    *,
    log: Path,
    mark: str,
    env: Mapping[str, str],
    cwd: str | None = None,
    account: Account | None = None,
    death_signal: signal.Signals | None = signal.SIGKILL,
    pass_fds: Sequence[int] = (),
    label: str = "",
) -> ServiceProcess:
    """Start a process; call it on the main thread. Raises SetupError when it cannot be started.

    `label` is what errors call it, by default the service of its name; `death_signal` is what the
    process gets when the calling *thread* dies, None for nothing.
    """
    label = label or f"service {name!r}"
    if cwd is not None and not os.path.isdir(cwd):
        raise SetupError(
            f"{label} could not be started: the folder {cwd} does not exist",
            hint="correct its cwd",
        )
    try:
        with log.open("ab") as output:
            popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**env, MARK: mark},
                cwd=cwd,
                start_new_session=True,
                pass_fds=pass_fds,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[account.gid] if account else None,
                # Runs after the change of user, which would clear the death signal.
                preexec_fn=_dying_with(os.getpid(), death_signal) if death_signal else None,
            )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SetupError(
            f"{label} could not be started: {command[0]}: {reason}",
            hint="check the command, and the PATH that it is looked up in",
        ) from error
    return ServiceProcess(popen, name, log, mark)


def _dying_with(parent: int, number: signal.Signals) -> Callable[[], None]:
    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # it died before it could be watched
            os._exit(1)

    return prepare


def describe_status(status: int) -> str:
    """`exit status 3` or `killed by SIGSEGV`."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a file, read from its end, with control characters taken out."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 400 * lines))
            text = file.read(400 * lines).decode("utf-8", "replace")
    except OSError:
        return ""
    shown = ["".join(c if c.isprintable() else " " for c in line) for line in text.splitlines()]
    return "\n".join(line.rstrip() for line in shown[-lines:])


async def end(
    leader: int, mark: str, *, signals: Sequence[signal.Signals], grace: float = 5.0
) -> list[int]:
    """End a process group, and what has left it; returns the pids that could not be ended.

    Each signal goes to the group and has the grace period; at last comes SIGKILL, for the
    descendants that left the group too. Cannot be cancelled, and takes at most the grace periods
    and five seconds more. The caller knows that the group is the run's own.
    """
    with trio.CancelScope(shield=True):
        family = relatives(leader, mark)
        for number in signals:
            _signal_group(leader, number)
            # One that was stopped would not hear of it.
            _signal_group(leader, signal.SIGCONT)
            with trio.move_on_after(grace):
                while _group(leader):
                    await trio.sleep(_POLL)
                break
    return await _kill(lambda: [*family, *relatives(leader, mark)])


async def end_marked(mark: str) -> list[int]:
    """SIGKILL every process with a mark; returns the pids that could not be ended."""
    return await _kill(lambda: relatives(None, mark))


def is_process(pid: int, created: float) -> bool:
    """Whether the process created then, in seconds of the epoch, still runs by this number."""
    try:
        process = psutil.Process(pid)
        # The kernel counts from boot, and the clock may have been set since.
        same = abs(process.create_time() - created) < 1
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def relatives(leader: int | None, mark: str) -> list[psutil.Process]:
    """The live processes of a leader's group, those with the mark, and all their descendants."""
    rest = _alive()
    family: list[psutil.Process] = []
    pids = set() if leader is None else {leader}
    while True:
        found = [
            process
            for process in rest
            if process.info["ppid"] in pids
            or (leader is not None and _pgid(process.pid) == leader)
            or _is_marked(process, mark)
        ]
        if not found:
            return family
        family += found
        pids |= {process.pid for process in found}
        rest = [process for process in rest if process.pid not in pids]


def cpu_seconds(pid: int) -> float:
    """The CPU time of a process and its descendants, those that have ended among them."""
    total = 0.0
    with suppress(psutil.Error):
        leader = psutil.Process(pid)
        for process in (leader, *leader.children(recursive=True)):
            with suppress(psutil.Error):
                total += sum(process.cpu_times()[:4])  # its own and those of its reaped children
    return total


def _group(pgid: int) -> list[psutil.Process]:
    return [process for process in _alive() if _pgid(process.pid) == pgid]


def _alive() -> list[psutil.Process]:
    """Every live process but this one."""
    return [
        process
        for process in psutil.process_iter(["ppid", "status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE and process.pid != os.getpid()
    ]


def _pgid(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except OSError:
        return None


def _is_marked(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark
    except (psutil.Error, OSError):
        return False


def _signal_group(pgid: int, number: signal.Signals) -> None:
    # Gone, or not ours to signal: what is left is looked at afterwards.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pgid, number)


async def _kill(find: Callable[[], list[psutil.Process]]) -> list[int]:
    """SIGKILL what `find` returns until nothing of it is left; returns the pids still alive."""
    deadline = time.monotonic() + _KILL_DEADLINE
    with trio.CancelScope(shield=True):
        while (alive := [p for p in find() if _lives(p)]) and time.monotonic() < deadline:
            for process in alive:
                # psutil compares create times: it never signals somebody else's process.
                with suppress(psutil.Error):
                    process.kill()
            await trio.sleep(_POLL)
    return sorted({process.pid for process in alive})


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def become_subreaper() -> None:
    """Make orphaned descendants children of this process, so that it can end them."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


async def kill_remaining_descendants(spare: Collection[int] = ()) -> list[int]:
    """End every descendant of this process but those spared; returns the pids that stay.

    For the very end of a run: it does not ask what a descendant is.
    """
    return await _kill(
        lambda: [
            descendant
            for child in psutil.Process().children()
            if child.pid not in spare
            for descendant in (child, *_descendants(child))
        ]
    )


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []
