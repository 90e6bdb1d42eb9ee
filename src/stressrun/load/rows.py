"""Where one worker's iterations get their rows: the scenario's feeders and its seeded tables."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, islice
from typing import Any

from stressrun.data.composites import with_values
from stressrun.data.expressions import variables_of
from stressrun.data.feeders import (
    ComputedRows,
    RandomRows,
    Row,
    RowSource,
    SequentialRows,
    UniqueRows,
    csv_rows,
    json_lines_rows,
)
from stressrun.load.pacing import Segment
from stressrun.scenario.model import CsvFile, Feeder, JsonLinesFile, Query, Scenario, Seed
from stressrun.scenario.scope import is_reserved

Handed = Mapping[str, Any]
"""What the controller has asked the database for, as JSON, by its name: a feeder's rows, a table's
ranges of keys (start, stop, step), the values of a `table.column` that others refer to."""


class RowSources:
    """The sources of one worker. All endpoints share them, so that a unique row is used once.

    Only the columns that the scenario uses are kept.
    """

    def __init__(self, scenario: Scenario, segment: Segment, handed: Handed) -> None:
        """Read the files. Raises FeederError."""
        self._sources: list[RowSource] = []
        for feeder in scenario.feeders:
            if columns := columns_used(scenario, feeder.name):
                rows = _rows(feeder, columns, handed)
                names = tuple(f"{feeder.name}.{column}" for column in columns)
                self._sources.append(_fed(scenario, feeder, names, rows, segment))
        for seed in seeds_of(scenario):
            if columns := columns_used(scenario, seed.table.name):
                self._sources.append(_seeded(scenario, seed, columns, handed))

    def feeding(self, variables: Iterable[str]) -> tuple[RowSource, ...]:
        """The sources of any of these variables."""
        wanted = frozenset(variables)
        return tuple(source for source in self._sources if not wanted.isdisjoint(source.variables))


def seeds_of(scenario: Scenario) -> tuple[Seed, ...]:
    """All tables that are filled, for themselves or for a write mix, in the order of that."""
    return tuple(step for step in scenario.seeding if isinstance(step, Seed))


def columns_used(scenario: Scenario, owner: str) -> tuple[str, ...]:
    """The columns of a feeder or a table that its requests name, `${owner.column}`.

    None are of a table whose name means something else in an expression, such as `login`.
    """
    if is_reserved(owner):
        return ()
    names = sorted(set(variables_of((scenario.login, scenario.endpoints, scenario.writes))))
    parts = [name.rpartition(".") for name in names]
    return tuple(column for before, _, column in parts if before == owner)


def needs_keys(scenario: Scenario, seed: Seed) -> bool:
    """Whether its requests name a table's key and the database alone knows it."""
    table = seed.table
    generated = {column.name for column in table.columns}
    return table.key not in generated and table.key in columns_used(scenario, table.name)


def _rows(feeder: Feeder, columns: Sequence[str], handed: Handed) -> Iterator[Row]:
    match feeder.source:
        case CsvFile(path):
            return csv_rows(path, columns)
        case JsonLinesFile(path):
            return json_lines_rows(path, columns)
        case Query():
            return map(tuple, handed[feeder.name])


def _fed(
    scenario: Scenario,
    feeder: Feeder,
    names: tuple[str, ...],
    rows: Iterator[Row],
    segment: Segment,
) -> RowSource:
    match feeder.order:
        case "unique":
            return UniqueRows(
                names, list(islice(rows, segment.index, None, segment.of)), feeder.name
            )
        case "random":
            return RandomRows(names, list(rows), scenario.random_seed, f"feeders.{feeder.name}")
        case _:
            return SequentialRows(names, list(rows), segment.index, segment.of)


def _seeded(scenario: Scenario, seed: Seed, columns: Sequence[str], handed: Handed) -> ComputedRows:
    table = seed.table
    generators = {column.name: column.generator for column in table.columns}
    reads: list[Callable[[int], object]] = []
    for name in columns:
        if name not in generators:
            reads.append(_keys([range(*keys) for keys in handed[table.name]]))
            continue
        generator = with_values(generators[name], handed)
        reads.append(generator.compile(scenario.random_seed, f"{table.name}.{name}"))
    return ComputedRows(
        tuple(f"{table.name}.{name}" for name in columns),
        reads,
        seed.rows,
        scenario.random_seed,
        f"rows.{table.name}",
    )


def _keys(ranges: Sequence[range]) -> Callable[[int], int]:
    """The key of a row's number, where the rows have the keys of these ranges in their order."""
    ends = list(accumulate(map(len, ranges)))

    def read(number: int) -> int:
        place = bisect_right(ends, number)
        return ranges[place][number - ends[place]]

    return read
