"""What reports call an error of the database."""

from __future__ import annotations

import re

import psycopg

from stressrun.postgres.url import UnreachableError

CANCELED = "57014"
"""The SQLSTATE of a statement that was cancelled."""

# Of a server that shuts down, crashed, starts or only reads; serialization, deadlock, lock timeout.
_PASSING = frozenset({"57P01", "57P02", "57P03", "25006", "40001", "40P01", "55P03"})


def error_kind(error: psycopg.Error) -> str:
    """What reports count an error under: `40P01 deadlock_detected`, `connection_lost`."""
    if error.sqlstate is None:
        lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return "connection_lost" if lost else _condition(type(error))
    try:
        return f"{error.sqlstate} {_condition(psycopg.errors.lookup(error.sqlstate))}"
    except KeyError:
        return error.sqlstate


def may_pass(error: BaseException | None) -> bool:
    """Whether the same could succeed in a moment, because of the server's state.

    It is down, restarted or in recovery; it is for reading only until it is promoted; or another
    session was in the way.
    """
    while error is not None:
        if isinstance(error, UnreachableError):
            return True
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            return is_lost_word(error) or error.sqlstate in _PASSING
        if isinstance(error, psycopg.Error):
            return error.sqlstate in _PASSING
        error = error.__cause__
    return False


def is_lost_word(error: psycopg.Error) -> bool:
    """Whether it tells of the connection, and not of what the server did with a statement.

    What a pooler says when its server has gone is of class 08.
    """
    return error.sqlstate is None or error.sqlstate.startswith("08")


def _condition(error: type[psycopg.Error]) -> str:
    """PostgreSQL's name of a condition, of which psycopg makes a class name."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", error.__name__).lower()
