"""Undoing what a run made: what its requests made, its own teardown steps, its rows and tables.

A run does it at its end; `stressrun clean` does the same for runs that were killed or kept.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import trio

from stressrun.errors import ResidueError, StressrunError, UsageError
from stressrun.postgres import ownership
from stressrun.postgres.connection import connect
from stressrun.postgres.failure import may_pass
from stressrun.run import resources
from stressrun.run.entries import describe, in_order, is_known
from stressrun.run.removal import Left, Outcome, Remover, outcome
from stressrun.safety.guard import Guard
from stressrun.safety.ledger import Entry, Ledger, LedgerError
from stressrun.scenario.model import (
    EmbeddedPostgres,
    ExistingPostgres,
    ExistingService,
    OwnedRows,
    RequestTeardown,
    Scenario,
    SqlTeardown,
)
from stressrun.services import running

PATIENCE = 10.0
"""Seconds for which all of a teardown together waits for a database that is not there."""

OF_ANOTHER_VERSION = "another version of stressrun has noted this: clean up with that one"

_STEP_TIMEOUT = 30.0
_DATA_TIMEOUT = 600.0
_PAUSE = 0.2
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
    for step in scenario.teardown:
        match step:
            case SqlTeardown():
                detail = {"url": scenario.database_url, "sql": step.sql}
                ledger.record(run_id, "sql", disposable=disposable, **detail)
            case OwnedRows():
                detail = {"url": scenario.database_url, "table": step.table}
                detail |= {"column": step.column, "value": run_id}
                ledger.record(run_id, "owned", disposable=disposable, **detail)
            case RequestTeardown():
                place = place_of_requests(scenario, values)
                if step.gone is not None:
                    place["gone"] = place["url"] + step.gone
                place["url"] += step.path
                ledger.record(run_id, "request", method=step.method, **place)


def place_of_requests(scenario: Scenario, values: Mapping[str, str]) -> dict[str, Any]:
    """Where the scenario's requests go, as the ledger has it."""
    disposable = database_is_disposable(scenario, values)
    existing = any(isinstance(s, ExistingPostgres | ExistingService) for s in scenario.services)
    place = resources.reached(scenario, values)
    ends_with_run = disposable and place["service"] is not None and not existing
    return {**place, "disposable": ends_with_run}


@dataclass(slots=True)
class Undone:
    """What came of an undoing: `removed` and, with the reasons, `left`, in words."""

    removed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


async def undo_data(
    ledger: Ledger,
    guard: Guard,
    run_id: str,
    told: Callable[[str], None],
    *,
    patience: float = PATIENCE,
) -> Undone:
    """Remove what a run's requests made, perform its teardown steps, remove its rows and tables.

    Settles what was undone; a ledger that cannot be read is what is left. A failure on disposable
    services is only told: what was to be removed goes with them. A database that is restarted or in
    recovery is waited for, in all for so many seconds as there is `patience`.
    """
    try:
        entries = ledger.outstanding(run_id)
    except LedgerError as error:
        return Undone(left=[error.message])
    undoing = _Undoing(ledger, guard, run_id, told, entries, patience)
    data = in_order(entries)
    await undoing.undo_made([entry for entry in data if _is_made(entry)])
    for entry in data:
        if not _is_made(entry):
            await undoing.undo(entry)
    return undoing.result


def time_for(entry: Entry) -> float:
    """How many seconds the undoing of an entry has; each request besides has those of a step."""
    return _STEP_TIMEOUT if entry.kind == "sql" else _DATA_TIMEOUT


def _is_made(entry: Entry) -> bool:
    return entry.kind == resources.KIND and is_known(entry)


class _Undoing:
    """One pass over a run's entries; all of them together wait for a database only so long."""

    def __init__(
        self,
        ledger: Ledger,
        guard: Guard,
        run_id: str,
        told: Callable[[str], None],
        entries: Sequence[Entry],
        patience: float,
    ) -> None:
        self.result = Undone()
        self._ledger = ledger
        self._guard = guard
        self._remover = Remover(guard, _STEP_TIMEOUT)
        self._run_id = run_id
        self._told = told
        self._patience = patience
        self._patience_ends: float | None = None
        self._living = {
            entry.detail["name"]
            for entry in entries
            if entry.kind == "process" and running.is_alive(entry)
        }

    async def undo_made(self, entries: Sequence[Entry]) -> None:
        """Undo what requests made, all of it in the time for data, and tell of each maker once."""
        left = await self._remover.remove(
            [entry for entry in entries if entry.detail["service"] in self._reachable],
            within=_DATA_TIMEOUT,
        )
        for entry in entries:
            # What is disposable has gone with its service, and needs no word.
            if entry.id not in left and not entry.detail.get("disposable"):
                left[entry.id] = dict.fromkeys(entry.detail["undo"], _not_sent(entry))
        told = [entry for entry in reversed(entries) if entry.id in left]
        for by in dict.fromkeys(entry.detail["by"] for entry in told):
            self._tell(outcome([each for each in told if each.detail["by"] == by], left))
        try:
            for entry in entries:
                self._close(entry, left.get(entry.id, {}))
        except LedgerError as error:
            self.result.left.append(f"what requests made is undone as told, but {error.message}")

    def _tell(self, made: Outcome) -> None:
        if made.removed:
            self.result.removed.append(made.removed)
            self._told(made.removed)
        self.result.left += made.left
        for line in made.told:
            self._told(line)

    def _close(self, entry: Entry, left: Left) -> None:
        """Strike an entry out, or what of it was undone. Raises LedgerError."""
        if entry.detail.get("disposable") or not (left or entry.detail.get("under_way")):
            self._ledger.settle(entry.id)
        elif len(left) < len(entry.detail["undo"]):
            self._ledger.amend(entry.id, undo=list(left))

    async def undo(self, entry: Entry) -> None:
        """Undo an entry, note what came of it, and settle it if that was all."""
        timeout = time_for(entry)
        removed, problem = "", f"not within {timeout:.0f} s"
        with trio.move_on_after(timeout):
            removed, problem = await self._patiently(entry)
        if removed:
            self.result.removed.append(removed)
            self._told(removed)
        failure = f"{describe(entry)}: {problem}"
        if problem and not entry.detail.get("disposable"):
            self.result.left.append(failure)
            return
        if problem:
            self._told(failure)
        try:
            self._ledger.settle(entry.id)
        except LedgerError as error:
            self.result.left.append(f"{describe(entry)}: undone, but {error.message}")

    async def _patiently(self, entry: Entry) -> tuple[str, str]:
        """What was removed, and why not all was; again while the database may come back."""
        if not is_known(entry):
            return "", OF_ANOTHER_VERSION
        while True:
            try:
                return await self._undone(entry)
            except (StressrunError, psycopg.Error) as error:
                if entry.detail.get("disposable") or not self._may_pass(error):
                    return "", _reason(error)
            await trio.sleep(_PAUSE)

    def _may_pass(self, error: StressrunError | psycopg.Error) -> bool:
        """Whether to try again: the first time that a server is not there begins the waiting."""
        if not self._patience or not may_pass(error):
            return False
        now = trio.current_time()
        if self._patience_ends is None:
            self._patience_ends = now + self._patience
            self._told(f"waiting up to {self._patience:.0f} s for the database: {_reason(error)}")
        return now < self._patience_ends

    async def _undone(self, entry: Entry) -> tuple[str, str]:
        detail = entry.detail
        match entry.kind:
            case "sql":
                await _execute(detail["url"], detail["sql"], self._guard, self._run_id)
                return "", ""
            case "request" if detail["service"] not in self._reachable:
                return "", _not_sent(entry)
            case "request":
                return await self._remover.purge(entry)
            case _:
                return await ownership.undo(entry, guard=self._guard, run_id=self._run_id), ""

    @property
    def _reachable(self) -> set[str | None]:
        return {None, *self._living}


def _not_sent(entry: Entry) -> str:
    # Whoever listens on its port now is somebody else.
    return f"not sent, as the service {entry.detail['service']} has ended"


def _reason(error: StressrunError | psycopg.Error) -> str:
    if isinstance(error, ResidueError):
        return f"{error.message} ({error.hint})"
    if isinstance(error, StressrunError):
        return error.message
    return str(error).strip() or type(error).__name__


async def _execute(url: str, sql: str, guard: Guard, run_id: str) -> None:
    async with await connect(url, guard=guard, run_id=run_id) as connection:
        # As one simple query: several statements in a step are one transaction.
        await connection.execute(sql.encode(), prepare=False)


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


def runs(entries: Sequence[Entry]) -> list[str]:
    """The runs of entries, the newest first."""
    return list(dict.fromkeys(entry.run_id for entry in entries))
