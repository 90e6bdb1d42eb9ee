"""Whose rows are whose: what a run writes into a database, it can remove again, and only that.

A run knows its rows in one of three ways. It created the table, whose comment says so in the same
transaction. Or each of its rows bears the run's id in a column. Or the keys come from a sequence
and are reserved there beforehand. Each is in the ledger before the first row is written, so that
a killed run's rows can still be told from all others.

In a database that is thrown away with the run there is nothing to tell apart, and no ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
import trio
from psycopg import sql

from stressrun.data.kinds import Constant
from stressrun.errors import ResidueError, SetupError
from stressrun.postgres.connection import Connection, connect
from stressrun.postgres.tables import count_rows, create, describe, identifier, reason
from stressrun.safety.guard import Guard
from stressrun.safety.ledger import Entry, Ledger
from stressrun.scenario.model import Table

_MADE_BY = "made by stressrun/"
_TABLE_KIND = "table"
_ROWS_KIND = "rows"
_SESSIONS_END_WITHIN = 10.0

# Another session may draw from the sequence in between: the keys form one range or several.
_RESERVE = """
with step as (
    select abs(seqincrement) as size from pg_sequence where seqrelid = %(name)s::regclass
  ),
  drawn as materialized (
    select nextval(%(name)s::regclass) as key from generate_series(1, %(count)s)
  ),
  placed as (
    select key, size, key - size * row_number() over (order by key) as island from drawn, step
  )
select min(key), max(key), min(size) from placed group by island order by 1
"""

_BUSY_SESSIONS = """
select count(*) from pg_stat_activity
where application_name = %s and pid <> pg_backend_pid() and state <> 'idle'
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """How the rows that a run writes into a table are known as its own.

    `tag` is the column that bears the run's id; `sequence` is where explicit keys must be reserved.
    With neither, the whole table is the run's.
    """

    table: Table
    run_id: str
    url: str
    ledger: Ledger | None
    tag: str | None = None
    sequence: str | None = None

    async def reserve(self, connection: Connection, count: int) -> list[range]:
        """Reserve keys from the sequence, in the ledger when they are returned.

        No two sessions ever get the same key. Raises psycopg.Error, and SetupError where rows have
        such keys already.
        """
        assert self.sequence is not None
        assert self.ledger is not None
        ranges = await reserve_keys(connection, self.sequence, count)
        taken = await count_rows(connection, self.table.name, self.within(ranges))
        if taken:
            raise SetupError(
                f"the sequence {self.sequence} hands out keys that {self.table.name} has already",
                hint=f"set it past the largest {self.table.key} with setval",
            )
        self.ledger.record(
            self.run_id,
            _ROWS_KIND,
            url=self.url,
            table=self.table.name,
            key=self.table.key,
            ranges=[[keys.start, keys[-1], keys.step] for keys in ranges],
        )
        return ranges

    def mine(self) -> sql.Composable:
        """The condition that holds for the rows of this run."""
        if self.tag is not None:
            return _tagged(self.tag, self.run_id)
        if self.sequence is None or self.ledger is None:
            return sql.SQL("true")
        return self.within(
            [
                keys
                for entry in self.ledger.outstanding(self.run_id)
                if entry.kind == _ROWS_KIND and entry.detail["table"] == self.table.name
                for keys in _ranges(entry)
            ]
        )

    def within(self, ranges: Sequence[range]) -> sql.Composable:
        """The condition that holds for the rows whose key is in one of the ranges."""
        return _within(self.table.key, ranges)


async def reserve_keys(connection: Connection, sequence: str, count: int) -> list[range]:
    """So many keys of a sequence that no other session gets. Raises psycopg.Error."""
    drawn = await connection.execute(_RESERVE, {"name": sequence, "count": count})
    return [range(first, last + 1, step) async for first, last, step in drawn]


async def claim(
    connection: Connection, table: Table, *, ledger: Ledger | None, run_id: str, url: str
) -> Claim:
    """See that a table is there, and how the run's rows in it will be known.

    Without a ledger the database is thrown away with the run. Creates the table where it is
    missing; one that exists keeps its indexes and gets no others. May be asked again, by any
    process of the run. Raises SetupError.
    """
    whole = Claim(table, run_id, url, ledger)
    found = await describe(connection, table.name)
    if found is None:
        if ledger is not None:
            ledger.record(run_id, _TABLE_KIND, url=url, table=table.name)
        await create(connection, table, comment=_made_by(run_id))
        return whole
    found.check(table)
    if found.comment and found.comment.startswith(_MADE_BY) and found.comment != _made_by(run_id):
        owner = found.comment.removeprefix(_MADE_BY)
        raise SetupError(
            f"the table {table.name} was made by the run {owner}, which will remove it",
            hint=f"wait for its end; if it was killed or kept: stressrun clean {owner}",
        )
    if ledger is None or found.comment == _made_by(run_id):
        return whole
    if (tag := _tag(table, run_id)) is not None:
        detail = {"url": url, "table": table.name, "column": tag, "value": run_id}
        if not any(entry.detail == detail for entry in ledger.outstanding(run_id)):
            ledger.record(run_id, _ROWS_KIND, **detail)
        return Claim(table, run_id, url, ledger, tag=tag)
    sequence = found.sequences.get(table.key)
    if sequence is None or table.key in {column.name for column in table.columns}:
        raise SetupError(
            f"the run's rows in the existing table {table.name} could not be told from others",
            hint="name a table that does not exist yet, or add a column filled with "
            '{constant: "${run.id}"}, or leave the key to a sequence (bigserial or identity)',
        )
    return Claim(table, run_id, url, ledger, sequence=sequence)


async def undo(entry: Entry, *, guard: Guard, run_id: str) -> str:
    """Remove the table or the rows that a ledger entry names, and ask again that they are gone.

    What was removed, in words; nothing where there was nothing. Raises ResidueError with the SQL
    to run by hand.
    """
    name = entry.detail["table"]
    removal, condition = _removal(entry)
    by_hand = f"run by hand: {removal_text(entry)}"
    try:
        connection = await connect(entry.detail["url"], guard=guard, run_id=run_id)
        async with connection:
            await _wait_for_sessions(connection, entry.run_id)
            found = await describe(connection, name)
            if found is None or (
                entry.kind == _TABLE_KIND and found.comment != _made_by(entry.run_id)
            ):
                return ""
            removed = (await connection.execute(removal)).rowcount
            if condition is None:
                left = await describe(connection, name) is not None
            else:
                left = await count_rows(connection, name, condition) > 0
    except (psycopg.Error, SetupError) as error:
        cause = reason(error) if isinstance(error, psycopg.Error) else error.message
        raise ResidueError(
            f"what run {entry.run_id} made in {name} could not be removed: {cause}", hint=by_hand
        ) from error
    if left:
        raise ResidueError(f"rows of run {entry.run_id} are left in {name}", hint=by_hand)
    if condition is None:
        return f"table {name}: dropped, and gone"
    return f"table {name}: {removed:,} rows deleted, 0 left"


def removal_text(entry: Entry) -> str:
    """The SQL that removes what an entry names."""
    return _removal(entry)[0].as_string()


def _removal(entry: Entry) -> tuple[sql.Composed, sql.Composable | None]:
    """The statement that undoes an entry, and the condition of its rows."""
    table = identifier(entry.detail["table"])
    if entry.kind == _TABLE_KIND:
        return sql.SQL("drop table {}").format(table), None
    if "column" in entry.detail:
        condition = _tagged(entry.detail["column"], entry.detail["value"])
    else:
        condition = _within(entry.detail["key"], _ranges(entry))
    return sql.SQL("delete from {} where {}").format(table, condition), condition


async def _wait_for_sessions(connection: Connection, run_id: str) -> None:
    """Wait until a killed run's last statements have ended: they could write after the removal."""
    with trio.move_on_after(_SESSIONS_END_WITHIN):
        while True:
            busy = await connection.execute(_BUSY_SESSIONS, (f"stressrun/{run_id}",))
            if await busy.fetchone() == (0,):
                return
            await trio.sleep(0.05)
    raise SetupError(f"sessions of run {run_id} are still at work")


def _tag(table: Table, run_id: str) -> str | None:
    for column in table.columns:
        if isinstance(column.generator, Constant) and column.generator.value == run_id:
            return column.name
    return None


def _tagged(column: str, value: str) -> sql.Composable:
    return sql.SQL("{} = {}").format(sql.Identifier(column), sql.Literal(value))


def _within(key: str, ranges: Sequence[range]) -> sql.Composable:
    conditions = []
    for keys in ranges:
        condition = sql.SQL("{key} between {first} and {last}").format(
            key=sql.Identifier(key), first=keys.start, last=keys[-1]
        )
        if keys.step > 1:
            condition = sql.SQL("({} and ({key} - {first}) % {step} = 0)").format(
                condition, key=sql.Identifier(key), first=keys.start, step=keys.step
            )
        conditions.append(condition)
    return sql.SQL(" or ").join(conditions) if conditions else sql.SQL("false")


def _ranges(entry: Entry) -> list[range]:
    return [range(first, last + 1, step) for first, last, step in entry.detail.get("ranges", ())]


def _made_by(run_id: str) -> str:
    return f"{_MADE_BY}{run_id}"
