"""The operations of a write mix on its table, compiled for one worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, Protocol

import psycopg
from psycopg import pq, sql
from psycopg.abc import PQGen

from stressrun.data.kinds import ReadSpan
from stressrun.errors import SetupError
from stressrun.postgres.keys import KeySupply
from stressrun.postgres.known_keys import KnownKeys
from stressrun.postgres.session import Done, Parameters, Query, Session, bytes_of, checked, rows_of
from stressrun.postgres.tables import identifier
from stressrun.postgres.values import copy_lines
from stressrun.scenario.model import Table, WriteMix

_MOST_PARAMETERS = 65_535

# Updates take their values from numbers beyond those of any inserted row.
_UPDATES = 2**40

Value = Callable[[int], bytes | None]
Values = Mapping[str, Value]


class NoRows(Exception):  # noqa: N818 - it is the mix that has used them up
    """No row is known that an operation could meet."""


class ForeignRow(psycopg.Error):
    """An upsert met a row that somebody else has written."""


Plan = Any
"""What an operation has made up its mind to do, before the time for it counts."""


class Operation(Protocol):
    """One kind of work of a mix.

    It needs `keys_needed` keys of the run's own reservation to begin with. One that `writes` may
    have changed something when its connection is lost.
    """

    name: str
    keys_needed: int
    writes: bool

    @property
    def text(self) -> str:
        """Its SQL."""

    def plan(self, index: int) -> Plan:
        """Its row or rows, and its values, for an index. Raises NoRows, Exhausted."""

    def start(self, session: Session, plan: Plan) -> PQGen[Any]:
        """Begin it; what is returned brings it to its end. Raises psycopg.Error, as that does."""

    def done(self, outcome: Any, plan: Plan) -> Done:
        """What became of it, given what its steps returned. Raises psycopg.Error."""

    def failed(self, plan: Plan) -> None:
        """It came to nothing, and is not tried again."""


class Single:
    """An operation of a single statement; its plan are the parameters."""

    name = ""
    keys_needed = 0
    writes = True
    query: Query

    @property
    def text(self) -> str:
        return self.query.text.decode()

    def plan(self, index: int) -> Parameters:
        raise NotImplementedError

    def start(self, session: Session, plan: Parameters) -> PQGen[list[pq.abc.PGresult]]:
        return session.start(self.query, plan)

    def done(self, outcome: Sequence[pq.abc.PGresult], plan: Parameters) -> Done:
        return self.read(checked(outcome), plan)

    def read(self, result: pq.abc.PGresult, plan: Parameters) -> Done:
        """What the result of its statement says. Raises psycopg.Error."""
        return Done(rows_of(result), 0, bytes_in(plan), 0)

    def failed(self, plan: Parameters) -> None:
        pass


class Insert(Single):
    """One statement that inserts `batch` rows, numbered on from the seeded ones.

    `values` gives the parameters of such rows, whose columns are `names`; of the keys it gives,
    `keys_needed` are the run's own. Their keys are known to the others where `known` is given.
    """

    name = "insert"

    def __init__(
        self,
        mix: WriteMix,
        names: Sequence[str],
        values: Callable[[range], Parameters],
        *,
        keys_needed: int,
        known: KnownKeys | None,
    ) -> None:
        assert mix.seed is not None
        table = mix.seed.table
        _check_size(mix, len(names))
        self._values = values
        self._batch = mix.batch
        self._first = mix.seed.rows
        self._known = known
        self.keys_needed = keys_needed
        self.query = _insert(table.name, names, mix.batch, explicit=keys_needed > 0)
        if known is not None:
            self.query = _followed_by(self.query, table.key, " returning {}::text")

    def plan(self, index: int) -> Parameters:
        first = self._first + index * self._batch
        return self._values(range(first, first + self._batch))

    def read(self, result: pq.abc.PGresult, plan: Parameters) -> Done:
        rows = rows_of(result)
        if self._known is not None:
            self._known.add(_first_column(result))
        return Done(rows, rows, bytes_in(plan), 0)


class Update(Single):
    """Sets the updated columns of one known row, where the condition `own` holds."""

    name = "update"

    def __init__(self, mix: WriteMix, values: Values, known: KnownKeys, *, own: str) -> None:
        assert mix.seed is not None
        table = mix.seed.table
        self._known = known
        self._values = tuple(values[name] for name in mix.updated_columns)
        assignments = ", ".join(f"{_column(name)} = \0" for name in mix.updated_columns)
        self.query = _query(
            f"update {_table(table.name)} set {assignments} where {_by_key(table, own)}"
        )

    def plan(self, index: int) -> Parameters:
        number = _UPDATES + index
        parameters = [value(number) for value in self._values]
        parameters.append(chosen(self._known, index))
        return parameters


class Delete(Single):
    """Deletes one known row, which no other operation of the mix meets from then on.

    Of several with its key those for which the condition `own` holds.
    """

    name = "delete"

    def __init__(self, mix: WriteMix, known: KnownKeys, *, own: str) -> None:
        assert mix.seed is not None
        table = mix.seed.table
        self._known = known
        self.query = _query(f"delete from {_table(table.name)} where {_by_key(table, own)}")

    def plan(self, index: int) -> Parameters:
        try:
            return (self._known.take(index),)
        except IndexError:
            raise NoRows from None

    def read(self, result: pq.abc.PGresult, plan: Parameters) -> Done:
        rows = rows_of(result)
        return Done(rows, -rows, bytes_in(plan), 0)

    def failed(self, plan: Parameters) -> None:
        # Its row is still there, unless its end is unknown.
        self._known.add(key for key in plan if key is not None)


class Select(Single):
    """Reads one known row by its key, where the condition `own` holds."""

    name = "select"
    writes = False

    def __init__(self, mix: WriteMix, known: KnownKeys, *, own: str) -> None:
        assert mix.seed is not None
        table = mix.seed.table
        self._known = known
        self.query = _query(f"select * from {_table(table.name)} where {_by_key(table, own)}")

    def plan(self, index: int) -> Parameters:
        return (chosen(self._known, index),)

    def read(self, result: pq.abc.PGresult, plan: Parameters) -> Done:
        return Done(rows_of(result), 0, bytes_in(plan), bytes_of(result))


class Upsert(Single):
    """Writes one row: every other one a known row's key, for which it updates that row.

    A row that has its key is left as it is, where the condition `own` does not hold for it.
    """

    name = "upsert"

    def __init__(
        self,
        mix: WriteMix,
        values: Values,
        supply: KeySupply | None,
        known: KnownKeys,
        *,
        own: str,
        tracks: bool,
    ) -> None:
        assert mix.seed is not None
        table = mix.seed.table
        others = {name: value for name, value in values.items() if name != table.key}
        self._known = known
        self._tracks = tracks
        self._batch = mix.batch
        self._first = mix.seed.rows
        self._new_key = values[table.key] if supply is None else reserved_key(supply)
        self._values = tuple(others.values())
        self.keys_needed = 0 if supply is None else 1
        sets = ", ".join(f"{_column(name)} = excluded.{_column(name)}" for name in _updated(mix))
        query = _insert(table.name, [table.key, *others], 1, explicit=supply is not None)
        conflict = f" on conflict ({_column(table.key)}) do update set {sets}"
        if own:
            conflict += f" where {own}"
        self._meets_others = bool(own)
        # A row that was updated bears the transaction that took the place of its old version.
        self.query = _followed_by(
            query, table.key, f"{conflict} returning {{}}::text, (xmax = 0)::int"
        )

    def plan(self, index: int) -> Parameters:
        key: bytes | None
        # So half of them are even where a table of operations gives this one every n-th index.
        if index.bit_count() % 2 and len(self._known):
            key, number = self._known.choose(index), _UPDATES + index
        else:
            # A number that no insert or COPY of the mix has: theirs are a batch of this index each.
            number = self._first + index * self._batch
            key = self._new_key(number)
        return [key, *(value(number) for value in self._values)]

    def read(self, result: pq.abc.PGresult, plan: Parameters) -> Done:
        if self._meets_others and not result.ntuples:
            raise ForeignRow("a row with its key is not the run's")
        added = sum(result.get_value(row, 1) == b"1" for row in range(result.ntuples))
        if added and self._tracks:
            self._known.add(_first_column(result))
        return Done(rows_of(result), added, bytes_in(plan), 0)


class Copy:
    """A COPY of `batch` rows, numbered like those of inserts.

    `fields` are texts of its format, by the columns' names; of the keys among them, `keys_needed`
    are the run's own.
    """

    name = "copy"
    writes = True

    def __init__(
        self, mix: WriteMix, fields: Mapping[str, ReadSpan[str]], *, keys_needed: int
    ) -> None:
        assert mix.seed is not None
        self._fields = tuple(fields.values())
        self._batch = mix.batch
        self._first = mix.seed.rows
        self.keys_needed = keys_needed
        columns = ", ".join(map(_column, fields))
        self.text = f"copy {_table(mix.seed.table.name)} ({columns}) from stdin"

    def plan(self, index: int) -> bytes:
        first = self._first + index * self._batch
        rows = range(first, first + self._batch)
        return copy_lines([field(rows) for field in self._fields]).encode()

    def start(self, session: Session, plan: bytes) -> PQGen[pq.abc.PGresult]:
        return session.copy(self.text.encode(), plan)

    def done(self, outcome: pq.abc.PGresult, plan: bytes) -> Done:
        rows = rows_of(outcome)
        return Done(rows, rows, len(plan), 0)

    def failed(self, plan: bytes) -> None:
        pass


def by_row(values: Sequence[Value]) -> Callable[[range], Parameters]:
    """The parameters of rows, value by value: the faster way to a single row."""
    return lambda rows: [value(row) for row in rows for value in values]


def by_column(spans: Sequence[ReadSpan[bytes | None]]) -> Callable[[range], Parameters]:
    """The parameters of rows, of which all values of a column are read at once."""

    def parameters(rows: range) -> Parameters:
        return list(chain.from_iterable(zip(*[span(rows) for span in spans], strict=True)))

    return parameters


def one_of(span: ReadSpan[bytes | None]) -> Value:
    """A column's value for a single row."""
    return lambda row: next(iter(span(range(row, row + 1))))


def reserved_key(supply: KeySupply) -> Value:
    """The next key of the run's own, whatever the row."""
    return lambda row: b"%d" % supply.take(1)[0]


def chosen(known: KnownKeys, index: int) -> bytes:
    """The key of the row for an index. Raises NoRows."""
    try:
        return known.choose(index)
    except IndexError:
        raise NoRows from None


def _updated(mix: WriteMix) -> Sequence[str]:
    assert mix.seed is not None
    return mix.updated_columns or (mix.seed.table.key,)


def bytes_in(parameters: Parameters) -> int:
    """The bytes of a statement's values."""
    return sum(map(len, filter(None, parameters)))


def _first_column(result: pq.abc.PGresult) -> list[bytes]:
    return [result.get_value(row, 0) or b"" for row in range(result.ntuples)]


def _by_key(table: Table, own: str) -> str:
    return f"{_column(table.key)} = \0" + (f" and {own}" if own else "")


def _check_size(mix: WriteMix, columns: int) -> None:
    if columns * mix.batch > _MOST_PARAMETERS:
        raise SetupError(
            f"an insert of {mix.batch} rows of {mix.name} has more values than "
            f"PostgreSQL's {_MOST_PARAMETERS:,}",
            hint=f"make its batch at most {_MOST_PARAMETERS // columns}, or use copy",
        )


def _insert(table: str, names: Sequence[str], rows: int, *, explicit: bool) -> Query:
    columns = ", ".join(map(_column, names))
    overriding = "overriding system value " if explicit else ""
    row = f"({', '.join(chr(0) for _ in names)})"
    values = ", ".join([row] * rows)
    return _query(f"insert into {_table(table)} ({columns}) {overriding}values {values}")


def _followed_by(query: Query, key: str, text: str) -> Query:
    return Query([*query.pieces[:-1], query.pieces[-1] + text.format(_column(key))])


def _query(text: str) -> Query:
    """A statement in whose text each NUL stands for a parameter."""
    return Query(text.split("\0"))


def _table(name: str) -> str:
    return identifier(name).as_string()


def _column(name: str) -> str:
    return sql.Identifier(name).as_string()
