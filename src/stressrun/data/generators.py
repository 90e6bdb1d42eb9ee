"""Generators as a scenario writes them: `{integer: [1, 100]}`, `{faker: name}`, `{hex: 1KB}`."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TypeGuard

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
from stressrun.units import SIZE_FORM, parse_size

__all__ = ["Generator", "GeneratorError", "parse_generator"]

_LONGEST = 1_000_000
_MOST_PLACES = 12
_DECIMAL_LIMIT = 10**15
_HEAVIEST = 10**9
_LITERAL = r"(?:[^{}]|\{\{|\}\})*"
_COUNTER = re.compile(rf"{_LITERAL}\{{(?::0?[0-9]{{0,2}}[dxX]?)?\}}{_LITERAL}")
Spec = Mapping[str, object]


def parse_generator(spec: Mapping[str, object]) -> Generator:
    """The generator of a mapping that holds one kind and its options. Raises GeneratorError."""
    kinds = [key for key in spec if key in _KINDS]
    if len(kinds) > 1:
        raise GeneratorError(
            f"a generator is of one kind, not {' and '.join(kinds)}", kinds[1], "leave one of them"
        )
    options = _OPTIONS.get(kinds[0], ()) if kinds else ()
    for key in spec:
        if key not in kinds and key not in options:
            known = options if kinds else _KINDS
            raise GeneratorError(
                f"unknown {'option' if kinds else 'generator'} {key!r}",
                key,
                did_you_mean(key, known) or _one_of(known) or f"{kinds[0]} has no options",
            )
    if not kinds:
        raise GeneratorError("a generator is missing", hint=_one_of(_KINDS))
    return _KINDS[kinds[0]](spec)


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
}
_OPTIONS: Mapping[str, tuple[str, ...]] = {"decimal": ("places",), "faker": ("locale",)}


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
