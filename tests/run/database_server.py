"""A PostgreSQL server of a test's own: stopped, started and frozen as the test needs it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
import psycopg
import trio
from runs import PATIENCE

from stressrun.services.binaries import Installation, made_runnable, unprivileged_account
from stressrun.services.ports import LOOPBACK, free_ports
from stressrun.services.process import MARK, ServiceProcess, spawn


def installed_with_statements() -> list[Path]:
    """The prefixes of installed servers that have pg_stat_statements."""
    extension = "extension/pg_stat_statements.control"
    return [
        path.parents[1]
        for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
        if (Path("/usr/share/postgresql") / path.parents[1].name / extension).exists()
    ]


class DatabaseServer:
    """A cluster on a port of its own, whose superuser needs no password."""

    def __init__(
        self, installation: Installation, directory: Path, settings: Mapping[str, str]
    ) -> None:
        self._account = unprivileged_account()
        self._bin = made_runnable(installation, self._account).bin
        self._directory = directory
        self._data = directory / "data"
        self.port = free_ports(1)[0]
        self._settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",
            **settings,
        }
        self._process: ServiceProcess | None = None

    @property
    def url(self) -> str:
        return f"postgresql://postgres@{LOOPBACK}:{self.port}/postgres"

    def make(self) -> None:
        """Make the cluster."""
        account = self._account
        if account is not None:
            os.chown(self._directory, account.uid, account.gid)
        command = [str(self._bin / "initdb"), "-D", str(self._data), "-U", "postgres"]
        subprocess.run(
            [*command, "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"],
            cwd=self._directory,
            stdout=subprocess.DEVNULL,
            check=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[account.gid] if account else None,
        )

    def start(self) -> None:
        """Start the server and wait until it takes connections."""
        self._process = spawn(
            "postgres",
            [
                str(self._bin / "postgres"),
                *("-D", str(self._data)),
                *(f"--{name}={value}" for name, value in self._settings.items()),
            ],
            log=self._directory / "log",
            mark=f"tests-{os.getpid()}/postgres-{self.port}",
            env={name: value for name, value in os.environ.items() if name != MARK},
            cwd=str(self._directory),
            account=self._account,
            death_signal=signal.SIGQUIT,
        )
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                psycopg.connect(self.url).close()
            except psycopg.OperationalError:
                assert self._process.status is None, self._process.tail()
                assert time.monotonic() < deadline, self._process.tail()
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """End it as `pg_ctl stop -m immediate` does; what was not committed is lost."""
        if self._process is not None:
            trio.run(partial(self._process.stop, signals=[signal.SIGQUIT]))
            self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """All its processes stand still, and still have their connections."""
        assert self._process is not None
        leader = psutil.Process(self._process.pid)
        leader.suspend()
        family = [leader, *leader.children()]
        for process in family:
            process.suspend()
        try:
            yield
        finally:
            for process in family:
                process.resume()


@contextmanager
def database_server(
    installation: Installation, settings: Mapping[str, str]
) -> Iterator[DatabaseServer]:
    """A server that lives as long as the context."""
    # Another account than ours may run it, which cannot enter pytest's folders.
    directory = Path(tempfile.mkdtemp(prefix="stressrun-tests-", dir="/tmp"))
    server = DatabaseServer(installation, directory, settings)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory)
