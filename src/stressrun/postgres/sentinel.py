"""The sentinel of a database: a row by which its owner says that it may be put under load.

The row names the database, by its name and by the number that the server gave it, and the server by
its system identifier: in a dump that is restored elsewhere, such as in production, it stands for
nothing. A copy of the server's files keeps all three.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from stressrun.errors import RefusedError, SetupError
from stressrun.postgres.connection import Connection, connect
from stressrun.postgres.tables import describe, reason
from stressrun.postgres.url import DatabaseUrl
from stressrun.safety.guard import Guard

TABLE = "stressrun_sentinel"

_TABLE = sql.Identifier(TABLE)
_CREATE = sql.SQL(
    "create table if not exists {} (database name not null, number oid not null, "
    "server int8 not null, made_at timestamptz not null default now(), "
    "primary key (database, number, server))"
).format(_TABLE)
_HERE = (
    "select datname, oid, (select system_identifier from pg_catalog.pg_control_system()) "
    "from pg_database where datname = current_database()"
)
_MAY_ASK = "select has_function_privilege('pg_catalog.pg_control_system()', 'execute')"
_INSERT = sql.SQL("insert into {} (database, number, server) {} on conflict do nothing").format(
    _TABLE, sql.SQL(_HERE)
)
_FOUND = sql.SQL("select exists (select from {} where (database, number, server) = ({}))").format(
    _TABLE, sql.SQL(_HERE)
)


async def require_sentinel(url: str, *, guard: Guard, run_id: str) -> None:
    """See that a database carries its sentinel. Raises RefusedError, SetupError."""
    async with await connect(url, guard=guard, run_id=run_id) as connection:
        if await _is_there(connection):
            return
    raise RefusedError(
        f"the guard refused the database {DatabaseUrl.of(url)}: it carries no sentinel, "
        "which database.require_sentinel asks for",
        hint="if it may be put under load, run `stressrun sentinel URL` with its URL, once",
    )


async def set_sentinel(url: str, *, guard: Guard) -> None:
    """Make the sentinel of a database. Raises RefusedError of the guard, SetupError."""
    async with await connect(url, guard=guard, run_id="sentinel") as connection:
        try:
            await _check_may_ask(connection)
            await connection.execute(_CREATE)
            await connection.execute(_INSERT)
        except psycopg.Error as error:
            raise _failed("made", error) from error


async def remove_sentinel(url: str, *, guard: Guard) -> None:
    """Remove the sentinel and its table. Raises RefusedError of the guard, SetupError."""
    async with await connect(url, guard=guard, run_id="sentinel") as connection:
        try:
            await connection.execute(sql.SQL("drop table if exists {}").format(_TABLE))
        except psycopg.Error as error:
            raise _failed("removed", error) from error


async def _is_there(connection: Connection) -> bool:
    if await describe(connection, TABLE) is None:
        return False
    try:
        await _check_may_ask(connection)
        found = await (await connection.execute(_FOUND)).fetchone()
    except psycopg.Error as error:
        raise SetupError(
            f"the table {TABLE} could not be read: {reason(error)}",
            hint=f"grant select on {TABLE} to the database's user",
        ) from error
    return found == (True,)


async def _check_may_ask(connection: Connection) -> None:
    """Raises SetupError where the user may not know which server it is; as a rule everybody may."""
    if await (await connection.execute(_MAY_ASK)).fetchone() != (True,):
        raise SetupError(
            "the sentinel cannot be held against the server: pg_control_system() is not allowed",
            hint="grant execute on function pg_control_system() to that user, in that database",
        )


def _failed(what: str, error: psycopg.Error) -> SetupError:
    return SetupError(
        f"the sentinel could not be {what}: {reason(error)}",
        hint="do it as a user who may create tables there; others need to read it only",
    )
