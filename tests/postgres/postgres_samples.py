"""Tables, seeds and questions that the tests of PostgreSQL share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from stressrun.data.generators import parse_generator
from stressrun.postgres.connection import Connection
from stressrun.scenario.model import Column, Index, Seed, Table, WriteMix

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
