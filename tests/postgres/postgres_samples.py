"""Tables, seeds and questions that the tests of PostgreSQL share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import trio
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from stressrun.data.expressions import parse
from stressrun.data.generators import parse_generator
from stressrun.postgres.connection import Connection
from stressrun.postgres.mix import Program, prepare
from stressrun.postgres.operations import Operation
from stressrun.postgres.ownership import claim
from stressrun.postgres.seeding import seed_table
from stressrun.postgres.session import Done, Session
from stressrun.scenario.model import Column, Index, NamedOperation, Seed, Table, WriteMix

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


def mix(
    filled: Table,
    weights: Mapping[str, float],
    *,
    rows: int = 0,
    operations: Mapping[str, str | Sequence[str]] | None = None,
    **settings: Any,
) -> WriteMix:
    """A write mix on a table; an operation of several statements is a transaction."""
    columns = tuple(column.name for column in filled.columns if column.name != filled.key)
    named = tuple(
        NamedOperation(name, (parse(source),), transaction=False)
        if isinstance(source, str)
        else NamedOperation(name, tuple(map(parse, source)), transaction=True)
        for name, source in (operations or {}).items()
    )
    settings = {"updated_columns": columns, "named": named, **settings}
    return WriteMix(name="mix", seed=Seed(filled, rows), weights=weights, **settings)


async def ready(connection: Connection, writes: WriteMix, **given: Any) -> Program:
    """A mix whose table is the run's own, made and seeded."""
    assert writes.seed is not None
    claimed = await claim(connection, writes.seed.table, ledger=None, run_id="r1", url="")
    await seed_table(connection, writes.seed, claim=claimed, random_seed=1)
    return await prepare(writes, connection=connection, random_seed=1, claim=claimed, **given)


def operation_of(program: Program, index: int) -> Operation:
    """The operation of an index, as the load looks it up."""
    return program.operations[program.table[index % len(program.table)]]


async def perform(program: Program, session: Session, index: int) -> Done:
    """Do the operation of an index, with keys reserved for it where it needs some."""
    operation, connection = operation_of(program, index), session.connection
    if program.supply is not None:
        await program.supply.refill(connection, operation.keys_needed)
    plan = operation.plan(index)
    try:
        return operation.done(await connection.wait(operation.start(session, plan)), plan)
    except BaseException:
        operation.failed(plan)
        raise


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
