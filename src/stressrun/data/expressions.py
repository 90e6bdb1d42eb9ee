"""Texts and JSON bodies with expressions, compiled before load.

What is compiled is a function of an index and the captured variables. It parses nothing, and
serialises only the values: everything around them was put together when it was compiled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from stressrun.data.errors import ExpressionError
from stressrun.data.kinds import Generator
from stressrun.data.references import Reference
from stressrun.data.render import as_json, as_text
from stressrun.data.templates import Template, Variable, parse

__all__ = [
    "ExpressionError",
    "Json",
    "Template",
    "compile_json",
    "compile_text",
    "parse",
    "parse_json",
]

Variables = Mapping[str, object]
Read = Callable[[int, Variables], str]


@dataclass(frozen=True, slots=True)
class Json:
    """A JSON value in which each text is a template and each list a tuple."""

    value: object


def parse_json(value: object) -> Json:
    """Parse the texts of a JSON-like value. Raises ExpressionError with the path to the fault."""
    return Json(_parsed(value, ()))


def compile_text(
    template: Template, seed: int, site: str, escape: Callable[[str], str] | None = None
) -> Read:
    """A function of (index, captured variables) that gives the text.

    `escape` is applied to each generated or captured value, not to the text around them.
    """
    render = as_text if escape is None else lambda value: escape(as_text(value))
    match template.parts:
        case (str(before), Generator() as generator):
            return _reader(generator, seed, site, lambda value: before + render(value))
        case (str(before), Generator() as generator, str(after)):
            return _reader(generator, seed, site, lambda value: before + render(value) + after)
        case (Generator() | Variable() | Reference() as part,):
            return _reader(part, seed, site, render)
        case parts:
            return _join(
                part if isinstance(part, str) else _reader(part, seed, f"{site}.{number}", render)
                for number, part in enumerate(parts)
            )


def compile_json(json: Json, seed: int, site: str) -> Callable[[int, Variables], bytes]:
    """A function of (index, captured variables) that gives the value as compact JSON in UTF-8.

    A text that is exactly one expression becomes the expression's own value: a number, an object.
    """
    text = _join(_pieces(json.value, seed, site))
    # A lone surrogate, which UTF-8 cannot hold, becomes the escape that JSON has for it.
    return lambda index, variables: text(index, variables).encode("utf-8", "backslashreplace")


def _parsed(value: object, path: tuple[str | int, ...]) -> object:
    if isinstance(value, str):
        try:
            return parse(value)
        except ExpressionError as error:
            error.path = path
            raise
    if isinstance(value, Mapping):
        return {key: _parsed(item, (*path, key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_parsed(item, (*path, number)) for number, item in enumerate(value))
    if isinstance(value, float) and not math.isfinite(value):
        raise ExpressionError(f"{value} is no JSON value", 0, "write it as a text", path)
    return value


def _pieces(value: object, seed: int, site: str) -> Iterator[str | Read]:
    """The JSON text of a parsed value: what stands fast, and what is read."""
    if isinstance(value, Template):
        yield from _template_pieces(value, seed, site)
    elif isinstance(value, Mapping):
        yield "{"
        for number, (key, item) in enumerate(value.items()):
            yield f"{',' if number else ''}{as_json(key)}:"
            yield from _pieces(item, seed, f"{site}.{key}")
        yield "}"
    elif isinstance(value, tuple):
        yield "["
        for number, item in enumerate(value):
            yield "," if number else ""
            yield from _pieces(item, seed, f"{site}.{number}")
        yield "]"
    else:
        yield as_json(value)


def _template_pieces(template: Template, seed: int, site: str) -> Iterator[str | Read]:
    if len(template.parts) == 1 and not isinstance(template.parts[0], str):
        yield _reader(template.parts[0], seed, site, as_json)
        return
    yield '"'
    for number, part in enumerate(template.parts):
        if isinstance(part, str):
            yield _within_quotes(part)
        else:
            yield _reader(part, seed, f"{site}.{number}", _within_quotes)
    yield '"'


def _within_quotes(value: object) -> str:
    return as_json(as_text(value))[1:-1]


def _reader(
    part: Generator | Variable | Reference, seed: int, site: str, render: Callable[[object], str]
) -> Read:
    if isinstance(part, Generator):
        read = part.compile_as(seed, site, render)
        return lambda index, variables: read(index)
    if isinstance(part, Variable):
        name = part.name
        return lambda index, variables: render(variables[name])
    raise ExpressionError(
        f"{part.name} has no value yet", part.offset, "it is known once the run has started"
    )


def _join(pieces: Iterable[str | Read]) -> Read:
    form = ""
    reads: list[Read] = []
    for piece in pieces:
        if isinstance(piece, str):
            form += piece.replace("%", "%%")
        else:
            form += "%s"
            reads.append(piece)
    match reads:
        case []:
            text = form % ()
            return lambda index, variables: text
        case [one]:
            return lambda index, variables: form % one(index, variables)
        case [one, two]:
            return lambda index, variables: form % (one(index, variables), two(index, variables))
    return lambda index, variables: form % tuple([read(index, variables) for read in reads])
