"""Ledgers that fail while a run has them open."""

from __future__ import annotations

import sqlite3
from pathlib import Path


def break_ledger(state: Path) -> None:
    """Have all that is asked of a folder's ledger fail from now on, as on a disk that is broken."""
    connection = sqlite3.connect(state / "ledger.db")
    with connection:
        connection.execute("drop table entry")
    connection.close()
