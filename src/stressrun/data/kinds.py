"""The kinds of generated values: what fills a column, a path or a body.

A generator is compiled for a seed and a site to a function of an index. Values are str, int,
float, bool, Decimal, date, datetime or None; a UUID is a str.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import TypeVar

from stressrun.data.faker_source import faker_drawer
from stressrun.data.pools import draw_pool, randomness
from stressrun.data.words import readable_text

T = TypeVar("T")
Render = Callable[[object], T]
Read = Callable[[int], T]
Scalar = str | int | float | Decimal | bool | None

_DIGITS = 16**30 - 1


class Generator(ABC):
    """One kind of value with its settings; `sql_type` is the PostgreSQL type that holds it."""

    __slots__ = ()

    @property
    @abstractmethod
    def sql_type(self) -> str: ...

    @abstractmethod
    def compile_as(self, seed: int, site: str, render: Render[T]) -> Read[T]:
        """As `compile`, with values already rendered: before load, where they are drawn then."""

    def compile(self, seed: int, site: str) -> Read[object]:
        """A function from an index (0 ≤ index < 2**63) to its value."""
        return self.compile_as(seed, site, lambda value: value)


@dataclass(frozen=True, slots=True)
class Serial(Generator):
    """start, start + 1, …, written in a form of `str.format` where there is one."""

    start: int
    form: str | None

    @property
    def sql_type(self) -> str:
        return "bigint" if self.form is None else "text"

    def compile_as(self, seed: int, site: str, render: Render[T]) -> Read[T]:
        start = self.start
        if self.form is None:
            return lambda index: render(start + index)
        write = self.form.format
        return lambda index: render(write(start + index))


@dataclass(frozen=True, slots=True)
class Integer(Generator):
    """A whole number from low to high, both included."""

    low: int
    high: int

    @property
    def sql_type(self) -> str:
        return sql_integer(self.low, self.high)

    def compile_as(self, seed: int, site: str, render: Render[T]) -> Read[T]:
        low, high = self.low, self.high
        return draw_pool(lambda random: render(random.randint(low, high)), seed, site)


@dataclass(frozen=True, slots=True)
class DecimalNumber(Generator):
    """A number with so many decimal places, from low to high, both included."""

    low: Decimal
    high: Decimal
    places: int

    @property
    def sql_type(self) -> str:
        return "numeric"

    def compile_as(self, seed: int, site: str, render: Render[T]) -> Read[T]:
        places = self.places
        low, high = (int(bound.scaleb(places)) for bound in (self.low, self.high))
        return draw_pool(
            lambda random: render(Decimal(random.randint(low, high)).scaleb(-places)), seed, site
        )


@dataclass(frozen=True, slots=True)
class Faker(Generator):
    """A value of one of Faker's providers. Those that count from today move with the day."""

    provider: str
    locale: str
    sql: str

    @property
    def sql_type(self) -> str:
        return self.sql

    def compile_as(self, seed: int, site: str, render: Render[T]) -> Read[T]:
        draw = faker_drawer(self.provider, self.locale)
        return draw_pool(lambda random: render(draw(random)), seed, site)


@dataclass(frozen=True, slots=True)
class Hex(Generator):
    """So many random hexadecimal characters."""

    length: int

    @property
    def sql_type(self) -> str:
        return "text"

    def compile_as(self, seed: int, site: str, render: Render[T]) -> Read[T]:
        length = self.length
        half = (length + 1) // 2
        return draw_pool(lambda random: render(random.randbytes(half).hex()[:length]), seed, site)


@dataclass(frozen=True, slots=True)
class Text(Generator):
    """Readable words, cut to so many characters."""

    length: int

    @property
    def sql_type(self) -> str:
        return "text"

    def compile_as(self, seed: int, site: str, render: Render[T]) -> Read[T]:
        length = self.length
        return draw_pool(lambda random: render(readable_text(random, length)), seed, site)


@dataclass(frozen=True, slots=True)
class Choice(Generator):
    """One of some values, in proportion to their weights."""

    values: tuple[Scalar, ...]
    weights: tuple[float, ...]

    @property
    def sql_type(self) -> str:
        return sql_scalar(self.values)

    def compile_as(self, seed: int, site: str, render: Render[T]) -> Read[T]:
        rendered = [render(value) for value in self.values]
        cumulative = list(accumulate(self.weights))
        return draw_pool(
            lambda random: random.choices(rendered, cum_weights=cumulative)[0], seed, site
        )


@dataclass(frozen=True, slots=True)
class Uuid(Generator):
    """A UUID of version 4 in its look, another one for each index."""

    @property
    def sql_type(self) -> str:
        return "uuid"

    def compile_as(self, seed: int, site: str, render: Render[T]) -> Read[T]:
        random = randomness(seed, site)
        start, factor = random.getrandbits(120), random.getrandbits(120) | 1

        def value(index: int) -> T:
            # An odd factor permutes the numbers below a power of two: no two indices share one.
            digits = ((start + index * factor) & _DIGITS).to_bytes(15, "big").hex()
            return render(
                f"{digits[:8]}-{digits[8:12]}-4{digits[12:15]}-a{digits[15:18]}-{digits[18:]}"
            )

        return value


@dataclass(frozen=True, slots=True)
class Now(Generator):
    """The time at which it is asked for, in UTC."""

    @property
    def sql_type(self) -> str:
        return "timestamptz"

    def compile_as(self, seed: int, site: str, render: Render[T]) -> Read[T]:
        return lambda index: render(datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class Timestamp(Generator):
    """A time from first to last, both included, in UTC."""

    first: datetime
    last: datetime

    @property
    def sql_type(self) -> str:
        return "timestamptz"

    def compile_as(self, seed: int, site: str, render: Render[T]) -> Read[T]:
        first, microsecond = self.first, timedelta(microseconds=1)
        span = (self.last - first) // microsecond
        return draw_pool(
            lambda random: render(first + random.randint(0, span) * microsecond), seed, site
        )


@dataclass(frozen=True, slots=True)
class Constant(Generator):
    """Always the same value."""

    value: Scalar

    @property
    def sql_type(self) -> str:
        return sql_scalar((self.value,))

    def compile_as(self, seed: int, site: str, render: Render[T]) -> Read[T]:
        rendered = render(self.value)
        return lambda index: rendered


def sql_integer(low: int, high: int) -> str:
    """The narrowest of integer, bigint and numeric that holds both."""
    for sql_type, bits in (("integer", 31), ("bigint", 63)):
        if -(2**bits) <= low and high < 2**bits:
            return sql_type
    return "numeric"


def sql_scalar(values: tuple[Scalar, ...]) -> str:
    """The type that holds all of the values; text where nothing narrower does."""
    present = [value for value in values if value is not None]
    if not present:
        return "text"
    if all(isinstance(value, bool) for value in present):
        return "boolean"
    integers = [value for value in present if type(value) is int]
    if len(integers) == len(present):
        return sql_integer(min(integers), max(integers))
    numeric = all(type(value) in (int, float, Decimal) for value in present)
    return "numeric" if numeric else "text"
