"""Durations, rates, shares and sizes: read from a scenario, shown in a report.

Seconds, events per second, fractions of one and bytes are the units inside the code.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_NUMBER = r"\d+(?:_\d+)*(?:\.\d+)?"
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
_LONGEST = 366 * 86_400.0
_LARGEST = 1e15
_DURATION_PART = re.compile(rf"({_NUMBER})(us|ms|s|m|h)")
_DURATION = re.compile(rf"(?:{_NUMBER}(?:us|ms|s|m|h))+")
_RATE = re.compile(rf"({_NUMBER})/(s|m|h)")
_COUNT = re.compile(r"\d+(?:_\d+)*")
_RATIO = re.compile(_NUMBER)
_SHARE = re.compile(rf"({_NUMBER})%")
_SIZE = re.compile(rf"({_NUMBER})({'|'.join(sorted(_BYTES, key=len, reverse=True))})")
_GROWTH = re.compile(r"(.+)/(s|m|min|h)")
_PLAIN = re.compile(rf"-?{_NUMBER}")

DURATION_FORM = "a duration such as 250ms, 5s or 1m30s"
RATE_FORM = "a rate such as 50/s or 1200/m"
SHARE_FORM = "a share such as 1% or 0.5%"
SIZE_FORM = "a size such as 512B, 1KB or 4MiB"
COUNT_FORM = "a whole number such as 0 or 1_000"
GROWTH_FORM = "a size per time such as 10MB/min or 1GB/h"
NUMBER_FORM = "a number such as 0.5 or 1_000, or one with a unit such as 250ms, 10MB or 5%"
RATIO_FORM = "a number such as 2 or 1.5"


def parse_duration(text: str) -> float:
    """Seconds of `250ms`, `5s`, `1m30s`. Raises ValueError for other forms and above a year."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is not {DURATION_FORM}")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(text))
    if seconds > _LONGEST:
        raise ValueError(f"{text[:20]!r} is longer than a year")
    return seconds


def parse_rate(text: str) -> float:
    """Events per second of `50/s`, `1200/m`. Raises ValueError for any other form."""
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not {RATE_FORM}")
    return float(match[1]) / _SECONDS[match[2]]


def parse_share(text: str) -> float:
    """The fraction of one of `1%`. Raises ValueError for any other form."""
    match = _SHARE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not {SHARE_FORM}")
    return float(match[1]) / 100


def parse_size(text: str) -> int:
    """Bytes of `1KB` (1000) or `1KiB` (1024).

    Raises ValueError for any other form, and above a petabyte.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not {SIZE_FORM}")
    size = float(match[1]) * _BYTES[match[2]]
    if size > _LARGEST:
        raise ValueError(f"{text[:20]!r} is larger than 1,000,000 GB")
    return round(size)


def parse_count(text: str) -> int:
    """A whole number, `1_000`. Raises ValueError for any other form."""
    if not _COUNT.fullmatch(text):
        raise ValueError(f"{text!r} is not {COUNT_FORM}")
    return int(text)


def parse_growth(text: str) -> float:
    """Bytes per second of `10MB/min`, `1GB/h`. Raises ValueError for any other form."""
    match = _GROWTH.fullmatch(text)
    if match is None or not _SIZE.fullmatch(match[1]):
        raise ValueError(f"{text!r} is not {GROWTH_FORM}")
    return parse_size(match[1]) / _SECONDS[match[2][0]]


def parse_ratio(text: str) -> float:
    """How many for each: `2`, `1.5`. Raises ValueError for any other form."""
    if not _RATIO.fullmatch(text):
        raise ValueError(f"{text!r} is not {RATIO_FORM}")
    return float(text)


def parse_number(text: str) -> float:
    """A number of no unit, or one in the base unit of its own: `250ms` is 0.25, `5%` 0.05.

    Raises ValueError for any other form.
    """
    unit = unit_written(text)
    if unit is not None:
        return unit.parse(text)
    if not _PLAIN.fullmatch(text):
        raise ValueError(f"{text!r} is not {NUMBER_FORM}")
    return float(text)


def format_duration(seconds: float) -> str:
    """Three significant digits in the unit that reads best: `84.2 µs`, `250 ms`, `1.20 s`."""
    for limit, factor, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms"), (120.0, 1.0, "s")):
        if abs(seconds) < limit * 0.9995:
            return f"{_three_digits(seconds * factor)} {unit}"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def format_rate(per_second: float) -> str:
    """`400/s`, `0.50/s`."""
    return f"{_three_digits(per_second)}/s" if per_second < 1000 else f"{per_second:,.0f}/s"


def format_share(fraction: float) -> str:
    """`0 %`, `0.12 %`, `100 %`."""
    percent = fraction * 100
    return f"{percent:.0f} %" if percent in (0, 100) else f"{percent:.2f} %"


def format_size(size: float) -> str:
    """`512 B`, `1.20 MB`."""
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if abs(size) >= factor:
            return f"{_three_digits(size / factor)} {unit}"
    return f"{size:.0f} B"


def format_count(number: float) -> str:
    """`1,234`."""
    return f"{number:,.0f}"


def format_growth(per_second: float) -> str:
    """`1.20 MB/min`."""
    return f"{format_size(60 * per_second)}/min"


def format_ratio(number: float) -> str:
    """`1.50`, `0.12`."""
    return _three_digits(number)


def format_number(number: float) -> str:
    """`1,234`, `0.0123`."""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def _three_digits(value: float) -> str:
    magnitude = abs(value)
    if magnitude == 0 or magnitude >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if magnitude >= 9.995 else f"{value:.2f}"


@dataclass(frozen=True, slots=True)
class Unit:
    """How figures of one unit are written and shown; `suffixes` are the usual ones, if any."""

    form: str
    suffixes: tuple[str, ...]
    parse: Callable[[str], float]
    format: Callable[[float], str]


DURATION = Unit(DURATION_FORM, ("s", "ms"), parse_duration, format_duration)
RATE = Unit(RATE_FORM, ("/s",), parse_rate, format_rate)
SHARE = Unit(SHARE_FORM, ("%",), parse_share, format_share)
SIZE = Unit(SIZE_FORM, ("KB", "MB"), parse_size, format_size)
COUNT = Unit(COUNT_FORM, (), parse_count, format_count)
GROWTH = Unit(GROWTH_FORM, ("MB/min",), parse_growth, format_growth)
RATIO = Unit(RATIO_FORM, (), parse_ratio, format_ratio)
NUMBER = Unit(NUMBER_FORM, (), parse_number, format_number)


def unit_written(text: str) -> Unit | None:
    """The unit that a number is written with, of those that have one in the base unit; or None."""
    for unit in (DURATION, SHARE, SIZE, RATE):
        try:
            unit.parse(text)
        except ValueError:
            continue
        return unit
    return None
