"""The `writes:` of a scenario: mixes of operations on a table, or of SQL of its own."""

from __future__ import annotations

from dataclasses import replace

from stressrun.data.expressions import Template
from stressrun.data.kinds import Constant, Serial
from stressrun.data.suggest import did_you_mean
from stressrun.scenario.model import NamedOperation, Table, WriteMix
from stressrun.scenario.part import Part
from stressrun.scenario.scope import Scope, Sources
from stressrun.scenario.sql import first_word, has_closed_parameter
from stressrun.scenario.tables import build_seed, known_column
from stressrun.scenario.wording import there_are

KEY = "key"

_OF_TABLE = ("insert", "update", "delete", "select", "upsert", "copy")
_MEETS_ROWS = ("update", "delete", "select")
_RETRIES = 3
_VARIABLES = "a mix with rows has ${key}, a feeder or a seeded table ${its_name.column}"
_TRANSACTION_CONTROL = ("begin", "start", "commit", "end", "rollback", "abort")


def build_write(part: Part) -> WriteMix:
    """A write mix with the table that it works on, and still without its `operations`."""
    seed = build_seed(part) if "table" in part else None
    mix = WriteMix(
        name=part["name"].text(),
        seed=seed,
        weights={name: share.number() for name, share in part.entries("mix") if share.number() > 0},
        batch=part.integer("batch", 1),
        updated_columns=() if seed is None else _updated_columns(part, seed.table),
        keys=_word(part, "keys", "uniform"),
        protocol=_word(part, "protocol", "prepared"),
        isolation=_word(part, "isolation", "") or None,
        retries=part.integer("retries", _RETRIES),
        pipeline=part.integer("pipeline", 1),
    )
    _check_table(part, mix)
    _check_names(part, mix)
    _check_pipeline(part, mix)
    return mix


def with_operations(part: Part, mix: WriteMix, sources: Sources) -> WriteMix:
    """The mix with its operations, whose expressions may name rows of the sources."""
    return replace(
        mix,
        named=tuple(
            _operation(name, one, mix, sources) for name, one in part.entries("operations")
        ),
    )


def operations_of(root: Part, name: str) -> tuple[str, ...]:
    """All operations that the mix of a name can have, be its part right or not."""
    items = root["writes"].value if "writes" in root else ()
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and item.get("name") == name:
            own = item.get("operations")
            return (*_OF_TABLE, *(own if isinstance(own, dict) else ()))
    return _OF_TABLE


def _operation(name: str, part: Part, mix: WriteMix, sources: Sources) -> NamedOperation:
    scope = Scope(sources, otherwise=_VARIABLES)
    if mix.seed is not None and mix.seed.rows:
        scope.capture([KEY])
    transaction = "transaction" in part
    statements = part.items("transaction") if transaction else iter([part["sql"]])
    return NamedOperation(name, tuple(_statement(one, scope) for one in statements), transaction)


def _statement(part: Part, scope: Scope) -> Template:
    template = scope.template(part)
    if has_closed_parameter(template):
        part.fault(
            "a parameter cannot stand between quotes or in a comment",
            "write it without them: where name = ${faker.name}, or 'SKU-' || ${integer(1, 9)}",
        )
    word, offset = first_word(template.source)
    if word in _TRANSACTION_CONTROL:
        hint = "statements of one transaction are a list: transaction: [update …, insert …]"
        part.fault(f"{word} is sent by stressrun itself", hint, offset=offset)
    elif word == "copy":
        hint = "give the write mix a table and a weight for it: mix: {copy: 1}"
        part.fault("copy is no statement that can be sent alone", hint, offset=offset)
    return template


def _check_table(part: Part, mix: WriteMix) -> None:
    if not mix.weights:
        part["mix"].fault(
            "a mix without a weight above 0", "such as {insert: 70, update: 25, select: 5}"
        )
    used = [name for name in mix.weights if name in _OF_TABLE]
    if mix.seed is None:
        for name in used:
            part["mix"][name].fault(
                f"{name} needs a table", "give the write mix a table and its columns"
            )
        for key in ("columns", "rows", "key", "indexes", "update", "keys"):
            if key in part:
                part[key].fault(f"{key} needs a table", "give the write mix a table", at_key=True)
        return
    if "columns" not in part:
        part["table"].fault("a table needs columns", "such as columns: {name: {faker: name}}")
    if not mix.seed.rows:
        for name in _MEETS_ROWS:
            if name in mix.weights:
                part["mix"][name].fault(
                    f"{name} needs rows that are there before the load",
                    "give the write mix some, such as rows: 5000",
                )
    if "update" in mix.weights and not mix.updated_columns:
        part["mix"]["update"].fault("update has no column to set", "give the table another column")


def _check_names(part: Part, mix: WriteMix) -> None:
    operations = part.section("operations").value
    assert isinstance(operations, dict)
    for name in operations:
        if name in _OF_TABLE:
            part["operations"][name].fault(
                f"{name} is an operation already", "give this one another name", at_key=True
            )
        elif name not in part.section("mix"):
            part["operations"][name].fault(
                f"the mix gives {name} no weight", f"such as mix: {{{name}: 10}}", at_key=True
            )
    known = (*_OF_TABLE, *operations)
    for name in mix.weights:
        if name not in known:
            hint = did_you_mean(name, known) or there_are("operations", known)
            part["mix"][name].fault(f"no operation {name!r}", hint, at_key=True)


def _check_pipeline(part: Part, mix: WriteMix) -> None:
    if mix.pipeline == 1:
        return
    if mix.protocol == "simple":
        part["pipeline"].fault(
            "the simple protocol has no pipeline", "use protocol: prepared or extended"
        )
    for name in mix.weights:
        if name == "copy" or "transaction" in part.section("operations").section(name):
            part["pipeline"].fault(
                f"{name} cannot be sent in a pipeline", "give it a write mix of its own"
            )


def _updated_columns(part: Part, table: Table) -> tuple[str, ...]:
    if "update" not in part:
        return tuple(
            column.name
            for column in table.columns
            if column.name != table.key and not isinstance(column.generator, (Serial, Constant))
        )
    known = [column.name for column in table.columns]
    for column in part.items("update"):
        if column.text() == table.key:
            hint = "rows are found by it: name other columns"
            column.fault(f"{table.key} is the table's key, which an update does not set", hint)
        else:
            known_column(column, known)
    return tuple(column.text() for column in part.items("update"))


def _word(part: Part, key: str, default: str) -> str:
    word = part.get(key)
    return default if word is None else word.text()
