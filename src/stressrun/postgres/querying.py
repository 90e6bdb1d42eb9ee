"""What a statement that only reads gives, as JSON-like values."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

import psycopg
from psycopg import pq

from stressrun.data.render import as_read_back
from stressrun.errors import StressrunError
from stressrun.postgres.connection import Connection

_NUMERIC = psycopg.adapters.types["numeric"].oid


async def fetch(connection: Connection, query: str, most: int) -> pq.abc.PGresult:
    """The first rows of one statement, at most so many; within a transaction that only reads."""
    declaration = f"declare stressrun cursor for {query}".encode()
    # Asked for as binary, though it gives nothing, it cannot hold a second statement.
    await connection.execute(declaration, binary=True)
    result = (await connection.execute(f"fetch {most} from stressrun".encode())).pgresult
    await connection.execute("close stressrun")
    assert result is not None
    return result


async def ask(connection: Connection, statements: Sequence[str]) -> list[object]:
    """The one value that each of some statements gives, all at the same instant.

    Raises psycopg.Error, and NoSingleValueError for a statement that gives more or less.
    """
    async with connection.transaction():
        await connection.execute("set transaction isolation level repeatable read, read only")
        return [_single(await fetch(connection, statement, 2)) for statement in statements]


class NoSingleValueError(StressrunError):
    """A statement gave something else than one row with one column."""


def _single(result: pq.abc.PGresult) -> object:
    if result.nfields != 1 or result.ntuples != 1:
        rows = ("no row", "one row")[result.ntuples] if result.ntuples < 2 else "several rows"
        raise NoSingleValueError(
            f"it gives {rows} of {result.nfields} column{'' if result.nfields == 1 else 's'}",
            hint="write a statement that gives one value",
        )
    content = result.get_value(0, 0)
    if content is None:
        return None
    value = reader(result.ftype(0))(content)
    if result.ftype(0) == _NUMERIC and (number := Decimal(str(value))).is_finite():
        return as_read_back(number)
    return value


def reader(oid: int) -> Callable[[bytes], object]:
    """What reads values of a type: numbers, booleans and JSON are themselves, all else is text.

    So is numeric, of which a number could not have all digits.
    """
    return _READERS.get(oid, _text)


def _text(content: bytes) -> str:
    return content.decode()


def _float(content: bytes) -> float | str:
    number = float(content)
    return number if math.isfinite(number) else _text(content)


_READERS: Mapping[int, Callable[[bytes], object]] = {
    psycopg.adapters.types[name].oid: read
    for names, read in (
        (("int2", "int4", "int8"), int),
        (("float4", "float8"), _float),
        (("json", "jsonb"), json.loads),
        (("bool",), b"t".__eq__),
    )
    for name in names
}
