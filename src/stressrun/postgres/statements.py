"""The operations of a write mix that are SQL of the scenario's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import add

import psycopg
from psycopg import pq
from psycopg.abc import PQGen

from stressrun.data.feeders import RowSource
from stressrun.postgres.known_keys import KnownKeys
from stressrun.postgres.operations import Single, bytes_in, chosen
from stressrun.postgres.session import Done, Parameters, Query, Session, bytes_of, rows_of

KEY = "key"
"""The variable that is the key of one of the mix's rows."""

Read = Callable[[int, Mapping[str, object]], bytes | None]


class Variables:
    """What the scenario's own SQL reads for an index: its rows' columns, and a known row's key."""

    def __init__(self, sources: Sequence[RowSource], known: KnownKeys | None) -> None:
        self._sources = sources
        self._known = known

    def draw(self, index: int) -> Mapping[str, object]:
        variables: dict[str, object] = {}
        if self._known is not None:
            variables[KEY] = chosen(self._known, index).decode()
        for source in self._sources:
            source.draw(index, variables)
        return variables


class Statement(Single):
    """One statement of the scenario's own; `reads` are its parameters."""

    def __init__(
        self, name: str, query: Query, reads: Sequence[Read], variables: Variables
    ) -> None:
        self.name = name
        self.query = query
        self._reads = reads
        self._variables = variables

    def plan(self, index: int) -> Parameters:
        variables = self._variables.draw(index)
        return [read(index, variables) for read in self._reads]

    def read(self, result: pq.abc.PGresult, plan: Parameters) -> Done:
        return _done(result, plan)


class Transaction:
    """Statements of the scenario's own, done together; rolled back when one of them fails.

    A failure bears the statement that failed as its note. Each has the reads of its parameters
    beside it; `begin` is how the transaction begins.
    """

    keys_needed = 0
    writes = True

    def __init__(
        self,
        name: str,
        statements: Sequence[tuple[Query, Sequence[Read]]],
        variables: Variables,
        begin: bytes,
    ) -> None:
        self.name = name
        self.text = "; ".join(query.text.decode() for query, _ in statements)
        self._statements = statements
        self._variables = variables
        self._begin = begin

    def plan(self, index: int) -> Sequence[Parameters]:
        variables = self._variables.draw(index)
        return [[read(index, variables) for read in reads] for _, reads in self._statements]

    def start(self, session: Session, plan: Sequence[Parameters]) -> PQGen[Done]:
        done = Done(0, 0, 0, 0)
        running = self._begin
        try:
            yield from session.command(running)
            for (query, _), parameters in zip(self._statements, plan, strict=True):
                running = query.text
                one = _done((yield from session.run(query, parameters)), parameters)
                done = Done(*map(add, done, one))
            running = b"commit"
            yield from session.command(running)
        except psycopg.Error as error:
            error.add_note(running.decode())
            yield from session.roll_back()
            raise
        return done

    def done(self, outcome: Done, plan: Sequence[Parameters]) -> Done:
        return outcome

    def failed(self, plan: Sequence[Parameters]) -> None:
        pass


def _done(result: pq.abc.PGresult, parameters: Parameters) -> Done:
    """What a statement of the scenario's own did, as far as the server says."""
    rows = rows_of(result)
    return Done(rows, _added(result, rows), bytes_in(parameters), bytes_of(result))


def _added(result: pq.abc.PGresult, rows: int) -> int:
    match (result.command_status or b"")[:6]:
        case b"INSERT":
            return rows
        case b"DELETE":
            return -rows
    return 0
