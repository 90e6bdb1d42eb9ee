"""The operations of a write mix, compiled for one worker: insert, update and select."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import psycopg
import trio
from psycopg import sql

from stressrun.data.mix import draw
from stressrun.data.pools import prime_up_to, randomness
from stressrun.errors import SetupError
from stressrun.postgres.connection import Connection
from stressrun.postgres.keys import KeySupply
from stressrun.postgres.ownership import Claim
from stressrun.postgres.statement import Done
from stressrun.postgres.tables import identifier, reason
from stressrun.postgres.values import compile_columns, parameter
from stressrun.scenario.model import WriteMix

_MOST_KEYS = 100_000
_MOST_PARAMETERS = 65_535

# Updates take their values from numbers beyond those of any inserted row.
_UPDATES = 2**40

Value = Callable[[int], bytes | None]

_SEEDED_KEYS = """
select key::text from (
  select {key} as key, row_number() over (order by {key}) - 1 as number, count(*) over () as total
  from {table} where {mine}
) as numbered
where number % ((total + {most} - 1) / {most}) = 0
order by number
"""


class Operation(Protocol):
    """One kind of statement of a mix; `index` decides its row or rows, and its values."""

    name: str

    async def run(self, connection: Connection, index: int) -> Done:
        """Run it once. Raises psycopg.Error."""


class Program:
    """A write mix, ready to run on any number of connections.

    `choose` gives the operation of an index.
    """

    def __init__(self, choose: Callable[[int], Operation], supply: KeySupply | None) -> None:
        self.choose = choose
        self._supply = supply

    @property
    def reserves_keys(self) -> bool:
        """Whether inserts bring keys that the run has reserved, rather than the database's own."""
        return self._supply is not None

    async def keep_keys_ahead(self, connection: Connection) -> None:
        """Reserve keys before inserts need them, on a connection for this alone; until cancelled.

        Without it, inserts reserve their own keys in between, which shows in their times.
        """
        assert self._supply is not None
        await self._supply.keep_ahead(connection)


async def prepare(
    mix: WriteMix, *, connection: Connection, random_seed: int, claim: Claim
) -> Program:
    """Compile a mix whose table is claimed and seeded. Raises SetupError.

    Which operation an index has, which row and which values, depends on the random seed, the mix
    and the index alone.
    """
    supply = KeySupply(claim) if mix.insert and claim.sequence is not None else None
    keys: Sequence[bytes] = ()
    try:
        if supply is not None:
            await supply.reserve(connection)
        if mix.update or mix.select:
            keys = await _seeded_keys(mix, connection, random_seed, claim)
    except psycopg.Error as error:
        raise SetupError(
            f"the writes {mix.name} could not be prepared: {reason(error)}",
            hint=f"let the database's user read {mix.seed.table.name} and use its sequence",
        ) from error
    values = await compile_columns(mix.seed.table, random_seed, parameter)
    operations: list[tuple[Operation, float]] = []
    if mix.insert:
        operations.append((Insert(mix, values, supply), mix.insert))
    if mix.update:
        operations.append((Update(mix, values, keys), mix.update))
    if mix.select:
        operations.append((Select(mix, keys), mix.select))
    choices, weights = zip(*operations, strict=True)
    table = draw(weights, random_seed, f"writes.{mix.name}")
    return Program(lambda index: choices[table[index % len(table)]], supply)


class Insert:
    """One statement that inserts `batch` rows, numbered on from the seeded ones."""

    name = "insert"

    def __init__(
        self, mix: WriteMix, values: Mapping[str, Value], supply: KeySupply | None
    ) -> None:
        table = mix.seed.table
        key = [] if supply is None else [table.key]
        names = [*key, *values]
        if len(names) * mix.batch > _MOST_PARAMETERS:
            raise SetupError(
                f"an insert of {mix.batch} rows of {mix.name} has more values than "
                f"PostgreSQL's {_MOST_PARAMETERS:,}",
                hint=f"make its batch at most {_MOST_PARAMETERS // len(names)}",
            )
        self._values = tuple(values.values())
        self._batch = mix.batch
        self._first = mix.seed.rows
        self._supply = supply
        numbers = range(1, len(names) * mix.batch + 1)
        self._text = (
            sql.SQL("insert into {} ({}) {}values {}")
            .format(
                identifier(table.name),
                sql.SQL(", ").join(map(sql.Identifier, names)),
                sql.SQL("overriding system value " if key else ""),
                sql.SQL(", ").join(
                    sql.SQL("({})").format(
                        sql.SQL(", ").join(map(_placeholder, numbers[start : start + len(names)]))
                    )
                    for start in range(0, len(numbers), len(names))
                ),
            )
            .as_bytes()
        )

    async def run(self, connection: Connection, index: int) -> Done:
        first = self._first + index * self._batch
        rows = range(first, first + self._batch)
        if self._supply is None:
            parameters = [value(row) for row in rows for value in self._values]
        else:
            parameters = []
            keys = await self._keys(connection, self._supply)
            for key, row in zip(keys, rows, strict=True):
                parameters.append(b"%d" % key)
                parameters += [value(row) for value in self._values]
        return await connection.statement(self._text).run(parameters)

    async def _keys(self, connection: Connection, supply: KeySupply) -> list[int]:
        try:
            return await supply.take(connection, self._batch)
        except trio.Cancelled:
            # What may have been applied is the reservation; the insert was never sent.
            connection.cancelled_outcome = "not_applied"
            raise


class Update:
    """Sets the updated columns of one seeded row."""

    name = "update"

    def __init__(self, mix: WriteMix, values: Mapping[str, Value], keys: Sequence[bytes]) -> None:
        table = mix.seed.table
        self._keys = keys
        self._values = tuple(values[name] for name in mix.updated_columns)
        assignments = (
            sql.SQL("{} = {}").format(sql.Identifier(name), _placeholder(number))
            for number, name in enumerate(mix.updated_columns, 2)
        )
        self._text = (
            sql.SQL("update {} set {} where {} = $1")
            .format(
                identifier(table.name),
                sql.SQL(", ").join(assignments),
                sql.Identifier(table.key),
            )
            .as_bytes()
        )

    async def run(self, connection: Connection, index: int) -> Done:
        number = _UPDATES + index
        parameters: list[bytes | None] = [self._keys[index % len(self._keys)]]
        parameters += [value(number) for value in self._values]
        return await connection.statement(self._text).run(parameters)


class Select:
    """Reads one seeded row by its key."""

    name = "select"

    def __init__(self, mix: WriteMix, keys: Sequence[bytes]) -> None:
        table = mix.seed.table
        self._keys = keys
        self._text = (
            sql.SQL("select * from {} where {} = $1")
            .format(identifier(table.name), sql.Identifier(table.key))
            .as_bytes()
        )

    async def run(self, connection: Connection, index: int) -> Done:
        return await connection.statement(self._text).run((self._keys[index % len(self._keys)],))


async def _seeded_keys(
    mix: WriteMix, connection: Connection, random_seed: int, claim: Claim
) -> Sequence[bytes]:
    """Keys of the run's own rows, at most 100,000 evenly spread, in a shuffled order."""
    table = mix.seed.table
    query = sql.SQL(_SEEDED_KEYS).format(
        key=sql.Identifier(table.key),
        table=identifier(table.name),
        mine=claim.mine(),
        most=_MOST_KEYS,
    )
    keys = [key.encode() async for (key,) in await connection.execute(query)]
    if not keys:
        raise SetupError(
            f"the writes {mix.name} update or select, and {table.name} holds no row of this run",
            hint=f"seed some first: give {mix.name} rows above 0",
        )
    randomness(random_seed, f"writes.{mix.name}.keys").shuffle(keys)
    # Of a length that shares no factor with the mix's table, so that each key meets each operation.
    return keys[: prime_up_to(len(keys))]


def _placeholder(number: int) -> sql.SQL:
    return sql.SQL(f"${number}")


def error_kind(error: psycopg.Error) -> str:
    """What reports count an error under: `40P01 deadlock_detected`, `connection_lost`."""
    if error.sqlstate is None:
        lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return "connection_lost" if lost else _condition(type(error))
    try:
        return f"{error.sqlstate} {_condition(psycopg.errors.lookup(error.sqlstate))}"
    except KeyError:
        return error.sqlstate


def _condition(error: type[psycopg.Error]) -> str:
    """PostgreSQL's name of a condition, of which psycopg makes a class name."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", error.__name__).lower()
