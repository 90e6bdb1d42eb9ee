"""What reports call an error of the database."""

from __future__ import annotations

import re

import psycopg

CANCELED = "57014"
"""The SQLSTATE of a statement that was cancelled."""


def error_kind(error: psycopg.Error) -> str:
    """What reports count an error under: `40P01 deadlock_detected`, `connection_lost`."""
    if error.sqlstate is None:
        lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return "connection_lost" if lost else _condition(type(error))
    try:
        return f"{error.sqlstate} {_condition(psycopg.errors.lookup(error.sqlstate))}"
    except KeyError:
        return error.sqlstate


def is_lost_word(error: psycopg.Error) -> bool:
    """Whether it tells of the connection, and not of what the server did with a statement.

    What a pooler says when its server has gone is of class 08.
    """
    return error.sqlstate is None or error.sqlstate.startswith("08")


def _condition(error: type[psycopg.Error]) -> str:
    """PostgreSQL's name of a condition, of which psycopg makes a class name."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", error.__name__).lower()
