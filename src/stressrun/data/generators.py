"""Generators as a scenario writes them: `{integer: [1, 100]}`, `{faker: name}`, `{hex: 1KB}`.

Within `{json: …}` a mapping with a generator's name among its keys is that generator.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TypeGuard

from stressrun.data.composites import Document, JsonTemplate, Nullable, RowReference
from stressrun.data.errors import GeneratorError
from stressrun.data.faker_source import DEFAULT_LOCALE, faker_type
from stressrun.data.kinds import (
    Choice,
    Constant,
    DecimalNumber,
    Faker,
    Generator,
    Hex,
    Integer,
    Now,
    Scalar,
    Serial,
    Text,
    Timestamp,
    Uuid,
)
from stressrun.data.suggest import did_you_mean
from stressrun.units import SIZE_FORM, parse_share, parse_size

__all__ = ["Generator", "GeneratorError", "parse_generator"]

_LONGEST = 1_000_000
_MOST_PLACES = 12
_DECIMAL_LIMIT = 10**15
_HEAVIEST = 10**9
_LITERAL = r"(?:[^{}]|\{\{|\}\})*"
_COLUMN = re.compile(r"([A-Za-z_]\w*(?:\.\w+)?)\.(\w+)", re.ASCII)
_COUNTER = re.compile(rf"{_LITERAL}\{{(?::0?[0-9]{{0,2}}[dxX]?)?\}}{_LITERAL}")
Spec = Mapping[str, object]
Path = tuple[str | int, ...]


def parse_generator(spec: Spec) -> Generator:
    """The generator of a mapping that holds one kind and its options. Raises GeneratorError."""
    kinds = [key for key in spec if key in _KINDS]
    if len(kinds) > 1:
        raise GeneratorError(
            f"a generator is of one kind, not {' and '.join(kinds)}", kinds[1], "leave one of them"
        )
    options = _options(kinds[0]) if kinds else ()
    for key in spec:
        if key not in kinds and key not in options:
            known = options if kinds else _KINDS
            raise GeneratorError(
                f"unknown {'option' if kinds else 'generator'} {key!r}",
                key,
                did_you_mean(key, known) or _one_of(known),
            )
    if not kinds:
        raise GeneratorError("a generator is missing", hint=_one_of(_KINDS))
    generator = _KINDS[kinds[0]](spec)
    return Nullable(generator, _share(spec)) if _NULL_SHARE in spec else generator


def _serial(spec: Spec) -> Generator:
    value = spec["serial"]
    if _is_bigint(value):
        return Serial(value, None)
    if isinstance(value, str) and _COUNTER.fullmatch(value):
        return Serial(1, value)
    raise GeneratorError(
        f"{_shown(value)} is no serial", "serial", 'write a form such as "SKU-{:08d}", or a start'
    )


def _integer(spec: Spec) -> Generator:
    low, high = _pair(spec["integer"], "integer", "[1, 100]")
    if not (_is_bigint(low) and _is_bigint(high)):
        raise GeneratorError(
            "integer needs two whole numbers of at most 64 bits", "integer", "such as [1, 100]"
        )
    if low > high:
        raise _disorder("integer", low, high)
    return Integer(low, high)


def _decimal(spec: Spec) -> Generator:
    low, high = (_number(bound) for bound in _pair(spec["decimal"], "decimal", "[1, 500]"))
    if low > high:
        raise _disorder("decimal", low, high)
    places = spec.get("places", 2)
    if type(places) is not int or not 0 <= places <= _MOST_PLACES:
        raise GeneratorError(
            f"{_shown(places)} is no number of places", "places", f"from 0 to {_MOST_PLACES}"
        )
    for bound in (low, high):
        if bound != round(bound, places):
            raise GeneratorError(
                f"{bound} has more than {places} decimal places", "decimal", "give more `places`"
            )
    return DecimalNumber(low, high, places)


def _faker(spec: Spec) -> Generator:
    provider, locale = spec["faker"], spec.get("locale", DEFAULT_LOCALE)
    if not isinstance(provider, str):
        raise GeneratorError(f"{_shown(provider)} is no faker provider", "faker", "such as name")
    if not isinstance(locale, str):
        raise GeneratorError(f"{_shown(locale)} is no faker locale", "locale", "such as de_DE")
    return Faker(provider, locale, faker_type(provider, locale))


def _hex(spec: Spec) -> Generator:
    return Hex(_size(spec["hex"], "hex"))


def _text(spec: Spec) -> Generator:
    return Text(_size(spec["text"], "text"))


def _choice(spec: Spec) -> Generator:
    value = spec["choice"]
    weights: list[object]
    if isinstance(value, Mapping):
        values, weights = list(value), list(value.values())
    elif isinstance(value, list | tuple):
        values, weights = list(value), [1] * len(value)
    else:
        values, weights = [], []
    if not values:
        raise GeneratorError(
            "choice needs values", "choice", "such as [red, blue] or {red: 3, blue: 1}"
        )
    choice = Choice(
        tuple(_scalar(one, "choice") for one in values), tuple(_weight(one) for one in weights)
    )
    if choice.sql_type == "text" and not all(isinstance(one, str | None) for one in values):
        raise GeneratorError("choice mixes texts with other values", "choice", "quote them all")
    return choice


def _uuid(spec: Spec) -> Generator:
    if spec["uuid"] is not True:
        raise GeneratorError("uuid has no settings", "uuid", "write `uuid: true`")
    return Uuid()


def _timestamp(spec: Spec) -> Generator:
    value = spec["timestamp"]
    if value == "now":
        return Now()
    first, last = _pair(value, "timestamp", "[2024-01-01, 2024-12-31], or now")
    begin, end = _instant(first, time.min), _instant(last, time.max)
    if begin > end:
        raise _disorder("timestamp", begin, end)
    return Timestamp(begin, end)


def _constant(spec: Spec) -> Generator:
    return Constant(_scalar(spec["constant"], "constant"))


def _json(spec: Spec) -> Generator:
    value = spec["json"]
    if isinstance(value, Mapping):
        return Document(_fields(value, ("json",)))
    if isinstance(value, list | tuple):
        return Document(_template(value, ("json",)))
    raise GeneratorError(
        f"{_shown(value)} is no object or list", "json", "such as {name: {faker: name}, tags: []}"
    )


def _template(value: object, path: Path) -> JsonTemplate:
    if isinstance(value, Mapping):
        return _nested(value, path) if _KINDS.keys() & value.keys() else _fields(value, path)
    if isinstance(value, list | tuple):
        return tuple(_template(item, (*path, place)) for place, item in enumerate(value))
    if isinstance(value, float) and not math.isfinite(value):
        raise GeneratorError(f"{value} is no JSON value", hint="write it as a text", path=path)
    if value is None or isinstance(value, str | int | float):
        return value
    raise GeneratorError(f"{_shown(value)} is no JSON value", hint="write it as a text", path=path)


def _fields(value: Mapping[object, object], path: Path) -> JsonTemplate:
    return {str(key): _template(item, (*path, str(key))) for key, item in value.items()}


def _nested(value: Mapping[object, object], path: Path) -> Generator:
    spec = {str(key): item for key, item in value.items()}
    try:
        return parse_generator(spec)
    except GeneratorError as error:
        kind = next(key for key in spec if key in _KINDS)
        if not error.path and error.key not in (*_KINDS, *_options(kind)):
            error.hint += f"; an object with the field {kind} is written {{json: {{{kind}: …}}}}"
        error.path = (*path, *error.path)
        raise


def _reference(spec: Spec) -> Generator:
    value = spec["reference"]
    column = _COLUMN.fullmatch(value) if isinstance(value, str) else None
    if column is None:
        raise GeneratorError(
            f"{_shown(value)} is no column of a table", "reference", "such as customers.id"
        )
    return RowReference(column[1], column[2])


_NULL_SHARE = "null_share"
_KINDS: Mapping[str, Callable[[Spec], Generator]] = {
    "serial": _serial,
    "integer": _integer,
    "decimal": _decimal,
    "faker": _faker,
    "hex": _hex,
    "text": _text,
    "choice": _choice,
    "uuid": _uuid,
    "timestamp": _timestamp,
    "constant": _constant,
    "json": _json,
    "reference": _reference,
}
_OPTIONS: Mapping[str, tuple[str, ...]] = {"decimal": ("places",), "faker": ("locale",)}


def _options(kind: str) -> tuple[str, ...]:
    return (*_OPTIONS.get(kind, ()), _NULL_SHARE)


def _is_bigint(value: object) -> TypeGuard[int]:
    return type(value) is int and -(2**63) <= value < 2**63


def _pair(value: object, key: str, example: str) -> tuple[object, object]:
    if isinstance(value, list | tuple) and len(value) == 2:
        return value[0], value[1]
    raise GeneratorError(f"{_shown(value)} is no pair of bounds", key, f"such as {example}")


def _disorder(key: str, low: object, high: object) -> GeneratorError:
    return GeneratorError(f"{low} is above {high}", key, "write the lower bound first")


def _number(value: object) -> Decimal:
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        number = Decimal(str(value))
        if number.is_finite() and abs(number) < _DECIMAL_LIMIT:
            return number
    raise GeneratorError(
        f"{_shown(value)} is no number below 10**15", "decimal", "such as [1, 9.99]"
    )


def _size(value: object, key: str) -> int:
    try:
        size = parse_size(value if isinstance(value, str) else "")
    except (ValueError, OverflowError):
        raise GeneratorError(f"{_shown(value)} is no size", key, f"write {SIZE_FORM}") from None
    if not 1 <= size <= _LONGEST:
        raise GeneratorError(
            f"{size:,} characters are too {'many' if size else 'few'}", key, "from 1B to 1MB"
        )
    return size


def _share(spec: Spec) -> float:
    value = spec[_NULL_SHARE]
    try:
        share = parse_share(value if isinstance(value, str) else "")
    except ValueError:
        share = math.inf
    if share > 1:
        raise GeneratorError(f"{_shown(value)} is no share", _NULL_SHARE, "from 0% to 100%")
    return share


def _weight(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= _HEAVIEST:
        return value
    raise GeneratorError(
        f"{_shown(value)} is no weight", "choice", f"a number above 0, at most {_HEAVIEST:,}"
    )


def _scalar(value: object, key: str) -> Scalar:
    if value is None or isinstance(value, str | int | float | Decimal | bool):
        return value
    raise GeneratorError(
        f"{_shown(value)} is no single value", key, "text, a number, true, false or null"
    )


def _instant(value: object, at: time) -> datetime:
    text = value.isoformat() if isinstance(value, date) else str(value)
    try:
        if len(text) == 10:
            return datetime.combine(date.fromisoformat(text), at, UTC)
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        raise GeneratorError(
            f"{_shown(text)} is no date", "timestamp", "such as 2024-01-31 or 2024-01-31T12:00:00Z"
        ) from None


def _one_of(names: Collection[str]) -> str:
    return f"one of {', '.join(names)}" if names else ""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
