"""Undoing what a run made: its own teardown steps, then the ledger, the newest first.

A run does it at its end; `stressrun clean` does the same for runs that were killed or kept.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import trio

from stressrun.errors import ResidueError, StressrunError, UsageError
from stressrun.http.client import fetch
from stressrun.postgres import ownership
from stressrun.postgres.connection import connect
from stressrun.postgres.url import DatabaseUrl
from stressrun.safety.guard import Guard
from stressrun.safety.ledger import Entry, Ledger, LedgerError
from stressrun.scenario.model import (
    CommandService,
    EmbeddedPostgres,
    ExistingPostgres,
    ExistingService,
    Http,
    RequestTeardown,
    Scenario,
    SqlTeardown,
    Tls,
)
from stressrun.services import running

_STEP_TIMEOUT = 30.0
_DATA_TIMEOUT = 600.0
_LOCK = "lock"
SERVICE_KINDS = ("process", "directory")


def database_is_disposable(scenario: Scenario, values: Mapping[str, str]) -> bool:
    """Whether a scenario's database is a server of the run's own, which ends with it.

    `values` are those of the scenario's references.
    """
    return any(
        isinstance(service, EmbeddedPostgres)
        and values[f"services.{service.name}.url"] == scenario.database_url
        for service in scenario.services
    )


def record(scenario: Scenario, values: Mapping[str, str], ledger: Ledger, run_id: str) -> None:
    """Write the scenario's teardown steps into the ledger, before there is anything to undo."""
    disposable = database_is_disposable(scenario, values)
    existing = any(isinstance(s, ExistingPostgres | ExistingService) for s in scenario.services)
    for step in scenario.teardown:
        match step:
            case SqlTeardown():
                detail = {"url": scenario.database_url, "sql": step.sql}
                ledger.record(run_id, "sql", disposable=disposable, **detail)
            case RequestTeardown():
                base_url = (scenario.base_url or "").rstrip("/")
                service = _service_at(base_url, scenario, values)
                ledger.record(
                    run_id,
                    "request",
                    disposable=disposable and service is not None and not existing,
                    method=step.method,
                    url=f"{base_url}{step.path}",
                    service=service,
                    tls=asdict(scenario.http.tls),
                    unix_socket=scenario.http.unix_socket,
                )


async def undo_data(
    ledger: Ledger, guard: Guard, run_id: str, told: Callable[[str], None]
) -> list[str]:
    """Perform a run's teardown steps in their order, then remove its rows and tables.

    Settles what was undone; returns what was not, and why. A failed step on disposable services
    is only told: what it was to remove goes with them.
    """
    entries = ledger.outstanding(run_id)
    living = {
        entry.detail["name"]
        for entry in entries
        if entry.kind == "process" and running.is_alive(entry)
    }
    steps = [entry for entry in reversed(entries) if entry.kind in ("sql", "request")]
    data = [entry for entry in entries if entry.kind in ("rows", "table")]
    failures = []
    for entry in [*steps, *data]:
        timeout = _STEP_TIMEOUT if entry in steps else _DATA_TIMEOUT
        message = f"not within {timeout:.0f} s"
        with trio.move_on_after(timeout):
            message = await _undone(entry, guard, run_id, living)
        failure = f"{describe(entry)}: {message}"
        if message and not entry.detail.get("disposable"):
            failures.append(failure)
            continue
        if message:
            told(failure)
        try:
            ledger.settle(entry.id)
        except LedgerError as error:
            failures.append(f"{describe(entry)}: undone, but {error.message}")
    return failures


async def _undone(entry: Entry, guard: Guard, run_id: str, living: Collection[str]) -> str:
    """Undo one entry; the reason why not, or an empty text."""
    try:
        match entry.kind:
            case "sql":
                await _execute(entry.detail["url"], entry.detail["sql"], guard, run_id)
            case "request":
                method, url = entry.detail["method"], entry.detail["url"]
                if (service := entry.detail["service"]) and service not in living:
                    # Whoever listens on its port now is somebody else.
                    return f"not sent, as the service {service} has ended"
                http = _http_of(entry)
                answer = await fetch(method, url, guard=guard, timeout=_STEP_TIMEOUT, http=http)
                if answer.status_code >= 400:
                    return f"answered with status {answer.status_code}"
            case _:
                await ownership.undo(entry, guard=guard, run_id=run_id)
    except ResidueError as error:
        return f"{error.message} ({error.hint})"
    except StressrunError as error:
        return error.message
    except psycopg.Error as error:
        return str(error).strip() or type(error).__name__
    return ""


def _http_of(entry: Entry) -> Http:
    """How a request is sent, as `record` noted it; of an older version there is nothing."""
    detail = entry.detail
    return Http(tls=Tls(**detail.get("tls", {})), unix_socket=detail.get("unix_socket"))


async def _execute(url: str, sql: str, guard: Guard, run_id: str) -> None:
    async with await connect(url, guard=guard, run_id=run_id) as connection:
        # As one simple query: several statements in a step are one transaction.
        await connection.execute(sql.encode(), prepare=False)


def _service_at(base_url: str, scenario: Scenario, values: Mapping[str, str]) -> str | None:
    """The service that the run itself starts at an address."""
    for service in scenario.services:
        port = values[f"services.{service.name}.port"]
        if isinstance(service, CommandService) and str(urlsplit(base_url).port) == port:
            return service.name
    return None


def describe(entry: Entry) -> str:
    """What an entry stands for, in a few words."""
    detail = entry.detail
    match entry.kind:
        case "sql":
            return f"teardown step `{detail['sql']}`"
        case "request":
            return f"teardown step `{detail['method']} {detail['url']}`"
        case "table":
            return f"table {detail['table']}"
        case "rows":
            return f"rows in {detail['table']}"
        case "process":
            return f"process {detail['pid']} ({detail['name']})"
        case "directory" | "worktree":
            return f"{entry.kind} {detail['path']}"
        case other:
            return f"{other} {dict(detail)}"


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Mark a run as live for as long as the context, or its process, lives.

    Raises UsageError when another process holds the mark.
    """
    with (directory / _LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"the run {directory.name} is still going on",
                hint="end it with ^C; only a run that has ended can be cleaned up",
            ) from None
        yield


def is_live(directory: Path) -> bool:
    """Whether the run of a directory is still going on."""
    try:
        with locked(directory):
            return False
    except UsageError:
        return True
    except FileNotFoundError:
        return False


def left_behind(ledger: Ledger, run_id: str) -> list[str]:
    """What of a run is left once the guardian has ended its services, for a run that gives up.

    What the guardian has done is settled.
    """
    for entry in ledger.outstanding(run_id):
        if entry.kind in SERVICE_KINDS or entry.detail.get("disposable"):
            ledger.settle(entry.id)
    return [describe(entry) for entry in ledger.outstanding(run_id)]


def allowed_hosts(entries: Sequence[Entry]) -> list[str]:
    """The hosts that a run was allowed to touch: its clean-up may touch them, too."""
    return [host for entry in entries if "url" in entry.detail and (host := _host_of(entry))]


def _host_of(entry: Entry) -> str | None:
    url = entry.detail["url"]
    return urlsplit(url).hostname if entry.kind == "request" else DatabaseUrl.of(url).place


def runs(entries: Sequence[Entry]) -> list[str]:
    """The runs of entries, the newest first."""
    return list(dict.fromkeys(entry.run_id for entry in entries))
