"""A PostgreSQL server of the run's own: from nothing to ready in about a second, then thrown away.

It listens on the loopback only, keeps its data in a temporary directory, and has the server's
default settings but for those that the scenario declares.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import trio

from stressrun.errors import ResidueError, SetupError
from stressrun.scenario.model import EmbeddedPostgres
from stressrun.services.binaries import Installation
from stressrun.services.ports import LOOPBACK
from stressrun.services.process import Account, ServiceProcess, describe_status

_READY_WITHIN = 60.0
_POLL = 0.02
_STATUS_LINE = 7
# Fast shutdown ends the sessions and writes everything; immediate shutdown writes nothing.
STOP_SIGNALS = (signal.SIGINT, signal.SIGQUIT)


class Launch(Protocol):
    """Starts a process of the service and has it watched."""

    def __call__(
        self,
        command: Sequence[str],
        *,
        cwd: str,
        account: Account | None,
        death_signal: signal.Signals,
    ) -> ServiceProcess: ...


def data_directory(run_id: str, name: str, account: Account | None) -> Path:
    """Where a server's data will lie: for another account, where everybody can enter."""
    base = Path(tempfile.gettempdir()).resolve()
    if account is not None and not all(
        folder.stat().st_mode & 0o001 for folder in (base, *base.parents)
    ):
        base = Path("/tmp")
    return base / f"stressrun-{run_id}-{name}"


class EmbeddedServer:
    """One server: made by `start()`, ended in whatever state it is by `launch`'s owner."""

    def __init__(
        self,
        service: EmbeddedPostgres,
        installation: Installation,
        account: Account | None,
        directory: Path,
        launch: Launch,
    ) -> None:
        self._service = service
        self._installation = installation
        self._account = account
        self._directory = directory
        self._launch = launch
        self._data = directory / "data"

    async def start(self, port: int, password: str) -> None:
        """Make the data directory and start the server; returns when it takes connections.

        Raises SetupError with the last lines of the log.
        """
        command = [str(self._installation.bin / "postgres"), "-D", str(self._data)]
        for setting, value in self._settings(port).items():
            command += ["-c", f"{setting}={value}"]
        self._make_directory()
        await self._initialise(password)
        # The kernel's SIGKILL would leave shared memory behind; an immediate shutdown does not.
        await self._until_ready(self._run(command, death_signal=signal.SIGQUIT))

    def _settings(self, port: int) -> dict[str, str]:
        own = {
            "listen_addresses": LOOPBACK,
            "port": str(port),
            "unix_socket_directories": "",
        }
        for setting in self._service.settings:
            if setting.lower() in own:
                raise SetupError(
                    f"service {self._service.name!r}: the setting {setting!r} is not free: "
                    "the server listens on its port of the loopback only",
                    hint="take it out of settings; the port stands under the service itself",
                )
        return {**self._service.settings, **own}

    def _make_directory(self) -> None:
        try:
            self._directory.mkdir(mode=0o700)
            if self._account:
                os.chown(self._directory, self._account.uid, self._account.gid)
        except OSError as error:
            raise SetupError(
                f"the data directory {self._directory} could not be made: {error.strerror}",
                hint="make room there, or point TMPDIR elsewhere",
            ) from error

    async def _initialise(self, password: str) -> None:
        secret = self._directory / "password"
        with open(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(password + "\n")
        if self._account:
            os.chown(secret, self._account.uid, self._account.gid)
        process = self._run(
            [
                str(self._installation.bin / "initdb"),
                f"--pgdata={self._data}",
                f"--username={self._service.user}",
                f"--pwfile={secret}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ],
            death_signal=signal.SIGKILL,
        )
        status = await process.wait()
        if status != 0:
            raise _failed(process, f"initdb ended with {describe_status(status)}")
        await process.stop(signals=[signal.SIGTERM])
        secret.unlink()

    def _run(self, command: list[str], *, death_signal: signal.Signals) -> ServiceProcess:
        return self._launch(
            command, cwd=str(self._directory), account=self._account, death_signal=death_signal
        )

    async def _until_ready(self, process: ServiceProcess) -> None:
        """Wait until the server says in its pid file that it is ready, as pg_ctl does."""
        deadline = time.monotonic() + _READY_WITHIN
        while not self._says_ready():
            if process.status is not None:
                raise _failed(process, f"PostgreSQL ended with {describe_status(process.status)}")
            if time.monotonic() > deadline:
                raise _failed(process, f"PostgreSQL was not ready within {_READY_WITHIN:g} s")
            await trio.sleep(_POLL)

    def _says_ready(self) -> bool:
        try:
            lines = (self._data / "postmaster.pid").read_bytes().splitlines()
        except OSError:
            return False
        return len(lines) > _STATUS_LINE and lines[_STATUS_LINE].strip() == b"ready"


def _failed(process: ServiceProcess, what: str) -> SetupError:
    return SetupError(
        f"service {process.name!r}: {what}; its last lines:\n{process.tail()}",
        hint=f"see its settings in the scenario, and all of its log in {process.log}",
    )


def remove_directory(directory: Path) -> None:
    """Remove a data directory with all that is in it. Raises ResidueError where it stays."""
    shutil.rmtree(directory, ignore_errors=True)
    if directory.exists():
        raise ResidueError(
            f"the directory {directory} could not be removed",
            hint=f"remove it by hand: rm -rf {directory}",
        )
