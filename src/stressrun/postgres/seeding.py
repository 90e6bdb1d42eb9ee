"""Seeding: rows that are there before the first stage, by COPY.

Values are written as COPY text once, when their pools are drawn; rows are then only joined from
spans of those, and a block of rows is one write. That leaves the server as the slower side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice

import psycopg
from psycopg import sql

from stressrun.data.kinds import ReadSpan
from stressrun.errors import SetupError
from stressrun.postgres.connection import Connection
from stressrun.postgres.ownership import Claim
from stressrun.postgres.tables import count_rows, identifier, reason
from stressrun.postgres.values import NOTHING, Referenced, compile_spans, copy_lines, copy_text
from stressrun.scenario.model import Seed

_BLOCK_CHARACTERS = 256 * 1024

Fields = Mapping[str, ReadSpan[str]]
Progress = Callable[[int], None]
"""What is told how many rows have been sent."""


async def seed_table(
    connection: Connection,
    seed: Seed,
    *,
    claim: Claim,
    random_seed: int,
    referenced: Referenced = NOTHING,
    progress: Progress = lambda rows: None,
) -> None:
    """Fill a claimed table with the seed's rows, all or none, and ANALYZE it.

    A value depends on the random seed, its table and column, and its row's number from 0 alone;
    one that refers to another table's rows depends on the values `referenced`, too. Raises
    SetupError.
    """
    if not seed.rows:
        return
    fields = await compile_spans(seed.table, random_seed, copy_text, referenced)
    try:
        await _copy(connection, seed, claim, fields, progress)
    except psycopg.Error as error:
        place = f" ({error.diag.context})" if error.diag.context else ""
        raise SetupError(
            f"seeding {seed.table.name} failed: {reason(error)}{place}",
            hint="no row was written; check the columns' generators against the table",
        ) from error


async def _copy(
    connection: Connection, seed: Seed, claim: Claim, fields: Fields, progress: Progress
) -> None:
    names = list(fields)
    keys: Sequence[range] = ()
    if claim.sequence is not None:
        keys = await claim.reserve(connection, seed.rows)
        names.insert(0, seed.table.key)
    table = identifier(seed.table.name)
    query = sql.SQL("copy {} ({}) from stdin").format(
        table, sql.SQL(", ").join(map(sql.Identifier, names))
    )
    async with connection.transaction():
        async with connection.cursor().copy(query) as copy:
            for block, rows in _blocks(tuple(fields.values()), seed.rows, keys):
                await copy.write(block)
                progress(rows)
        if keys and await count_rows(connection, seed.table.name, claim.within(keys)) != seed.rows:
            raise SetupError(
                f"rows written into {seed.table.name} do not keep the keys that they are given",
                hint=f"a trigger may set {seed.table.key}; name a table that does not exist yet",
            )
        await connection.execute(sql.SQL("analyze {}").format(table))


def _blocks(
    fields: Sequence[ReadSpan[str]], rows: int, keys: Sequence[range]
) -> Iterator[tuple[str, int]]:
    """Blocks of lines, each with the number of rows up to its end."""
    written_keys = map(str, chain.from_iterable(keys))
    start, step = 0, 1
    while start < rows:
        numbers = range(start, min(start + step, rows))
        columns: list[Iterable[str]] = [field(numbers) for field in fields]
        if keys:
            columns.insert(0, islice(written_keys, len(numbers)))
        block = copy_lines(columns)
        yield block, numbers.stop
        start = numbers.stop
        step = max(1, step * _BLOCK_CHARACTERS // len(block))
