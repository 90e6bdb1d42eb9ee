"""Texts and JSON bodies with expressions, compiled before load.

What is compiled is a function of an index and the variables. It parses nothing, and
serialises only the values: everything around them was put together when it was compiled.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from stressrun.data.errors import ExpressionError
from stressrun.data.kinds import Generator
from stressrun.data.references import Reference
from stressrun.data.render import as_json, as_read_back, as_text
from stressrun.data.templates import Template, Variable, parse, variables_of

__all__ = [
    "ExpressionError",
    "Json",
    "Template",
    "Variables",
    "compile_json",
    "compile_json_text",
    "compile_parameters",
    "compile_text",
    "compile_value",
    "parse",
    "parse_json",
    "variables_of",
]

Variables = Mapping[str, object]
Read = Callable[[int, Variables], str]
T = TypeVar("T")

_ESCAPED = re.compile(r"\\.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Json:
    """A JSON value in which each text is a template and each list a tuple."""

    value: object

    @property
    def constant(self) -> bool:
        """Whether it is the same value always."""
        return _is_constant(self.value)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A read that needs no variables, and so no call more on the way to its pool."""

    draw: Callable[[int], str]


def parse_json(value: object) -> Json:
    """Parse the texts of a JSON-like value. Raises ExpressionError with the path to the fault."""
    return Json(_parsed(value, ()))


def compile_text(
    template: Template, seed: int, site: str, escape: Callable[[str], str] | None = None
) -> Read:
    """A function of (index, variables) that gives the text.

    `escape` is applied to each generated value and each variable, not to the text around them.
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
                part if isinstance(part, str) else _piece(part, seed, f"{site}.{number}", render)
                for number, part in enumerate(parts)
            )


def compile_parameters(
    template: Template, seed: int, site: str, render: Callable[[object], T]
) -> tuple[list[str], list[Callable[[int, Variables], T]]]:
    """The texts around a template's values, one more than these, and a function for each value.

    The functions are of (index, variables), and give what `render` makes of the value.
    """
    texts = [""]
    reads = []
    for number, part in enumerate(template.parts):
        if isinstance(part, str):
            texts[-1] += part
        else:
            reads.append(_reader(part, seed, f"{site}.{number}", render))
            texts.append("")
    return texts, reads


def compile_json_text(template: Template, seed: int, site: str) -> Read:
    """A function of (index, variables) that gives a text of JSON, and JSON whatever the values are.

    Between the quotes of the text around it a value is part of a string; elsewhere it stands as
    the JSON that it is: a number, an object, a string with quotes of its own.
    """
    pieces: list[str | Read | Drawn] = []
    quoted = False
    for number, part in enumerate(template.parts):
        if isinstance(part, str):
            pieces.append(part)
            if _ESCAPED.sub("", part).count('"') % 2:
                quoted = not quoted
        else:
            render = _within_quotes if quoted else as_json
            pieces.append(_piece(part, seed, f"{site}.{number}", render))
    return _join(pieces)


def compile_json(json: Json, seed: int, site: str) -> Callable[[int, Variables], bytes]:
    """A function of (index, variables) that gives the value as compact JSON in UTF-8.

    A text that is exactly one expression becomes the expression's own value: a number, an object.
    """
    text = _join(_pieces(json.value, seed, site))
    # A lone surrogate, which UTF-8 cannot hold, becomes the escape that JSON has for it.
    return lambda index, variables: text(index, variables).encode("utf-8", "backslashreplace")


def compile_value(json: Json, seed: int, site: str) -> Callable[[int, Variables], object]:
    """A function of (index, variables) that gives what `compile_json` writes, as JSON reads it.

    A constant is put together once, and is the same object each time.
    """
    read = _value_reader(json.value, seed, site)
    if not json.constant:
        return read
    value = read(0, {})
    return lambda index, variables: value


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


def _pieces(value: object, seed: int, site: str) -> Iterator[str | Read | Drawn]:
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


def _template_pieces(template: Template, seed: int, site: str) -> Iterator[str | Read | Drawn]:
    if len(template.parts) == 1 and not isinstance(template.parts[0], str):
        yield _piece(template.parts[0], seed, site, as_json)
        return
    yield '"'
    for number, part in enumerate(template.parts):
        if isinstance(part, str):
            yield _within_quotes(part)
        else:
            yield _piece(part, seed, f"{site}.{number}", _within_quotes)
    yield '"'


def _is_constant(value: object) -> bool:
    if isinstance(value, Template):
        return value.constant
    if isinstance(value, Mapping):
        return all(map(_is_constant, value.values()))
    return not isinstance(value, tuple) or all(map(_is_constant, value))


def _value_reader(value: object, seed: int, site: str) -> Callable[[int, Variables], object]:
    if isinstance(value, Template):
        if len(value.parts) == 1 and not isinstance(value.parts[0], str):
            return _reader(value.parts[0], seed, site, as_read_back)
        return compile_text(value, seed, site)
    if isinstance(value, Mapping):
        items = [(key, _value_reader(value[key], seed, f"{site}.{key}")) for key in value]
        return lambda index, variables: {key: read(index, variables) for key, read in items}
    if isinstance(value, tuple):
        reads = [_value_reader(one, seed, f"{site}.{place}") for place, one in enumerate(value)]
        return lambda index, variables: [read(index, variables) for read in reads]
    return lambda index, variables: value


def _within_quotes(value: object) -> str:
    return as_json(as_text(value))[1:-1]


def _piece(
    part: Generator | Variable | Reference, seed: int, site: str, render: Callable[[object], str]
) -> Read | Drawn:
    if isinstance(part, Generator):
        return Drawn(part.compile_as(seed, site, render))
    return _reader(part, seed, site, render)


def _reader(
    part: Generator | Variable | Reference, seed: int, site: str, render: Callable[[object], T]
) -> Callable[[int, Variables], T]:
    if isinstance(part, Generator):
        read = part.compile_as(seed, site, render)
        return lambda index, variables: read(index)
    if isinstance(part, Variable):
        name = part.name
        return lambda index, variables: render(variables[name])
    raise ExpressionError(
        f"{part.name} has no value yet", part.offset, "it is known once the run has started"
    )


def _join(pieces: Iterable[str | Read | Drawn]) -> Read:
    """One text of all; an f-string or a join takes half the time of `%` on long constant texts."""
    text = ""
    reads: list[tuple[str, Read | Drawn]] = []
    for piece in pieces:
        if isinstance(piece, str):
            text += piece
        else:
            reads.append((text, piece))
            text = ""
    draws = [(before, read.draw) for before, read in reads if isinstance(read, Drawn)]
    if len(draws) == len(reads):
        return _drawn(draws, text)
    mixed = [(before, _reading(read)) for before, read in reads]
    if len(mixed) == 1:
        ((before, one),) = mixed
        return lambda index, variables: f"{before}{one(index, variables)}{text}"
    return lambda index, variables: (
        "".join([before + read(index, variables) for before, read in mixed]) + text
    )


def _drawn(draws: Sequence[tuple[str, Callable[[int], str]]], end: str) -> Read:
    match draws:
        case []:
            return lambda index, variables: end
        case [(before, one)]:
            return lambda index, variables: f"{before}{one(index)}{end}"
        case [(before, one), (between, two)]:
            return lambda index, variables: f"{before}{one(index)}{between}{two(index)}{end}"
    return lambda index, variables: "".join([before + draw(index) for before, draw in draws]) + end


def _reading(read: Read | Drawn) -> Read:
    if isinstance(read, Drawn):
        draw = read.draw
        return lambda index, variables: draw(index)
    return read
