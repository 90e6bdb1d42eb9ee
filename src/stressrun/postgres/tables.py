"""Tables that are filled: looked up where they exist, created where they do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
from psycopg import sql

from stressrun.data.composites import RowReference, foreign_key
from stressrun.data.suggest import did_you_mean
from stressrun.errors import SetupError
from stressrun.postgres.connection import Connection
from stressrun.scenario.model import Column, Table

_TABLE = """
select c.relkind in ('r', 'p'), obj_description(c.oid, 'pg_class')
from pg_class c where c.oid = to_regclass(%s)
"""

# A key counts as backed by a sequence only where its default is the sequence's value as it is.
_COLUMNS = r"""
select a.attname, format_type(a.atttypid, a.atttypmod),
  case
    when a.attidentity <> '' then pg_get_serial_sequence(a.attrelid::regclass::text, a.attname)
    when a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) then (
      select s.oid::regclass::text
      from pg_attrdef f
      join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = f.oid
      join pg_class s on d.refclassid = 'pg_class'::regclass and d.refobjid = s.oid
      where f.adrelid = a.attrelid and f.adnum = a.attnum and s.relkind = 'S'
        and pg_get_expr(f.adbin, f.adrelid) ~ '^nextval\(.*::regclass\)$'
    )
  end
from pg_attribute a
where a.attrelid = to_regclass(%s) and a.attnum > 0 and not a.attisdropped
order by a.attnum
"""


@dataclass(frozen=True, slots=True)
class ExistingTable:
    """A table as the database has it.

    `columns` are SQL types by name, `sequences` the sequences behind columns, fit for `nextval`.
    """

    name: str
    columns: Mapping[str, str]
    sequences: Mapping[str, str]
    comment: str | None

    def check(self, table: Table) -> None:
        """Raise SetupError when it lacks the key or a column that is filled."""
        for column in (table.key, *(column.name for column in table.columns)):
            if column not in self.columns:
                raise SetupError(
                    f"the table {self.name} exists and has no column {column!r}",
                    hint=did_you_mean(column, self.columns)
                    or f"its columns are {', '.join(self.columns)}",
                )


def identifier(name: str) -> sql.Identifier:
    """`products` or `shop.products`, quoted."""
    return sql.Identifier(*name.split(".", 1))


async def describe(connection: Connection, name: str) -> ExistingTable | None:
    """Look a table up; None where there is none.

    Raises SetupError for a view and the like, and where the database does not answer.
    """
    quoted = identifier(name).as_string(connection)
    try:
        found = await (await connection.execute(_TABLE, (quoted,))).fetchone()
        columns = await (await connection.execute(_COLUMNS, (quoted,))).fetchall()
    except psycopg.Error as error:
        raise SetupError(
            f"the table {name} could not be looked up: {reason(error)}",
            hint="check the rights of the database's user on it and on its schema",
        ) from error
    if found is None:
        return None
    is_table, comment = found
    if not is_table:
        raise SetupError(f"{name} is not a table", hint="name a table that rows can be added to")
    return ExistingTable(
        name=name,
        columns={column: sql_type for column, sql_type, _ in columns},
        sequences={column: sequence for column, _, sequence in columns if sequence},
        comment=comment,
    )


async def is_partitioned(connection: Connection, name: str) -> bool:
    """Whether a table's rows lie in others, by a key of theirs. Raises psycopg.Error."""
    query = "select relkind = 'p' from pg_class where oid = to_regclass(%s)"
    found = await connection.execute(query, (identifier(name).as_string(connection),))
    return await found.fetchone() == (True,)


async def create(connection: Connection, table: Table, *, comment: str) -> None:
    """Create a table with its indexes and a comment, all or nothing. Raises SetupError.

    The key counts up from 1 by itself unless it is one of the columns. A column that refers to
    another table's is a foreign key, and has the type of that one.
    """
    columns = [await _column(connection, column, table.key) for column in table.columns]
    if table.key not in {column.name for column in table.columns}:
        columns.insert(0, _definition(table.key, "bigserial", table.key))
    name = identifier(table.name)
    statements: list[sql.Composed] = [
        sql.SQL("create table {} ({})").format(name, sql.SQL(", ").join(columns)),
        sql.SQL("comment on table {} is {}").format(name, sql.Literal(comment)),
    ]
    for index in table.indexes:
        kind = sql.SQL("unique index" if index.unique else "index")
        indexed = sql.SQL(", ").join(map(sql.Identifier, index.columns))
        statements.append(sql.SQL("create {} on {} ({})").format(kind, name, indexed))
    try:
        async with connection.transaction():
            for statement in statements:
                await connection.execute(statement)
    except psycopg.Error as error:
        hint = "check the types of its columns, its indexes, and the right to create there"
        if isinstance(error, psycopg.errors.InvalidForeignKey):
            hint = "refer to its key, or to a column that has an index of its own with unique: true"
        raise SetupError(
            f"the table {table.name} could not be created: {reason(error)}", hint=hint
        ) from error


async def count_rows(connection: Connection, name: str, condition: sql.Composable) -> int:
    """How many rows of a table a condition holds for. Raises psycopg.Error."""
    query = sql.SQL("select count(*) from {} where {}").format(identifier(name), condition)
    found = await (await connection.execute(query)).fetchone()
    assert found is not None
    return int(found[0])


async def _column(connection: Connection, column: Column, key: str) -> sql.Composable:
    reference = foreign_key(column.generator)
    if reference is None:
        assert column.type is not None
        return _definition(column.name, column.type, key)
    sql_type = column.type or await _type_of(connection, reference)
    return sql.SQL("{} references {} ({})").format(
        _definition(column.name, sql_type, key),
        identifier(reference.table),
        sql.Identifier(reference.column),
    )


async def _type_of(connection: Connection, reference: RowReference) -> str:
    """The SQL type of a column that is referred to."""
    found = await describe(connection, reference.table)
    if found is None or reference.column not in found.columns:
        raise SetupError(
            f"there is no {reference.name} in the database to refer to",
            hint="another step or session has removed it: seed it before, and leave it there",
        )
    return found.columns[reference.column]


def _definition(name: str, sql_type: str, key: str) -> sql.Composable:
    # A type is SQL text of the scenario's author, such as varchar(100), and cannot be quoted.
    primary = sql.SQL(" primary key" if name == key else "")
    return sql.SQL("{} {}{}").format(sql.Identifier(name), sql.SQL(sql_type), primary)


def reason(error: psycopg.Error) -> str:
    """What went wrong, in the server's words, on one line."""
    parts = (error.diag.message_primary, error.diag.message_detail)
    told = " · ".join(part for part in parts if part) or str(error).strip()
    return " ".join(told.split())
