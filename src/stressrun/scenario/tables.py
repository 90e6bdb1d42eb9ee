"""The tables that a scenario fills."""

from __future__ import annotations

from collections.abc import Iterator

from stressrun.data.composites import Nullable
from stressrun.data.generators import GeneratorError, parse_generator
from stressrun.data.kinds import Constant
from stressrun.data.suggest import did_you_mean
from stressrun.scenario.model import Column, Index, Seed, Table
from stressrun.scenario.nodes import Plain
from stressrun.scenario.part import Part
from stressrun.scenario.wording import there_are

_KEY = "id"
# Their texts are values, in which nothing is evaluated.
_LITERAL = ("constant", "choice", "json")


def build_seed(part: Part) -> Seed:
    """A table and its rows; a write mix's `rows` may be missing."""
    rows = part.get("rows")
    return Seed(_table(part), 0 if rows is None else int(rows.number()))


def declared_tables(root: Part) -> Iterator[str]:
    """The names of all tables that are filled, be their parts right or not."""
    for section in ("seeding", "writes"):
        items = root[section].value if section in root else ()
        for item in items if isinstance(items, list) else ():
            table = item.get("table") if isinstance(item, dict) else None
            if isinstance(table, str):
                yield table


def _table(part: Part) -> Table:
    key = part.get("key")
    key_name = _KEY if key is None else key.text()
    columns = tuple(_column(name, column) for name, column in part.entries("columns"))
    known = [key_name, *(column.name for column in columns)]
    for column in columns:
        if column.name == key_name and isinstance(column.generator, Nullable):
            part["columns"][key_name]["null_share"].fault(
                f"{key_name} is the table's key, which cannot be null", at_key=True
            )
    indexes = tuple(_index(index, known) for index in part.items("indexes"))
    return Table(part["table"].text(), key_name, columns, indexes)


def _column(name: str, part: Part) -> Column:
    assert isinstance(part.value, dict)
    spec = {
        key: _literal(part[key]) if key in _LITERAL else value
        for key, value in part.value.items()
        if key != "type"
    }
    try:
        generator = parse_generator(spec)
    except GeneratorError as error:
        place = (*part.place, *error.path, *((error.key,) if error.key else ()))
        Part(None, place, part.faults).fault(error.message, error.hint)
        generator = Constant(None)
    given = part.get("type")
    return Column(name, generator, generator.sql_type if given is None else given.text())


def _literal(part: Part) -> Plain:
    """The value of a part with `${` for the `$${` of its texts."""
    if isinstance(part.value, str):
        return part.literal()
    if isinstance(part.value, dict):
        return {key: _literal(part[key]) for key in part.value}
    if isinstance(part.value, list):
        items = (Part(item, (*part.place, n), part.faults) for n, item in enumerate(part.value))
        return [_literal(item) for item in items]
    return part.value


def _index(part: Part, known: list[str]) -> Index:
    if isinstance(part.value, str):
        return Index((known_column(part, known),), unique=False)
    columns = tuple(known_column(column, known) for column in part.items("columns"))
    return Index(columns, unique="unique" in part and part["unique"].flag())


def known_column(part: Part, known: list[str]) -> str:
    name = part.text()
    if name not in known:
        hint = did_you_mean(name, known) or there_are("columns", known)
        part.fault(f"no column {name!r}", hint)
    return name
