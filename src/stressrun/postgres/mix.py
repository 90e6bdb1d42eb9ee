"""A write mix made ready: its operations compiled, its keys known, its statements tried."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import psycopg
import trio
from psycopg import sql

from stressrun.data.expressions import compile_parameters
from stressrun.data.feeders import RowSource
from stressrun.data.kinds import ReadSpan
from stressrun.data.mix import draw
from stressrun.data.pools import MOST_VALUES
from stressrun.errors import SetupError
from stressrun.postgres.connection import Connection
from stressrun.postgres.keys import KeySupply
from stressrun.postgres.known_keys import MOST_KEYS, KnownKeys
from stressrun.postgres.operations import (
    Copy,
    Delete,
    Insert,
    Operation,
    Select,
    Single,
    Update,
    Upsert,
    Value,
    by_column,
    by_row,
    one_of,
    reserved_key,
)
from stressrun.postgres.ownership import Claim, reserve_keys
from stressrun.postgres.session import Query, Session
from stressrun.postgres.statements import KEY, Statement, Transaction, Variables
from stressrun.postgres.tables import describe, identifier, is_partitioned, reason
from stressrun.postgres.values import (
    NOTHING,
    Referenced,
    compile_columns,
    compile_spans,
    copy_text,
    parameter,
)
from stressrun.scenario.model import NamedOperation, WriteMix

T = TypeVar("T")

_MEETS_ROWS = frozenset({"update", "delete", "select"})
_SEEDED_KEYS = """
select key::text from (
  select {key} as key, row_number() over (order by {key}) - 1 as number, count(*) over () as total
  from {table} where {mine}
) as numbered
where number % ((total + {most} - 1) / {most}) = 0
order by number
"""

Feeding = Callable[[Sequence[str]], Sequence[RowSource]]
"""The sources of rows for the variables of these names."""


@dataclass(frozen=True, slots=True)
class Program:
    """A write mix, ready to run on any number of connections.

    The operation of index n is the one whose number stands in `table[n % len(table)]`. Which it
    is, its row and its values depend on the random seed, the mix and the index alone as long as no
    row comes or goes. With a `supply`, inserts bring keys that the run has reserved, rather than
    the database's own.
    """

    mix: WriteMix
    operations: Sequence[Operation]
    table: Sequence[int]
    supply: KeySupply | None


async def prepare(
    mix: WriteMix,
    *,
    connection: Connection,
    random_seed: int,
    claim: Claim | None,
    feeding: Feeding = lambda names: (),
    referenced: Referenced = NOTHING,
) -> Program:
    """Compile a mix whose table, if it has one, is claimed and seeded. Raises SetupError."""
    try:
        preparation = _Preparation(mix, connection, random_seed, claim, feeding, referenced)
        return await preparation.program()
    except psycopg.Error as error:
        raise SetupError(
            f"the writes {mix.name} could not be prepared: {reason(error)}",
            hint=_hint(mix, error),
        ) from error


class _Preparation:
    def __init__(
        self,
        mix: WriteMix,
        connection: Connection,
        random_seed: int,
        claim: Claim | None,
        feeding: Feeding,
        referenced: Referenced,
    ) -> None:
        self._mix = mix
        self._connection = connection
        self._seed = random_seed
        self._claim = claim
        self._feeding = feeding
        self._referenced = referenced
        self._site = f"writes.{mix.name}"

    async def program(self) -> Program:
        weights = self._mix.weights
        supply = await self._supply()
        known = await self._known()
        operations: dict[str, Operation] = {}
        if self._mix.seed is not None:
            operations = await self._of_table(supply, known)
        for named in self._mix.named:
            if named.name in weights:
                operations[named.name] = await self._named(named, known)
        table = draw(tuple(weights.values()), self._seed, self._site)
        return Program(self._mix, [operations[name] for name in weights], table, supply)

    async def _of_table(
        self, supply: KeySupply | None, known: KnownKeys | None
    ) -> dict[str, Operation]:
        mix, weights = self._mix, self._mix.weights
        assert mix.seed is not None
        table = mix.seed.table
        tracked = known if self._meets_new_rows() else None
        values: dict[str, Value] = {}
        spans: dict[str, ReadSpan[bytes | None]] = {}
        if weights.keys() & {"insert", "update", "upsert"}:
            if mix.batch > 1:
                spans = await self._spans(parameter)
                values = {name: one_of(span) for name, span in spans.items()}
            else:
                values = await compile_columns(table, self._seed, parameter, self._referenced)
        operations: dict[str, Operation] = {}
        if "insert" in weights:
            operations["insert"] = self._insert(values, spans, supply, tracked)
        if "copy" in weights:
            operations["copy"] = await self._copy(supply)
        own = self._own()
        if known is not None:
            for name, made in (
                ("update", lambda: Update(mix, values, known, own=own)),
                ("delete", lambda: Delete(mix, known, own=own)),
                ("select", lambda: Select(mix, known, own=own)),
                (
                    "upsert",
                    lambda: Upsert(mix, values, supply, known, own=own, tracks=tracked is not None),
                ),
            ):
                if name in weights:
                    operations[name] = made()
        for operation in operations.values():
            if isinstance(operation, Single):
                await self._plan(operation)
        return operations

    def _insert(
        self,
        values: Mapping[str, Value],
        spans: Mapping[str, ReadSpan[bytes | None]],
        supply: KeySupply | None,
        known: KnownKeys | None,
    ) -> Insert:
        mix = self._mix
        assert mix.seed is not None
        key, keys_needed = mix.seed.table.key, 0
        if supply is not None:
            keys_needed = mix.batch
            values = {key: reserved_key(supply), **values}
            spans = {key: supply.span(b"%d".__mod__), **spans}
        if mix.batch > 1:
            names, parameters = list(spans), by_column(tuple(spans.values()))
        else:
            names, parameters = list(values), by_row(tuple(values.values()))
        return Insert(mix, names, parameters, keys_needed=keys_needed, known=known)

    async def _copy(self, supply: KeySupply | None) -> Copy:
        mix = self._mix
        assert mix.seed is not None
        fields = await self._spans(copy_text)
        if supply is None:
            return Copy(mix, fields, keys_needed=0)
        fields = {mix.seed.table.key: supply.span(str), **fields}
        return Copy(mix, fields, keys_needed=mix.batch)

    async def _spans(self, render: Callable[[object], T]) -> dict[str, ReadSpan[T]]:
        """The columns of the table, with all of their values drawn: none is drawn under load."""
        assert self._mix.seed is not None
        table = self._mix.seed.table
        spans = await compile_spans(table, self._seed, render, self._referenced)
        for span in spans.values():
            span(range(MOST_VALUES))
            await trio.lowlevel.checkpoint()
        return spans

    def _own(self) -> str:
        """The condition that a row is the run's, where its key alone does not say so."""
        claim = self._claim
        if claim is None or claim.tag is None:
            return ""
        # In an upsert the column's name alone could be that of the new row, too.
        table = sql.Identifier(claim.table.name.rpartition(".")[2])
        own = sql.SQL("{}.{}").format(table, claim.mine())
        return own.as_string(self._connection)

    def _meets_new_rows(self) -> bool:
        """Whether rows that inserts and upserts bring are met, besides the seeded ones."""
        mix, weights = self._mix, self._mix.weights
        assert mix.seed is not None
        return (
            "delete" in weights
            or mix.keys == "latest"
            or ("upsert" in weights and not mix.seed.rows)
        )

    async def _supply(self) -> KeySupply | None:
        """Where inserts and upserts get keys from that no other session has."""
        claim, weights = self._claim, self._mix.weights
        if claim is None or not weights.keys() & {"insert", "upsert", "copy"}:
            return None
        key = claim.table.key
        if claim.sequence is not None:
            supply = KeySupply(claim.reserve)
        elif "upsert" in weights and key not in {column.name for column in claim.table.columns}:
            found = await describe(self._connection, claim.table.name)
            sequence = found.sequences.get(key) if found is not None else None
            if sequence is None:
                raise SetupError(
                    f"the upserts of {self._mix.name} have no keys for new rows: no sequence "
                    f"counts {claim.table.name}.{key}",
                    hint=f"add {key} to the columns with a generator, such as {{uuid: true}}",
                )
            supply = KeySupply(lambda connection, count: reserve_keys(connection, sequence, count))
        else:
            return None
        await supply.refill(self._connection, 1)
        return supply

    async def _known(self) -> KnownKeys | None:
        """The rows of the run that operations meet."""
        mix, claim = self._mix, self._claim
        if claim is None:
            return None
        key = claim.table.key
        query = sql.SQL(_SEEDED_KEYS).format(
            key=sql.Identifier(key),
            table=identifier(claim.table.name),
            mine=claim.mine(),
            most=MOST_KEYS,
        )
        needed = self._needs_rows()
        keys = []
        if needed or "upsert" in mix.weights:
            keys = [key.encode() async for (key,) in await self._connection.execute(query)]
        if needed and not keys:
            raise SetupError(
                f"operations of {mix.name} meet rows that are there, and {claim.table.name} "
                "holds no row of this run",
                hint=f"seed some first: give {mix.name} rows above 0",
            )
        return KnownKeys(keys, mix.keys, self._seed, self._site)

    def _needs_rows(self) -> bool:
        chosen = any(KEY in _variables(named) for named in self._mix.named)
        return chosen or not self._mix.weights.keys().isdisjoint(_MEETS_ROWS)

    async def _named(self, named: NamedOperation, known: KnownKeys | None) -> Operation:
        site = f"{self._site}.{named.name}"
        statements = []
        for number, template in enumerate(named.statements):
            pieces, reads = compile_parameters(template, self._seed, f"{site}.{number}", parameter)
            query = Query(pieces)
            await self._try(named.name, query)
            statements.append((query, reads))
            await trio.lowlevel.checkpoint()
        used = _variables(named)
        variables = Variables(self._feeding(used), known if KEY in used else None)
        if not named.transaction:
            ((query, reads),) = statements
            return Statement(named.name, query, reads, variables)
        begin = b"begin"
        if self._mix.isolation is not None:
            begin += b" isolation level " + self._mix.isolation.encode()
        return Transaction(named.name, statements, variables, begin)

    async def _try(self, name: str, query: Query) -> None:
        """Have the server parse a statement, so that a fault in it is told before the load."""
        connection = self._connection
        try:
            async with connection.lock:
                parameters = await connection.wait(Session(connection).check(query))
        except psycopg.Error as error:
            raise self._wrong(name, query, reason(error)) from error
        if parameters != len(query.pieces) - 1:
            raise self._wrong(name, query, "a $ with a number stands for a parameter only as ${…}")

    async def _plan(self, operation: Single) -> None:
        """Have the server plan an operation, so that what it lacks is told before the load."""
        assert self._claim is not None
        connection, query, table = self._connection, operation.query, self._claim.table
        nothing = [None] * (len(query.pieces) - 1)
        try:
            await connection.execute(b"explain " + query.with_literals(connection.pgconn, nothing))
        except psycopg.Error as error:
            hint = f"check {table.name}, and the rights of the database's user on it"
            if isinstance(error, psycopg.errors.InvalidColumnReference):
                hint = f"give {table.name} a primary key or unique constraint of {table.key} alone"
            raise SetupError(
                f"the {operation.name} of the writes {self._mix.name} cannot be done: "
                f"{reason(error)}",
                hint=hint,
            ) from error
        if isinstance(operation, Upsert) and await is_partitioned(connection, table.name):
            raise SetupError(
                f"{table.name} is partitioned: the server does not say of its rows whether an "
                "upsert has added or changed them",
                hint="write it as an operation of your own: insert … on conflict …",
            )

    def _wrong(self, name: str, query: Query, why: str) -> SetupError:
        return SetupError(
            f"the operation {name} of the writes {self._mix.name} is no statement that the "
            f"server takes: {why}",
            hint=f"it reads: {' '.join(query.text.decode().split())}",
        )


def _variables(named: NamedOperation) -> list[str]:
    return [name for template in named.statements for name, _ in template.variables]


def _hint(mix: WriteMix, error: psycopg.Error) -> str:
    if mix.seed is None:
        return "check its operations against the database"
    return f"let the database's user read {mix.seed.table.name} and use its sequence"
