"""All services of a run: their addresses known before the start, ended in reverse order."""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

import psycopg
import trio
from psycopg import sql

from stressrun.data.references import substitute
from stressrun.errors import ResidueError, SetupError
from stressrun.http.client import BY_DEFAULT
from stressrun.http.origin import origin_of
from stressrun.postgres.connection import connect
from stressrun.postgres.url import DatabaseUrl, completed
from stressrun.safety.guard import Guard
from stressrun.safety.ledger import Entry, Ledger, LedgerError
from stressrun.scenario.model import (
    CommandService,
    EmbeddedPostgres,
    ExistingPostgres,
    ExistingService,
    Http,
    MockService,
    Service,
)
from stressrun.services import embedded
from stressrun.services.binaries import find_installation, made_runnable, unprivileged_account
from stressrun.services.guardian import Guardian
from stressrun.services.launching import Launched, Launcher, runnable
from stressrun.services.ports import LOOPBACK, PortTakenError, free_ports, is_free
from stressrun.services.process import (
    Account,
    ServiceProcess,
    cpu_seconds,
    describe_status,
    end,
    end_marked,
    is_process,
)
from stressrun.services.readiness import until_ready
from stressrun.units import format_duration

_STOP_SIGNALS = (signal.SIGTERM,)


def reserve(services: Sequence[Service]) -> dict[str, str]:
    """What `${services.NAME.…}` stands for, by the name in it: ports are allocated here.

    Raises SetupError when no port is free, or a database URL cannot be read.
    """
    ours = [s for s in services if isinstance(s, EmbeddedPostgres | CommandService | MockService)]
    fixed = {service.port for service in ours if service.port is not None}
    ports = iter(free_ports(sum(service.port is None for service in ours), without=fixed))
    values: dict[str, str] = {}
    for service in services:
        match service:
            case EmbeddedPostgres():
                found = _of_embedded(service, service.port or next(ports))
            case CommandService() | MockService():
                found = _of_http(f"http://{LOOPBACK}:{service.port or next(ports)}")
            case ExistingPostgres():
                found = _of_existing(str(substitute(service.url, values)))
            case ExistingService():
                found = _of_http(str(substitute(service.url, values)))
        values |= {f"services.{service.name}.{attribute}": v for attribute, v in found.items()}
    return values


def _of_embedded(service: EmbeddedPostgres, port: int) -> dict[str, str]:
    password = service.password or secrets.token_urlsafe(16)
    return {
        "url": _postgres_url(service.user, password, port, service.database),
        "host": LOOPBACK,
        "port": str(port),
        "user": service.user,
        "password": password,
        "database": service.database,
    }


def _of_existing(text: str) -> dict[str, str]:
    url = DatabaseUrl.of(text)
    return {
        "url": completed(text),
        "host": url.host or url.place,
        "port": str(url.port),
        "user": url.parameters.get("user", ""),
        "password": url.parameters.get("password", ""),
        "database": url.database,
    }


def _of_http(url: str) -> dict[str, str]:
    try:
        origin = origin_of(url)
        return {"url": url, "host": origin.host, "port": str(origin.port)}
    except ValueError as error:
        raise SetupError(
            f"a service's url cannot be read: {url}: {error}", hint="such as http://127.0.0.1:8000"
        ) from error


def _postgres_url(user: str, password: str, port: int, database: str) -> str:
    name, secret = quote(user, safe=""), quote(password, safe="")
    return f"postgresql://{name}:{secret}@{LOOPBACK}:{port}/{quote(database, safe='')}"


@dataclass(frozen=True, slots=True)
class Lost:
    """A service that ended by itself."""

    name: str
    status: str
    tail: str


@dataclass(slots=True)
class _Started:
    """What of a service has to be undone; it is noted before it is made."""

    launched: Launched
    directory: tuple[Path, int] | None = None


class Services:
    """The services of one run; `stop()` undoes whatever `start()` has got to."""

    def __init__(
        self,
        *,
        run_id: str,
        directory: Path,
        ledger: Ledger,
        guardian: Guardian,
        guard: Guard,
        keep: bool,
        told: Callable[[str], None],
    ) -> None:
        """Logs go to `directory`; with `keep` the processes may outlive this one.

        Another `guard` may take the place of this one until they are started.
        """
        self.launcher = Launcher(
            run_id=run_id, directory=directory, ledger=ledger, guardian=guardian
        )
        self._run_id = run_id
        self._ledger = ledger
        self._guardian = guardian
        self.guard = guard
        self._keep = keep
        self._told = told
        self._base_url: str | None = None
        self._http = BY_DEFAULT
        self._started: list[_Started] = []
        self._released: list[_Started] = []

    async def start(
        self,
        services: Sequence[Service],
        values: Mapping[str, str],
        *,
        base_url: str | None = None,
        http: Http = BY_DEFAULT,
    ) -> None:
        """Start one after the other, each when the one before is ready.

        Mocks are left out: they are there before. `services` have their references resolved with
        the `values` that `reserve` gave; the one at `base_url` is asked as `http` says. Raises
        SetupError, and RefusedError of the guard. Call it on the main thread.
        """
        self._base_url, self._http = base_url, http
        for service in services:
            if isinstance(service, MockService):
                continue
            begin = time.monotonic()
            match service:
                case EmbeddedPostgres():
                    await self._start_embedded(service, values)
                case CommandService():
                    await self._start_command(service, values)
                case ExistingPostgres():
                    await self._check_database(service.url)
                case ExistingService():
                    await self._until_ready(service, service.url)
            host, port = (values[f"services.{service.name}.{key}"] for key in ("host", "port"))
            took = format_duration(time.monotonic() - begin)
            self._told(f"service {service.name} is ready at {host or 'localhost'}:{port} ({took})")

    async def stop(self, *, databases: bool = True) -> None:
        """End everything, or all but databases, in reverse order; cannot be cancelled.

        Does not raise: what could not be ended or removed is told, and stays in the ledger.
        """
        with trio.CancelScope(shield=True):
            for started in reversed(self._started.copy()):
                if not databases and started.directory is not None:
                    continue
                self._started.remove(started)
                try:
                    await self._undo(started)
                except LedgerError as error:
                    self._told(error.message)

    def pids(self) -> dict[str, int]:
        """The number of each service's first process, by name."""
        processes = (started.launched.process for started in self._started)
        return {process.name: process.pid for process in processes if process is not None}

    def cpu_seconds(self) -> dict[str, float]:
        """The CPU time that each service has used so far, with its descendants, by name."""
        processes = (started.launched.process for started in self._started)
        return {
            process.name: cpu_seconds(process.pid) for process in processes if process is not None
        }

    def lost(self) -> list[Lost]:
        """The services that have ended by themselves."""
        return [
            Lost(process.name, describe_status(process.status), process.tail())
            for started in self._started
            if (process := started.launched.process) is not None and process.status is not None
        ]

    def release(self) -> None:
        """Let everything go on without us, as the ledger names it; nothing is left to stop."""
        # Kept, because the end of a handle would warn that its process still runs.
        self._released = self._started
        self._started = []

    async def _start_embedded(self, service: EmbeddedPostgres, values: Mapping[str, str]) -> None:
        port, password = (values[f"services.{service.name}.{key}"] for key in ("port", "password"))
        self._check_port(service.name, int(port))
        account = unprivileged_account()
        installation = made_runnable(find_installation(), account)
        directory = embedded.data_directory(self._run_id, service.name, account)
        entry = self._ledger.record(self._run_id, "directory", path=str(directory))
        started = self._note(service.name, embedded.STOP_SIGNALS)
        started.directory = directory, entry
        self._guardian.watch_directory(str(directory))
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_"))}
        launch = partial(self._launch, started, env=environment)
        server = embedded.EmbeddedServer(service, installation, account, directory, launch)
        await server.start(int(port), password)
        if service.database != "postgres":
            url = _postgres_url(service.user, password, int(port), "postgres")
            await self._create_database(url, service.database)

    async def _start_command(self, service: CommandService, values: Mapping[str, str]) -> None:
        self._check_port(service.name, int(values[f"services.{service.name}.port"]))
        command, environment = runnable(service.command, service.env)
        started = self._note(service.name, _STOP_SIGNALS)
        process = self._launch(started, command, cwd=service.cwd, env=environment)
        url = values[f"services.{service.name}.url"]
        await self._until_ready(service, url, process)

    async def _until_ready(
        self,
        service: CommandService | ExistingService,
        url: str,
        process: ServiceProcess | None = None,
    ) -> None:
        base_url = self._base_url
        is_base = base_url is not None and origin_of(url) == origin_of(base_url)
        http = self._http if is_base else BY_DEFAULT
        await until_ready(service.name, url, service.ready, self.guard, process, http)

    async def _check_database(self, url: str) -> None:
        connection = await connect(url, guard=self.guard, run_id=self._run_id)
        await connection.close()

    async def _create_database(self, url: str, name: str) -> None:
        connection = await connect(url, guard=self.guard, run_id=self._run_id)
        try:
            await connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        except psycopg.Error as error:
            raise SetupError(
                f"the database {name!r} could not be created: {error}",
                hint="give the service another database",
            ) from error
        finally:
            await connection.close()

    def _check_port(self, name: str, port: int) -> None:
        if not is_free(port):
            raise PortTakenError(
                f"service {name!r} cannot have its port {port}: another process listens there",
                hint="end that process, or leave the port out to have a free one",
            )

    def _note(self, name: str, signals: tuple[signal.Signals, ...]) -> _Started:
        started = _Started(self.launcher.note(name, signals))
        self._started.append(started)
        return started

    def _launch(
        self,
        started: _Started,
        command: Sequence[str],
        *,
        cwd: str,
        env: Mapping[str, str],
        account: Account | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> ServiceProcess:
        return self.launcher.launch(
            started.launched,
            command,
            cwd=cwd,
            env=env,
            account=account,
            death_signal=None if self._keep else death_signal,
        )

    async def _undo(self, started: _Started) -> None:
        survivors = await self.launcher.end(started.launched)
        if survivors:
            name = started.launched.name
            self._told(f"service {name}: processes {survivors} could not be ended")
            return
        if started.directory is not None:
            directory, entry = started.directory
            try:
                embedded.remove_directory(directory)
            except ResidueError as error:
                self._told(error.message)
                return
            self._ledger.settle(entry)


def is_alive(entry: Entry) -> bool:
    """Whether the process of a ledger entry is still running."""
    return "pid" in entry.detail and is_process(entry.detail["pid"], entry.detail["created"])


async def undo(entry: Entry) -> None:
    """Undo an entry of the kind `process` or `directory` that another run has left.

    Raises ResidueError where something stays.
    """
    if entry.kind == "directory":
        embedded.remove_directory(Path(entry.detail["path"]))
        return
    mark = entry.detail["mark"]
    survivors: list[int] = []
    if is_alive(entry):
        signals = [signal.Signals(number) for number in entry.detail["signals"]]
        survivors = await end(entry.detail["pid"], mark, signals=signals)
    survivors += await end_marked(mark)
    if survivors:
        pids = " ".join(map(str, survivors))
        raise ResidueError(
            f"service {entry.detail['name']!r}: processes {pids} could not be ended",
            hint=f"end them as the user that they run as: kill -9 {pids}",
        )
