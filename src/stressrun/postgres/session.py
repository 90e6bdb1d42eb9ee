"""One connection of the load, as operations use it: protocol without waiting.

Whatever talks to the server is a generator in the manner of psycopg's own: it yields what it
waits for and is sent what is ready, so that one loop can drive many connections.

Parameters are text, made before load, of which the server knows the types: so there is one
prepared statement whatever the values are, and nothing is converted under load.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeGuard

import psycopg
from psycopg import pq
from psycopg.abc import PQGen
from psycopg.generators import copy_end, copy_to, execute, fetch_many, send
from psycopg.pq import Escaping

from stressrun.postgres.connection import Connection

Parameters = Sequence[bytes | None]
PREPARED, EXTENDED, SIMPLE = "prepared", "extended", "simple"

# As numbers, which they are compared with for each operation.
_FAILED = int(pq.ExecStatus.FATAL_ERROR)
_SYNCHRONISED = int(pq.ExecStatus.PIPELINE_SYNC)
_IDLE = pq.TransactionStatus.IDLE
# What is put into the COPY at once: libpq buffers it whole until the socket takes it.
_COPY_BLOCK = 64 * 1024


class Query:
    """A statement with places for parameters: the text before, between and after them."""

    __slots__ = ("_encoded", "pieces", "text")

    def __init__(self, pieces: Sequence[str]) -> None:
        self.pieces = tuple(pieces)
        self._encoded = tuple(piece.encode() for piece in pieces)
        text = pieces[0]
        for number, piece in enumerate(pieces[1:], 1):
            text += f"${number}{piece}"
        self.text = text.encode()

    def with_literals(self, pgconn: pq.abc.PGconn, parameters: Parameters) -> bytes:
        """The statement with its parameters written out, as the simple protocol needs it."""
        escape = Escaping(pgconn).escape_literal
        text = [self._encoded[0]]
        for value, piece in zip(parameters, self._encoded[1:], strict=True):
            text.append(b"NULL" if value is None else bytes(escape(value)))
            text.append(piece)
        return b"".join(text)


class Done(NamedTuple):
    """What one operation did.

    `rows` were written or found, `added` is how many rows it inserted less those it deleted. The
    bytes are those of the values' text, without the protocol's frame around them.
    """

    rows: int
    added: int
    sent: int
    received: int


class Session:
    """What runs statements on a connection; statements it has prepared stay prepared.

    It is `ending` once the server has said, between statements, that it does nothing more.
    """

    __slots__ = ("_names", "_protocol", "connection", "ending", "pgconn")

    def __init__(self, connection: Connection, protocol: str = PREPARED) -> None:
        self.connection = connection
        self.pgconn = connection.pgconn
        # Behind a pooler the next statement may meet another server process.
        pooled = protocol == PREPARED and connection.pooled
        self._protocol = EXTENDED if pooled else protocol
        self._names: dict[Query, bytes] = {}
        self.ending = False
        connection.add_notice_handler(self._heard)

    def start(self, query: Query, parameters: Parameters) -> PQGen[list[pq.abc.PGresult]]:
        """Send one statement, in autocommit or in the open transaction.

        What is returned gives its results. Raises psycopg.Error.
        """
        if self._protocol == PREPARED:
            name = self._names.get(query)
            if name is None:
                return self._prepare_and_run(query, parameters)
            self.pgconn.send_query_prepared(name, parameters)
        elif self._protocol == SIMPLE:
            self.pgconn.send_query(query.with_literals(self.pgconn, parameters))
        else:
            self.pgconn.send_query_params(query.text, parameters)
        results: PQGen[list[pq.abc.PGresult]] = execute(self.pgconn)
        return results

    def run(self, query: Query, parameters: Parameters) -> PQGen[pq.abc.PGresult]:
        """One statement and its result. Raises psycopg.Error."""
        return checked((yield from self.start(query, parameters)))

    def run_all(
        self,
        calls: Sequence[tuple[Query, Parameters]],
        ended: Callable[[int, pq.abc.PGresult | psycopg.Error], None],
    ) -> PQGen[None]:
        """Statements sent at once, each a transaction of its own; `ended` is told of each.

        Raises psycopg.Error where the connection is lost or one cannot be prepared.
        """
        for query in {query for query, _ in calls}:
            if self._protocol == PREPARED and query not in self._names:
                yield from self._prepare(query)
        pgconn = self.pgconn
        pgconn.enter_pipeline_mode()
        for query, parameters in calls:
            if self._protocol == PREPARED:
                pgconn.send_query_prepared(self._names[query], parameters)
            else:
                pgconn.send_query_params(query.text, parameters)
            pgconn.pipeline_sync()
        yield from send(pgconn)
        for number in range(len(calls)):
            ended(number, (yield from self._answer()))
        pgconn.exit_pipeline_mode()

    def command(self, text: bytes) -> PQGen[None]:
        """A statement without parameters and rows, such as `begin`. Raises psycopg.Error."""
        self.pgconn.send_query(text)
        checked((yield from execute(self.pgconn)))

    def roll_back(self) -> PQGen[None]:
        """End a transaction that failed, where the connection still holds one."""
        if not self.connection.closed and self.pgconn.transaction_status != _IDLE:
            yield from self.command(b"rollback")

    def copy(self, query: bytes, content: bytes) -> PQGen[pq.abc.PGresult]:
        """A COPY from the client, all or nothing. Raises psycopg.Error."""
        self.pgconn.send_query(query)
        checked((yield from execute(self.pgconn)))
        for start in range(0, len(content), _COPY_BLOCK):
            yield from copy_to(self.pgconn, content[start : start + _COPY_BLOCK], flush=False)
        return (yield from copy_end(self.pgconn, None))

    def check(self, query: Query) -> PQGen[int]:
        """Have the server parse a statement without running it: how many parameters it has.

        Raises psycopg.Error.
        """
        yield from self._parse(b"", query)
        self.pgconn.send_describe_prepared(b"")
        return checked((yield from execute(self.pgconn))).nparams

    def _answer(self) -> PQGen[pq.abc.PGresult | psycopg.Error]:
        """What became of one statement in the pipeline, its commit included."""
        answers: list[pq.abc.PGresult] = []
        while True:
            try:
                results = yield from fetch_many(self.pgconn)
                if not results:
                    raise psycopg.OperationalError("the connection was lost")
            except psycopg.OperationalError as error:
                outcome = _outcome(answers) if answers else None
                raise outcome if _is_last(outcome) else error from None
            if results[0].status == _SYNCHRONISED:
                return _outcome(answers)
            answers += results

    def _heard(self, notice: psycopg.errors.Diagnostic) -> None:
        # While a statement runs this would be its error.
        if notice.severity_nonlocalized == "FATAL":
            self.ending = True

    def _prepare_and_run(
        self, query: Query, parameters: Parameters
    ) -> PQGen[list[pq.abc.PGresult]]:
        name = yield from self._prepare(query)
        self.pgconn.send_query_prepared(name, parameters)
        results: list[pq.abc.PGresult] = yield from execute(self.pgconn)
        return results

    def _prepare(self, query: Query) -> PQGen[bytes]:
        """The name of a statement that is prepared now: the server has confirmed it."""
        name = b"stressrun_%d" % len(self._names)
        yield from self._parse(name, query)
        self._names[query] = name
        return name

    def _parse(self, name: bytes, query: Query) -> PQGen[None]:
        self.pgconn.send_prepare(name, query.text)
        checked((yield from execute(self.pgconn)))


def checked(results: Sequence[pq.abc.PGresult]) -> pq.abc.PGresult:
    """The first result. Raises the psycopg.Error of one that is a failure."""
    for result in results:
        if result.status == _FAILED:
            raise psycopg.errors.error_from_result(result)
    return results[0]


def _outcome(answers: Sequence[pq.abc.PGresult]) -> pq.abc.PGresult | psycopg.Error:
    try:
        return checked(answers)
    except psycopg.Error as error:
        return error


def _is_last(outcome: pq.abc.PGresult | psycopg.Error | None) -> TypeGuard[psycopg.Error]:
    """Whether the server ended the session with this."""
    return isinstance(outcome, psycopg.Error) and outcome.diag.severity_nonlocalized == "FATAL"


def rows_of(result: pq.abc.PGresult) -> int:
    """The rows that a statement wrote or found."""
    return result.command_tuples or 0


def bytes_of(result: pq.abc.PGresult) -> int:
    """The bytes of a result's values."""
    received = 0
    for row in range(result.ntuples):
        for column in range(result.nfields):
            received += len(result.get_value(row, column) or b"")
    return received
