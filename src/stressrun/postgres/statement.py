"""A statement that one connection runs again and again, prepared.

Its parameters are text, made before load, of which the server knows the types: so there is one
prepared statement whatever the values are, and nothing is converted under load. It counts as
prepared once the server has confirmed it: a cancellation leaves none that is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import psycopg
from psycopg import pq
from psycopg.abc import PQGen
from psycopg.generators import execute

if TYPE_CHECKING:
    from stressrun.postgres.connection import Connection


class Done(NamedTuple):
    """What one statement did: rows written or found, and the bytes of its values.

    The bytes are those of the values' text, without the protocol's frame around them.
    """

    rows: int
    bytes_sent: int
    bytes_received: int


class Statement:
    """A query with `$1` parameters on one connection."""

    __slots__ = ("_connection", "_name", "_prepared", "_query")

    def __init__(self, connection: Connection, query: bytes, name: bytes) -> None:
        self._connection = connection
        self._query = query
        self._name = name
        self._prepared = False

    async def run(self, parameters: Sequence[bytes | None]) -> Done:
        """Run it once, in autocommit or in the open transaction. Raises psycopg.Error."""
        async with self._connection.lock:
            return await self._connection.wait(self._run(parameters))

    def _run(self, parameters: Sequence[bytes | None]) -> PQGen[Done]:
        pgconn = self._connection.pgconn
        if not self._prepared:
            pgconn.send_prepare(self._name, self._query)
            yield from self._result()
            self._prepared = True
        pgconn.send_query_prepared(self._name, parameters)
        result = yield from self._result()
        received = 0
        for row in range(result.ntuples):
            for column in range(result.nfields):
                received += len(result.get_value(row, column) or b"")
        sent = sum([len(value) for value in parameters if value is not None])
        return Done(result.command_tuples or 0, sent, received)

    def _result(self) -> PQGen[pq.abc.PGresult]:
        results: list[pq.abc.PGresult] = yield from execute(self._connection.pgconn)
        for result in results:
            if result.status == pq.ExecStatus.FATAL_ERROR:
                raise psycopg.errors.error_from_result(result)
        return results[0]
