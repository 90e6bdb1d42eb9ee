"""Rows that iterations use: read from files, and handed out in an order."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TextIO

from stressrun.data.errors import FeederError
from stressrun.data.pools import draw_number
from stressrun.data.render import as_text
from stressrun.data.suggest import did_you_mean

Row = Sequence[object]


class Exhausted(Exception):  # noqa: N818 - the end of the rows is no mistake of anybody's
    """A worker's unique rows are used up."""

    def __init__(self, feeder: str) -> None:
        super().__init__(f"no row left in {feeder}")
        self.feeder = feeder


class RowSource(Protocol):
    """Where iterations get a row each; `variables` are what a row is called, column by column."""

    variables: tuple[str, ...]

    def draw(self, index: int, variables: dict[str, object]) -> None:
        """Put the row of the iteration with this index into its variables. Raises Exhausted."""


class SequentialRows:
    """Worker i of n takes the rows i, i + n, … and after the last goes on from the first.

    So n workers that draw equally often use each row equally often, however many there are.
    """

    def __init__(
        self, variables: tuple[str, ...], rows: Sequence[Row], worker: int, workers: int
    ) -> None:
        self.variables = variables
        self._rows = rows
        self._number = worker % len(rows)
        self._step = workers

    def draw(self, index: int, variables: dict[str, object]) -> None:
        variables.update(zip(self.variables, self._rows[self._number], strict=True))
        self._number = (self._number + self._step) % len(self._rows)


class UniqueRows:
    """Each row of `share` once: no other worker has them."""

    def __init__(self, variables: tuple[str, ...], share: Sequence[Row], feeder: str) -> None:
        self.variables = variables
        self._rows = iter(share)
        self._feeder = feeder

    def draw(self, index: int, variables: dict[str, object]) -> None:
        row = next(self._rows, None)
        if row is None:
            raise Exhausted(self._feeder)
        variables.update(zip(self.variables, row, strict=True))


class RandomRows:
    """Any row, as a pure function of the seed, the site and the index."""

    def __init__(
        self, variables: tuple[str, ...], rows: Sequence[Row], seed: int, site: str
    ) -> None:
        self.variables = variables
        self._rows = rows
        self._number = draw_number(len(rows), seed, site)

    def draw(self, index: int, variables: dict[str, object]) -> None:
        variables.update(zip(self.variables, self._rows[self._number(index)], strict=True))


class ComputedRows:
    """Any of `count` rows whose values follow from their number: a read for each variable."""

    def __init__(
        self,
        variables: tuple[str, ...],
        reads: Sequence[Callable[[int], object]],
        count: int,
        seed: int,
        site: str,
    ) -> None:
        self.variables = variables
        self._reads = tuple(zip(variables, reads, strict=True))
        self._number = draw_number(count, seed, site)

    def draw(self, index: int, variables: dict[str, object]) -> None:
        number = self._number(index)
        for variable, read in self._reads:
            variables[variable] = read(number)


def csv_columns(path: str) -> tuple[str, ...]:
    """The column names in a CSV file's first line. Raises FeederError."""
    with _opened(path) as file:
        return _header(_records(file, path), path)


def csv_rows(path: str, columns: Sequence[str]) -> Iterator[Row]:
    """The rows of a CSV file: the texts in those columns, in their order. Raises FeederError."""
    with _opened(path) as file:
        records = _records(file, path)
        header = _header(records, path)
        places = [_place(column, header, path, 1) for column in columns]
        empty = True
        for line, fields in records:
            if len(fields) != len(header):
                raise FeederError(
                    f"expected {len(header)} fields as in the header, not {len(fields)}",
                    path,
                    line,
                    'quote a field that holds a comma or a line\'s end: "a, b"',
                )
            yield tuple([fields[place] for place in places])
            empty = False
        if empty:
            raise FeederError("there are no rows", path, hint="add some below the header")


def json_lines_columns(path: str) -> tuple[str, ...]:
    """The names in the first object of a file of JSON lines. Raises FeederError."""
    with _opened(path) as file:
        _, first = next(_objects(file, path))
        return tuple(first)


def json_lines_rows(path: str, columns: Sequence[str]) -> Iterator[Row]:
    """The rows of a file with one JSON object a line: the values of those names, in their order.

    Raises FeederError.
    """
    with _opened(path) as file:
        for line, found in _objects(file, path):
            for column in columns:
                _place(column, list(found), path, line)
                if not is_text(found[column]):
                    raise FeederError(
                        f"{column!r} holds half of a surrogate pair", path, line, "leave it out"
                    )
            yield tuple([found[column] for column in columns])


def is_text(value: object) -> bool:
    """Whether a value of JSON can be sent: UTF-8, unlike JSON, has no halves of surrogate pairs."""
    try:
        as_text(value).encode()
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def _opened(path: str) -> Iterator[TextIO]:
    """A file of rows; what goes wrong in reading it is a FeederError."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            yield file
    except OSError as error:
        raise FeederError(
            f"the file cannot be read: {error.strerror}", path, hint="check its path and its rights"
        ) from error
    except UnicodeDecodeError as error:
        raise FeederError("the file is not UTF-8", path, hint="save it as UTF-8") from error


def _records(file: TextIO, path: str) -> Iterator[tuple[int, list[str]]]:
    """The records of a CSV file but empty lines, with the line that each begins at."""
    reader = csv.reader(file, strict=True)
    line = 1
    try:
        for fields in reader:
            if fields:
                yield line, fields
            line = reader.line_num + 1
    except csv.Error as error:
        hint = 'within a quoted field, write "" for a quote'
        raise FeederError(f"not CSV: {error}", path, line, hint) from error


def _header(records: Iterator[tuple[int, list[str]]], path: str) -> tuple[str, ...]:
    line, header = next(records, (1, []))
    if not header:
        raise FeederError("the header is missing", path, 1, "name the columns in the first line")
    for place, name in enumerate(header):
        if not name.strip():
            raise FeederError(f"column {place + 1} has no name", path, line, "name it")
        if name in header[:place]:
            raise FeederError(f"a second column {name!r}", path, line, "give it another name")
    return tuple(header)


def _place(column: str, known: Sequence[str], path: str, line: int) -> int:
    if column not in known:
        hint = did_you_mean(column, known) or f"there are {', '.join(known) or 'none'}"
        raise FeederError(f"no column {column!r}", path, line, hint)
    return known.index(column)


def _objects(file: TextIO, path: str) -> Iterator[tuple[int, dict[str, object]]]:
    """The objects of a file of JSON lines, with their lines; at least one."""
    empty = True
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise FeederError(f"not JSON: {error}", path, number, _OBJECT) from error
        if not isinstance(found, dict):
            raise FeederError("not a JSON object", path, number, _OBJECT)
        yield number, found
        empty = False
    if empty:
        raise FeederError("there are no rows", path, hint=_OBJECT)


_OBJECT = 'write one object a line, such as {"id": 1, "email": "a@example.org"}'


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON value")
