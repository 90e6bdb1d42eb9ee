"""Tables, seeds and questions that the tests of PostgreSQL share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import trio
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from stressrun.data.generators import parse_generator
from stressrun.postgres.connection import Connection
from stressrun.scenario.model import Column, Index, Seed, Table, WriteMix

WITHIN = 20
"""Seconds in which what must end at once has ended, on any machine."""

Connecting = Callable[[], Awaitable[Connection]]


def table(
    name: str,
    columns: Mapping[str, Mapping[str, object]],
    *,
    key: str = "id",
    types: Mapping[str, str] | None = None,
    indexes: tuple[Index, ...] = (),
) -> Table:
    built = []
    for column, spec in columns.items():
        generator = parse_generator(spec)
        built.append(Column(column, generator, (types or {}).get(column, generator.sql_type)))
    return Table(name, key, tuple(built), indexes)


def mix(filled: Table, *, rows: int = 0, **shares: Any) -> WriteMix:
    columns = tuple(column.name for column in filled.columns)
    settings: dict[str, Any] = {"insert": 0, "update": 0, "select": 0, "batch": 1}
    settings |= {"updated_columns": columns, **shares}
    return WriteMix(name="mix", seed=Seed(filled, rows), **settings)


async def ask(connection: Connection, query: str) -> Any:
    """The one value that a query gives."""
    row = await (await connection.execute(query)).fetchone()
    assert row is not None
    return row[0]


async def rows_of(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    return await (await connection.execute(query)).fetchall()


async def wait_until_idle(connection: Connection) -> None:
    """Wait until no other session of the database runs anything, or holds a transaction open."""
    with trio.fail_after(WITHIN):
        while await ask(
            connection,
            "select count(*) from pg_stat_activity where datname = current_database()"
            " and pid <> pg_backend_pid() and state <> 'idle'",
        ):
            await trio.sleep(0.01)


async def wait_until_busy(connection: Connection, pid: int) -> None:
    """Wait until a session runs a statement that waits for something."""
    with trio.fail_after(WITHIN):
        while not await ask(
            connection,
            f"select count(*) from pg_stat_activity where pid = {pid} and state = 'active'"
            " and wait_event_type is not null",
        ):
            await trio.sleep(0.005)


def with_parts(url: str, **parts: str) -> str:
    """A database URL with some of its parts changed."""
    return make_conninfo("", **{**conninfo_to_dict(url), **parts})
