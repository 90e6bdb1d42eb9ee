"""The processes of a run: written down before they are started, watched, ended, struck out."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stressrun.safety.ledger import Ledger
from stressrun.services.guardian import Guardian
from stressrun.services.process import Account, ServiceProcess, spawn


@dataclass(slots=True)
class Launched:
    """A process that has to be ended; it is noted in the ledger before it is there."""

    name: str
    mark: str
    signals: tuple[signal.Signals, ...]
    entry: int
    process: ServiceProcess | None = None


class Launcher:
    """Starts and ends processes, so that none outlives the run unsaid; logs go to `directory`."""

    def __init__(self, *, run_id: str, directory: Path, ledger: Ledger, guardian: Guardian) -> None:
        self._run_id = run_id
        self._directory = directory
        self._ledger = ledger
        self._guardian = guardian

    def note(self, name: str, signals: tuple[signal.Signals, ...]) -> Launched:
        """Write the intent down. Raises LedgerError."""
        mark = f"{self._run_id}/{name}"
        entry = self._ledger.record(self._run_id, "process", name=name, mark=mark)
        return Launched(name, mark, signals, entry)

    def launch(
        self,
        launched: Launched,
        command: Sequence[str],
        *,
        cwd: str,
        env: Mapping[str, str],
        account: Account | None = None,
        death_signal: signal.Signals | None = signal.SIGKILL,
        pass_fds: Sequence[int] = (),
        label: str = "",
    ) -> ServiceProcess:
        """Start what has been noted, in place of what it was before; call it on the main thread.

        Raises SetupError when it cannot be started, which calls it by its label.
        """
        if launched.process is not None:
            self._guardian.forget_group(launched.process.pid)
        process = launched.process = spawn(
            launched.name,
            command,
            log=self._directory / f"{launched.name}.log",
            mark=launched.mark,
            env=env,
            cwd=cwd,
            account=account,
            death_signal=death_signal,
            pass_fds=pass_fds,
            label=label,
        )
        self._guardian.watch_group(process.pid)
        intent = launched.entry
        launched.entry = self._ledger.record(
            self._run_id,
            "process",
            name=launched.name,
            mark=launched.mark,
            pid=process.pid,
            pgid=process.pid,
            created=process.created,
            signals=list(launched.signals),
        )
        self._ledger.settle(intent)
        return process

    async def end(self, launched: Launched) -> list[int]:
        """End a process with all its descendants; returns the pids that could not be ended.

        Cannot be cancelled. Raises LedgerError.
        """
        if launched.process is not None:
            survivors = await launched.process.stop(signals=launched.signals)
            if survivors:
                return survivors
            self._guardian.forget_group(launched.process.pid)
        self._ledger.settle(launched.entry)
        return []


def runnable(
    command: Sequence[str], env: Mapping[str, str]
) -> tuple[Sequence[str], Mapping[str, str]]:
    """A scenario's command and its environment as they are started."""
    environment = {**os.environ, "PATH": _search_path(), **env}
    program, *arguments = command
    if program == "python" and shutil.which(program, path=environment["PATH"]) is None:
        program = sys.executable
    return [program, *arguments], environment


def _search_path() -> str:
    """The PATH of a command: ours, with the folder of our own interpreter first.

    So `python` is the one that stressrun is installed for, whether or not its virtual environment
    was activated. A tool of pipx or uv is not where the user's code lives: there an activated
    environment goes first.
    """
    path = os.environ.get("PATH", os.defpath)
    receipts = (Path(sys.prefix, name) for name in ("pipx_metadata.json", "uv-receipt.toml"))
    if "VIRTUAL_ENV" in os.environ and any(receipt.exists() for receipt in receipts):
        return path
    return os.pathsep.join((os.path.dirname(sys.executable), path))
