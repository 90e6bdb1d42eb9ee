"""What is used of a database: a feeder's rows, the keys of seeded rows, values to refer to.

All is asked for once, after its table is seeded, and given as JSON has it.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import pq, sql

from stressrun.data.feeders import is_text
from stressrun.data.suggest import did_you_mean
from stressrun.errors import SetupError
from stressrun.metrics.excerpt import on_one_line
from stressrun.postgres.connection import Connection
from stressrun.postgres.ownership import Claim
from stressrun.postgres.querying import fetch, reader
from stressrun.postgres.tables import describe, identifier, reason
from stressrun.scenario.model import Seed

_MOST_ROWS = 1_000_000
_MOST_REFERENCED = 100_000
_MOST_RANGES = 10_000
_SHOWN = 200

# Keys that the sequence gives by itself, row by row, may count down.
_KEYS = """
with sequence as (
    select {step} as step from pg_sequence where seqrelid = {sequence}::regclass
  ),
  placed as (
    select {key} as key, step,
      row_number() over (order by case when step > 0 then {key} else -{key} end) as number
    from {table}, sequence where {mine}
  )
select case when min(step) > 0 then min(key) else max(key) end, count(*), min(step)
from placed group by key - step * number order by min(number) limit {limit}
"""


_REFERENCED = """
select {column} from (
  select {column}, row_number() over (order by {column}) - 1 as number
  from {table} where ({mine}) and {column} is not null
) as numbered
where number % {step} = 0 order by number limit {most}
"""


async def query_rows(
    connection: Connection, feeder: str, query: str, columns: Sequence[str]
) -> list[list[object]]:
    """The rows that a feeder's statement gives: these columns in their order.

    Numbers, booleans and JSON are themselves, all else is text as PostgreSQL writes it. The
    statement can change nothing. Raises SetupError.
    """
    try:
        async with connection.transaction():
            await connection.execute("set transaction read only")
            result = await fetch(connection, query, _MOST_ROWS + 1)
    except psycopg.Error as error:
        raise SetupError(
            f"the statement of the feeder {feeder} failed: {reason(error)}",
            hint=f"write one query that only reads; this is: {on_one_line(query, _SHOWN)}",
        ) from error
    if not result.ntuples:
        raise SetupError(
            f"the statement of the feeder {feeder} gives no rows",
            hint=f"it is asked after seeding, before load: {on_one_line(query, _SHOWN)}",
        )
    if result.ntuples > _MOST_ROWS:
        raise SetupError(
            f"the statement of the feeder {feeder} gives more than {_MOST_ROWS:,} rows",
            hint="add a limit to it, such as limit 100000",
        )
    return _values(result, feeder, columns)


async def seeded_keys(connection: Connection, seed: Seed, claim: Claim) -> list[list[int]]:
    """The keys of a table's seeded rows in the rows' order, as ranges: start, stop, step.

    They must be a sequence's, which counts on row by row. Raises SetupError.
    """
    table = seed.table
    found = await describe(connection, table.name)
    sequence = found.sequences.get(table.key) if found is not None else None
    if sequence is None:
        raise _unknown_keys(seed, "no sequence counts them")
    query = sql.SQL(_KEYS).format(
        # Reserved keys are written from the lowest on.
        step=sql.SQL("abs(seqincrement)" if claim.sequence else "seqincrement"),
        sequence=sequence,
        key=sql.Identifier(table.key),
        table=identifier(table.name),
        mine=claim.mine(),
        limit=_MOST_RANGES + 1,
    )
    try:
        ranges = await (await connection.execute(query)).fetchall()
    except psycopg.Error as error:
        raise _unknown_keys(seed, reason(error)) from error
    if len(ranges) > _MOST_RANGES:
        raise _unknown_keys(seed, "they have too many gaps")
    if sum(count for _, count, _ in ranges) != seed.rows:
        raise _unknown_keys(seed, "it holds other rows, too")
    return [[first, first + count * step, step] for first, count, step in ranges]


async def referenced_values(
    connection: Connection, seed: Seed, claim: Claim, column: str
) -> list[object]:
    """The values of a column in the seeded rows of a table, for others to refer to.

    They are in their order, at most 100,000 of them, evenly spread. Raises SetupError.
    """
    table = seed.table
    query = sql.SQL(_REFERENCED).format(
        column=sql.Identifier(column),
        table=identifier(table.name),
        mine=claim.mine(),
        step=-(-seed.rows // _MOST_REFERENCED),
        most=_MOST_REFERENCED,
    )
    try:
        result = (await connection.execute(query)).pgresult
    except psycopg.Error as error:
        raise SetupError(
            f"the values of {table.name}.{column} to refer to could not be read: {reason(error)}",
            hint="refer to a column whose values have an order, such as the key",
        ) from error
    assert result is not None
    if not result.ntuples:
        raise SetupError(
            f"there is no value of {table.name}.{column} to refer to",
            hint="all of them are null: refer to another column",
        )
    read = reader(result.ftype(0))
    return [read(result.get_value(number, 0) or b"") for number in range(result.ntuples)]


def _values(result: pq.abc.PGresult, feeder: str, columns: Sequence[str]) -> list[list[object]]:
    names = [(result.fname(place) or b"").decode() for place in range(result.nfields)]
    places = [_place(column, names, feeder) for column in columns]
    reads = [(place, reader(result.ftype(place))) for place in places]
    rows = [
        [
            None if (content := result.get_value(number, place)) is None else read(content)
            for place, read in reads
        ]
        for number in range(result.ntuples)
    ]
    if not all(is_text(value) for row in rows for value in row):
        raise SetupError(
            f"the feeder {feeder} gives JSON with half of a surrogate pair", hint="leave it out"
        )
    return rows


def _place(column: str, names: Sequence[str], feeder: str) -> int:
    if names.count(column) == 1:
        return names.index(column)
    if column in names:
        raise SetupError(
            f"the statement of the feeder {feeder} gives two columns {column!r}",
            hint="name one of them otherwise by `as`",
        )
    raise SetupError(
        f"the statement of the feeder {feeder} gives no column {column!r}",
        hint=did_you_mean(column, names) or f"it gives {', '.join(names)}",
    )


def _unknown_keys(seed: Seed, why: str) -> SetupError:
    name, key = seed.table.name, seed.table.key
    return SetupError(
        f"the keys ${{{name}.{key}}} of the seeded rows cannot be told: {why}",
        hint=f"ask for them by a feeder, such as sql: select {key} from {name}",
    )
