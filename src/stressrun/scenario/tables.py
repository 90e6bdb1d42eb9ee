"""The tables that a scenario fills."""

from __future__ import annotations

from stressrun.data.generators import GeneratorError, parse_generator
from stressrun.data.kinds import Constant
from stressrun.data.suggest import did_you_mean
from stressrun.scenario.model import Column, Index, Seed, Table
from stressrun.scenario.part import Part, strings
from stressrun.scenario.wording import there_are

_KEY = "id"


def build_seed(part: Part) -> Seed:
    """A table and its rows; a write mix's `rows` may be missing."""
    rows = part.get("rows")
    return Seed(_table(part), 0 if rows is None else int(rows.number()))


def _table(part: Part) -> Table:
    key = part.get("key")
    key_name = _KEY if key is None else key.text()
    columns = tuple(_column(name, column) for name, column in part.entries("columns"))
    known = [key_name, *(column.name for column in columns)]
    indexes = tuple(_index(index, known) for index in part.items("indexes"))
    return Table(part["table"].text(), key_name, columns, indexes)


def _column(name: str, part: Part) -> Column:
    assert isinstance(part.value, dict)
    spec = {key: value for key, value in part.value.items() if key != "type"}
    for key in ("constant", "choice"):
        for place, text in strings(spec.get(key), (*part.place, key)):
            Part(text, place, part.faults).literal()
    try:
        generator = parse_generator(spec)
    except GeneratorError as error:
        wrong = part[error.key] if error.key else part
        wrong.fault(error.message, error.hint)
        generator = Constant(None)
    given = part.get("type")
    return Column(name, generator, generator.sql_type if given is None else given.text())


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
