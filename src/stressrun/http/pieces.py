"""Texts put together before load: what is constant is one piece, what is not is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import quote, quote_plus

from stressrun.data.expressions import Template, compile_text

Variables = Mapping[str, object]
Read = Callable[[int, Variables], str]
Render = Callable[[int, Variables], bytes]
Piece = str | Read

# What UTF-8 cannot hold, half of a surrogate pair, is written as JSON would escape it.
BEYOND_UTF8 = "backslashreplace"

_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def as_segment(value: str) -> str:
    """A value as one segment of a path, whatever is in it."""
    return value if _PLAIN.fullmatch(value) else quote(value, safe="", errors=BEYOND_UTF8)


def as_argument(value: str) -> str:
    """A value as one argument of a query or a form."""
    return value if _PLAIN.fullmatch(value) else quote_plus(value, errors=BEYOND_UTF8)


def as_header(value: str) -> str:
    """A value that cannot end its header and begin another."""
    if value.isascii() and value.isprintable():
        return value
    return _CONTROL.sub(" ", value.encode("utf-8", BEYOND_UTF8).decode())


def compile_piece(template: Template, seed: int, site: str, escape: Callable[[str], str]) -> Piece:
    """A template that is escaped as a whole: its values and the text around them."""
    parts = tuple(escape(part) if isinstance(part, str) else part for part in template.parts)
    text = compile_text(Template(template.source, parts), seed, site, escape)
    return text(0, {}) if template.constant else text


def encode(pieces: Iterable[Piece]) -> bytes | Render:
    """The pieces as one text in UTF-8; bytes at once where all are constant."""
    text = ""
    reads: list[tuple[str, Read]] = []
    for piece in pieces:
        if isinstance(piece, str):
            text += piece
        else:
            reads.append((text, piece))
            text = ""
    return _reading(reads, text) if reads else text.encode()


def _reading(reads: list[tuple[str, Read]], end: str) -> Render:
    """The hottest code there is: an f-string costs half of `%` on a text of this length."""
    match reads:
        case [(start, one)]:
            return lambda index, variables: f"{start}{one(index, variables)}{end}".encode()
        case [(start, one), (after_one, two)]:
            return lambda index, variables: (
                f"{start}{one(index, variables)}{after_one}{two(index, variables)}{end}".encode()
            )
        case [(start, one), (after_one, two), (after_two, three)]:
            return lambda index, variables: (
                f"{start}{one(index, variables)}{after_one}{two(index, variables)}"
                f"{after_two}{three(index, variables)}{end}".encode()
            )
    return lambda index, variables: (
        "".join([before + read(index, variables) for before, read in reads]) + end
    ).encode()
