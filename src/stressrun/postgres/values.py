"""The values of a table's columns: as text for COPY, or as parameters of a statement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import trio

from stressrun.data.composites import with_values
from stressrun.data.kinds import Generator, Read, ReadSpan
from stressrun.data.render import as_json
from stressrun.errors import SetupError
from stressrun.scenario.model import Table

T = TypeVar("T")

Referenced = Mapping[str, Sequence[object]]
"""The values of columns that others refer to, by `table.column`."""
NOTHING: Referenced = {}

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


async def compile_columns(
    table: Table, random_seed: int, render: Callable[[object], T], referenced: Referenced
) -> dict[str, Read[T]]:
    """For each column by name, the function from a row's number, from 0, to its rendered value."""
    return await _compiled(
        table, referenced, lambda generator, site: generator.compile_as(random_seed, site, render)
    )


async def compile_spans(
    table: Table, random_seed: int, render: Callable[[object], T], referenced: Referenced
) -> dict[str, ReadSpan[T]]:
    """As `compile_columns`, for many rows at once that follow one another."""
    return await _compiled(
        table, referenced, lambda generator, site: generator.compile_span(random_seed, site, render)
    )


async def _compiled(
    table: Table, referenced: Referenced, compiled: Callable[[Generator, str], T]
) -> dict[str, T]:
    columns = {}
    for column in table.columns:
        generator = with_values(column.generator, referenced)
        columns[column.name] = compiled(generator, f"{table.name}.{column.name}")
        # Drawing a pool takes its time: a signal need not wait for them all.
        await trio.lowlevel.checkpoint()
    return columns


def copy_lines(columns: Sequence[Iterable[str]]) -> str:
    """Rows in COPY's text format, of columns whose fields are `copy_text`."""
    return "\n".join(map("\t".join, zip(*columns, strict=True))) + "\n"


def copy_text(value: object) -> str:
    """A value as a field of COPY's text format."""
    return "\\N" if value is None else _text(value).translate(_ESCAPES)


def parameter(value: object) -> bytes | None:
    """A value as a text parameter of a statement. Raises SetupError where it holds a NUL."""
    if value is None:
        return None
    text = _text(value)
    if "\0" in text:
        # libpq would end the value there without a word.
        raise SetupError(
            f"the value {text!r} holds a NUL character, which PostgreSQL does not store",
            hint="leave the character out",
        )
    return text.encode()


def _text(value: object) -> str:
    return as_json(value) if isinstance(value, bool | dict | list) else str(value)
