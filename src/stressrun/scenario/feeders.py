"""The rows that iterations use: those of `feeders:`, and those of seeded tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stressrun.data.errors import FeederError
from stressrun.data.feeders import csv_columns, json_lines_columns
from stressrun.scenario.files import Files
from stressrun.scenario.model import CsvFile, Feeder, JsonLinesFile, Query, Seed
from stressrun.scenario.part import Part
from stressrun.scenario.scope import NAMESPACES

_ORDER = "random"


class Rows:
    """The feeders of a scenario, and the columns that it has rows of.

    `columns` is by the names of feeders and tables; None stands for columns that are not known
    before the run.
    """

    def __init__(self, root: Part, files: Files, seeds: Sequence[Seed]) -> None:
        self._files = files
        self.columns: dict[str, tuple[str, ...] | None] = dict.fromkeys(_declared(root))
        for seed in seeds:
            columns = (seed.table.key, *(column.name for column in seed.table.columns))
            self.columns[seed.table.name] = columns
            if not seed.rows:
                del self.columns[seed.table.name]
        self.feeders = tuple(self._feeder(name, part) for name, part in root.entries("feeders"))

    def _feeder(self, name: str, part: Part) -> Feeder:
        if name in NAMESPACES:
            part.fault(f"{name!r} cannot name a feeder", "it has a meaning of its own", at_key=True)
        elif self.columns.get(name) is not None:
            message = f"the table {name} gives rows of that name already"
            part.fault(message, "give the feeder another name", at_key=True)
        order = part.get("order")
        source = self._source(name, part)
        return Feeder(name, source, _ORDER if order is None else order.text())

    def _source(self, name: str, part: Part) -> CsvFile | JsonLinesFile | Query:
        if "sql" in part:
            return Query(part["sql"].literal())
        is_csv = "csv" in part
        file = part["csv"] if is_csv else part["json_lines"]
        path = self._files.readable(file)
        if file.sound:
            try:
                self.columns[name] = csv_columns(path) if is_csv else json_lines_columns(path)
            except FeederError as error:
                file.fault(error.message, error.hint)
        return CsvFile(path) if is_csv else JsonLinesFile(path)


def _declared(root: Part) -> Iterator[str]:
    """The names of feeders and tables, be their parts right or not."""
    feeders = root["feeders"].value if "feeders" in root else {}
    yield from feeders if isinstance(feeders, dict) else ()
    for section in ("seeding", "writes"):
        items = root[section].value if section in root else ()
        for item in items if isinstance(items, list) else ():
            table = item.get("table") if isinstance(item, dict) else None
            if isinstance(table, str):
                yield table
