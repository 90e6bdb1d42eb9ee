"""What a run made, written down before it is made, so that nothing outlives it unsaid.

One SQLite file serves all runs of a working directory. Every entry is an intent: it is on the
disk before the act, and it is settled once its undoing has been shown. What is left belongs to
runs that were killed or kept, and `stressrun clean` undoes it.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stressrun.errors import SetupError

_SCHEMA = """
create table if not exists entry (
  id integer primary key autoincrement,
  run_id text not null,
  kind text not null,
  detail text not null,
  made_at text not null default (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
)
"""


_VERSION = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing made: `kind` says how it is undone, `detail` what it is."""

    id: int
    run_id: str
    kind: str
    detail: Mapping[str, Any]


class LedgerError(SetupError):
    """The ledger could not be read or written: the disk is full, or it is no ledger."""


class Ledger:
    """The ledger of one working directory; safe to open from several processes.

    Every method raises LedgerError.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def record(self, run_id: str, kind: str, **detail: object) -> int:
        """Write an intent to the disk and return its id."""
        with _told(), self._connection:
            cursor = self._connection.execute(
                "insert into entry (run_id, kind, detail) values (?, ?, ?)",
                (run_id, kind, json.dumps(detail)),
            )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def amend(self, entry_id: int, **detail: object) -> None:
        """Add to what an entry says, once more is known than the intent."""
        with _told(), self._connection:
            (before,) = self._connection.execute(
                "select detail from entry where id = ?", (entry_id,)
            ).fetchone()
            self._connection.execute(
                "update entry set detail = ? where id = ?",
                (json.dumps({**json.loads(before), **detail}), entry_id),
            )

    def settle(self, entry_id: int) -> None:
        """Strike out an entry whose undoing has been shown."""
        with _told(), self._connection:
            self._connection.execute("delete from entry where id = ?", (entry_id,))

    def forget(self, run_id: str) -> None:
        """Strike out all that is left of a run."""
        with _told(), self._connection:
            self._connection.execute("delete from entry where run_id = ?", (run_id,))

    def outstanding(self, run_id: str | None = None) -> list[Entry]:
        """What has not been undone, of one run or of all, the newest first."""
        with _told():
            rows = self._connection.execute(
                "select id, run_id, kind, detail from entry where ? is null or run_id = ? "
                "order by id desc",
                (run_id, run_id),
            ).fetchall()
            return [Entry(row[0], row[1], row[2], json.loads(row[3])) for row in rows]


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, ValueError) as error:
        raise LedgerError(
            f"the ledger could not be used: {error}",
            hint="make room on its disk: nothing is made that is not written down",
        ) from error


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("pragma user_version").fetchone()
    if version > _VERSION:
        connection.close()
        raise SetupError(
            f"the ledger {path} is of a newer version of stressrun",
            hint="clean up with that one, or run in another folder",
        )
    if version < _VERSION:  # Those of before had none.
        connection.execute(f"pragma user_version = {_VERSION}")


@contextmanager
def open_ledger(directory: Path) -> Iterator[Ledger]:
    """Open `ledger.db` in a directory that is made, private and ignored by git, where missing."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        ignore = directory / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
        path = directory / "ledger.db"
        # A database password may stand in an entry until it is settled: nobody else reads it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(path, timeout=10)
        connection.execute("pragma synchronous = full")
        connection.execute(_SCHEMA)
        _check_version(connection, path)
    except (OSError, sqlite3.Error) as error:
        raise SetupError(
            f"the ledger in {directory} could not be opened: {error}",
            hint="run where the directory is writable: nothing is made that is not written down",
        ) from error
    try:
        yield Ledger(connection)
    finally:
        connection.close()
