"""The rows that iterations use: those of `feeders:`, and those of seeded tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from stressrun.data.composites import leaves
from stressrun.data.errors import FeederError
from stressrun.data.expressions import variables_of
from stressrun.data.feeders import csv_columns, json_lines_columns
from stressrun.data.kinds import Now
from stressrun.scenario.files import Files
from stressrun.scenario.model import (
    CsvFile,
    Feeder,
    JsonLinesFile,
    Query,
    Seed,
    Table,
    WriteMix,
)
from stressrun.scenario.part import Part
from stressrun.scenario.scope import NAMESPACES, Sources, is_reserved
from stressrun.scenario.tables import declared_tables

_ORDER = "random"


class Rows:
    """The feeders of a scenario, and the `sources` that its rows are for expressions."""

    def __init__(
        self, root: Part, files: Files, seeding: Sequence[Seed], writes: Sequence[WriteMix]
    ) -> None:
        self._files = files
        self._columns: dict[str, tuple[str, ...] | None] = dict.fromkeys(_declared(root))
        seeds = (*seeding, *(mix.seed for mix in writes if mix.seed is not None))
        for seed in seeds:
            columns = (seed.table.key, *(column.name for column in seed.table.columns))
            self._columns[seed.table.name] = columns
            if not seed.rows or is_reserved(seed.table.name):
                del self._columns[seed.table.name]
        self.feeders = tuple(self._feeder(name, part) for name, part in root.entries("feeders"))
        self.sources = Sources(self._columns, _unusable(seeds, writes))

    def check_unique(self, root: Part, requests: object, writes: object) -> None:
        """Each kind of load shares unique rows out among its own workers."""
        used = [{name.rpartition(".")[0] for name in variables_of(x)} for x in (requests, writes)]
        for name, part in root.entries("feeders"):
            if all(name in names for names in used) and _order(part) == "unique":
                part["order"].fault(
                    f"endpoints and writes would each use the unique rows of {name}",
                    "give the writes a feeder of their own, or both another order",
                )

    def _feeder(self, name: str, part: Part) -> Feeder:
        if name in NAMESPACES:
            part.fault(f"{name!r} cannot name a feeder", "it has a meaning of its own", at_key=True)
        elif self._columns.get(name) is not None:
            message = f"the table {name} gives rows of that name already"
            part.fault(message, "give the feeder another name", at_key=True)
        return Feeder(name, self._source(name, part), _order(part))

    def _source(self, name: str, part: Part) -> CsvFile | JsonLinesFile | Query:
        if "sql" in part:
            return Query(part["sql"].literal())
        is_csv = "csv" in part
        file = part["csv"] if is_csv else part["json_lines"]
        path = self._files.readable(file)
        if file.sound:
            try:
                self._columns[name] = csv_columns(path) if is_csv else json_lines_columns(path)
            except FeederError as error:
                file.fault(error.message, error.hint)
        return CsvFile(path) if is_csv else JsonLinesFile(path)


def _order(part: Part) -> str:
    order = part.get("order")
    return _ORDER if order is None else order.text()


def _unusable(seeds: Sequence[Seed], writes: Sequence[WriteMix]) -> Mapping[str, tuple[str, str]]:
    """The columns of seeded rows whose values are not those that generators give, and why."""
    found = {}
    for table in (seed.table for seed in seeds):
        for column in table.columns:
            if any(isinstance(leaf, Now) for leaf in leaves(column.generator)):
                what = "is the time of writing, which only the database knows"
                found[f"{table.name}.{column.name}"] = _only_asked(table, column.name, what)
    for mix in writes:
        if mix.seed is None or mix.weights.keys().isdisjoint(("update", "upsert")):
            continue
        for name in mix.updated_columns:
            what = f"is changed by the updates of {mix.name}"
            found[f"{mix.seed.table.name}.{name}"] = _only_asked(mix.seed.table, name, what)
    return found


def _only_asked(table: Table, column: str, what: str) -> tuple[str, str]:
    hint = f"ask the database by a feeder, such as {{sql: select {column} from {table.name}}}"
    return f"{table.name}.{column} {what}", hint


def _declared(root: Part) -> Iterator[str]:
    """The names of feeders and tables, be their parts right or not."""
    feeders = root["feeders"].value if "feeders" in root else {}
    yield from feeders if isinstance(feeders, dict) else ()
    yield from declared_tables(root)
