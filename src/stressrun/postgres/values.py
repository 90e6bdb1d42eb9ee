"""The values of a table's columns: as text for COPY, or as parameters of a statement."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio

from stressrun.errors import SetupError
from stressrun.scenario.model import Table

T = TypeVar("T")

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


async def compile_columns(
    table: Table, random_seed: int, render: Callable[[object], T]
) -> dict[str, Callable[[int], T]]:
    """For each column by name, the function from a row's number, from 0, to its rendered value."""
    compiled = {}
    for column in table.columns:
        site = f"{table.name}.{column.name}"
        compiled[column.name] = column.generator.compile_as(random_seed, site, render)
        # Drawing a pool takes its time: a signal need not wait for them all.
        await trio.lowlevel.checkpoint()
    return compiled


def copy_text(value: object) -> str:
    """A value as a field of COPY's text format."""
    return "\\N" if value is None else str(value).translate(_ESCAPES)


def parameter(value: object) -> bytes | None:
    """A value as a text parameter of a statement. Raises SetupError where it holds a NUL."""
    if value is None:
        return None
    text = str(value)
    if "\0" in text:
        # libpq would end the value there without a word.
        raise SetupError(
            f"the value {text!r} holds a NUL character, which PostgreSQL does not store",
            hint="leave the character out",
        )
    return text.encode()
