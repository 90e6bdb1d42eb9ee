"""The tables of a scenario: `seeding:` and `writes:`."""

from __future__ import annotations

from stressrun.data.generators import GeneratorError, parse_generator
from stressrun.data.kinds import Constant, Serial
from stressrun.data.suggest import did_you_mean
from stressrun.scenario.model import Column, Index, Seed, Table, WriteMix
from stressrun.scenario.part import Part, strings
from stressrun.scenario.wording import there_are

_KEY = "id"


def build_seed(part: Part) -> Seed:
    """A table and its rows; a write mix's `rows` may be missing."""
    rows = part.get("rows")
    return Seed(_table(part), 0 if rows is None else int(rows.number()))


def build_write(part: Part) -> WriteMix:
    """A write mix with the table that it works on."""
    seed = build_seed(part)
    mix = part["mix"]
    insert, update, select = (
        0.0 if share is None else share.number()
        for share in (mix.get("insert"), mix.get("update"), mix.get("select"))
    )
    if insert + update + select == 0:
        mix.fault("a mix without a weight above 0", "such as {insert: 70, update: 25, select: 5}")
    for operation, weight in (("update", update), ("select", select)):
        if weight and not seed.rows:
            mix[operation].fault(
                f"{operation} needs rows that are there before the load",
                "give the write mix some, such as rows: 5000",
            )
    updated = _updated_columns(part, seed.table)
    if update and not updated:
        mix["update"].fault("update has no column to set", "give the table another column")
    batch = part.get("batch")
    return WriteMix(
        part["name"].text(),
        seed,
        insert,
        update,
        select,
        1 if batch is None else int(batch.number()),
        updated,
    )


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
        return Index((_known_column(part, known),), unique=False)
    columns = tuple(_known_column(column, known) for column in part.items("columns"))
    return Index(columns, unique="unique" in part and part["unique"].flag())


def _updated_columns(part: Part, table: Table) -> tuple[str, ...]:
    if "update" in part:
        known = [column.name for column in table.columns]
        return tuple(_known_column(column, known) for column in part.items("update"))
    return tuple(
        column.name
        for column in table.columns
        if column.name != table.key and not isinstance(column.generator, (Serial, Constant))
    )


def _known_column(part: Part, known: list[str]) -> str:
    name = part.text()
    if name not in known:
        hint = did_you_mean(name, known) or there_are("columns", known)
        part.fault(f"no column {name!r}", hint)
    return name
