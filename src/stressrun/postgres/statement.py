"""A statement that one connection runs again and again, prepared.

It goes below psycopg's cursor, which costs a third of a small statement's client CPU, and keeps
the names of its prepared statements itself, each from when the server has confirmed it, so that a
cancellation leaves none that is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import psycopg
from psycopg import pq
from psycopg.abc import PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.generators import execute

if TYPE_CHECKING:
    from stressrun.postgres.connection import Connection


class Done(NamedTuple):
    """What one statement did: rows written or found, and the bytes of its values.

    The bytes are those of the values as they travel, without the protocol's frame around them.
    """

    rows: int
    bytes_sent: int
    bytes_received: int


class Statement:
    """A query with `$1` parameters on one connection."""

    __slots__ = ("_connection", "_formats", "_names", "_number", "_text", "_values")

    def __init__(self, connection: Connection, text: bytes, number: int) -> None:
        self._connection = connection
        self._text = text
        self._number = number
        self._names: dict[tuple[int, ...], bytes] = {}
        self._formats: list[PyFormat] = []
        self._values = Transformer(connection)

    async def run(self, parameters: Sequence[object]) -> Done:
        """Run it once. Raises psycopg.Error."""
        async with self._connection.lock:
            return await self._connection.wait(self._run(parameters))

    def _run(self, parameters: Sequence[object]) -> PQGen[Done]:
        if len(self._formats) != len(parameters):
            self._formats = [PyFormat.AUTO] * len(parameters)
        values = self._values.dump_sequence(parameters, self._formats)
        types = self._values.types or ()
        name = self._names.get(types) or (yield from self._prepare(types))
        pgconn = self._connection.pgconn
        pgconn.send_query_prepared(name, values, param_formats=self._values.formats)
        result = yield from self._result()
        received = 0
        for row in range(result.ntuples):
            for column in range(result.nfields):
                received += len(result.get_value(row, column) or b"")
        sent = sum([len(value) for value in values if value is not None])
        return Done(result.command_tuples or 0, sent, received)

    def _prepare(self, types: tuple[int, ...]) -> PQGen[bytes]:
        name = b"stressrun_%d_%d" % (self._number, len(self._names))
        self._connection.pgconn.send_prepare(name, self._text, param_types=types)
        yield from self._result()
        self._names[types] = name
        return name

    def _result(self) -> PQGen[pq.abc.PGresult]:
        results: list[pq.abc.PGresult] = yield from execute(self._connection.pgconn)
        for result in results:
            if result.status == pq.ExecStatus.FATAL_ERROR:
                raise psycopg.errors.error_from_result(result)
        return results[0]
