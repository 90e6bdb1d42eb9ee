"""How a value reads in a text and in JSON."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from json import JSONEncoder


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
    if isinstance(value, Decimal):
        return format(value, "f")
    return _encode(value)


_encode = JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=as_text).encode
