"""How a value reads in a text and in JSON, and the number that a text reads as."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from json import JSONEncoder
from json.encoder import encode_basestring


def as_text(value: object) -> str:
    """A value in a path, a header or a longer text; lists and objects as JSON."""
    if isinstance(value, str):
        return value
    if type(value) is int:
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return format(value, "f")
    if value is None or isinstance(value, bool | list | dict):
        return _encode(value)
    return str(value)


def as_json(value: object) -> str:
    """A value as compact JSON; what JSON has no form for as text."""
    if type(value) is int:
        return str(value)
    if isinstance(value, str):
        return encode_basestring(value)
    if isinstance(value, datetime):
        return f'"{as_text(value)}"'
    if isinstance(value, Decimal):
        return format(value, "f")
    return _encode(value)


def as_number(value: object) -> int | float | None:
    """The number that a value is, or that a text is written as; None for all else.

    Numbers are those that JSON has: true and false are none, and a Decimal is read as a float.
    """
    if isinstance(value, Decimal):
        value = format(value, "f")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        return None
    return int(value) if _WHOLE.fullmatch(value) else float(value)


def as_read_back(value: object) -> object:
    """The value that JSON gives for one that it has no form of its own for."""
    if isinstance(value, Decimal):
        return as_number(value)
    return as_text(value) if isinstance(value, date) else value


_WHOLE = re.compile(r"-?[0-9]{1,400}")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_encode = JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=as_text).encode
