"""The kinds of generated values: what fills a column, a path or a body.

A generator is compiled for a seed and a site to a function of an index. Values are str, int,
float, bool, Decimal, date, datetime, None, or a dict as JSON has it; a UUID is a str.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import accumulate, repeat
from random import Random
from typing import TypeVar

from stressrun.data.faker_source import faker_drawer
from stressrun.data.pools import Pool, randomness
from stressrun.data.words import readable_text

T = TypeVar("T")
Render = Callable[[object], T]
Read = Callable[[int], T]
ReadSpan = Callable[[range], Iterable[T]]
Scalar = str | int | float | Decimal | bool | None

_DIGITS = 16**30 - 1


class Generator(ABC):
    """One kind of value with its settings.

    `sql_type` is the PostgreSQL type that holds it; None where the database alone knows.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def sql_type(self) -> str | None: ...

    @abstractmethod
    def compile_as(self, seed: int, site: str, render: Render[T]) -> Read[T]:
        """As `compile`, with values already rendered: before load, where they are drawn then."""

    def compile(self, seed: int, site: str) -> Read[object]:
        """A function from an index (0 ≤ index < 2**63) to its value."""
        return self.compile_as(seed, site, lambda value: value)

    def compile_span(self, seed: int, site: str, render: Render[T]) -> ReadSpan[T]:
        """As `compile_as`, for many indices at once that follow one another."""
        read = self.compile_as(seed, site, render)
        return lambda indices: map(read, indices)


class Pooled(Generator):
    """A kind whose values are drawn before load."""

    __slots__ = ()

    @abstractmethod
    def drawer(self) -> Callable[[Random], object]:
        """What draws one value."""

    def compile_as(self, seed: int, site: str, render: Render[T]) -> Read[T]:
        return Pool(self.drawer(), render, seed, site).reader()

    def compile_span(self, seed: int, site: str, render: Render[T]) -> ReadSpan[T]:
        return Pool(self.drawer(), render, seed, site).span


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
class Integer(Pooled):
    """A whole number from low to high, both included."""

    low: int
    high: int

    @property
    def sql_type(self) -> str:
        return sql_integer(self.low, self.high)

    def drawer(self) -> Callable[[Random], object]:
        low, high = self.low, self.high
        return lambda random: random.randint(low, high)


@dataclass(frozen=True, slots=True)
class DecimalNumber(Pooled):
    """A number with so many decimal places, from low to high, both included."""

    low: Decimal
    high: Decimal
    places: int

    @property
    def sql_type(self) -> str:
        return "numeric"

    def drawer(self) -> Callable[[Random], object]:
        places = self.places
        low, high = (int(bound.scaleb(places)) for bound in (self.low, self.high))
        return lambda random: Decimal(random.randint(low, high)).scaleb(-places)


@dataclass(frozen=True, slots=True)
class Faker(Pooled):
    """A value of one of Faker's providers. Those that count from today move with the day."""

    provider: str
    locale: str
    sql: str

    @property
    def sql_type(self) -> str:
        return self.sql

    def drawer(self) -> Callable[[Random], object]:
        return faker_drawer(self.provider, self.locale)


@dataclass(frozen=True, slots=True)
class Hex(Pooled):
    """So many random hexadecimal characters."""

    length: int

    @property
    def sql_type(self) -> str:
        return "text"

    def drawer(self) -> Callable[[Random], object]:
        length = self.length
        half = (length + 1) // 2
        return lambda random: random.randbytes(half).hex()[:length]


@dataclass(frozen=True, slots=True)
class Text(Pooled):
    """Readable words, cut to so many characters."""

    length: int

    @property
    def sql_type(self) -> str:
        return "text"

    def drawer(self) -> Callable[[Random], object]:
        length = self.length
        return lambda random: readable_text(random, length)


@dataclass(frozen=True, slots=True)
class Choice(Pooled):
    """One of some values, in proportion to their weights."""

    values: tuple[Scalar, ...]
    weights: tuple[float, ...]

    @property
    def sql_type(self) -> str:
        return sql_scalar(self.values)

    def drawer(self) -> Callable[[Random], object]:
        values, cumulative = self.values, list(accumulate(self.weights))
        return lambda random: random.choices(values, cum_weights=cumulative)[0]


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

    def compile_span(self, seed: int, site: str, render: Render[T]) -> ReadSpan[T]:
        return lambda indices: repeat(render(datetime.now(UTC)), len(indices))


@dataclass(frozen=True, slots=True)
class Timestamp(Pooled):
    """A time from first to last, both included, in UTC."""

    first: datetime
    last: datetime

    @property
    def sql_type(self) -> str:
        return "timestamptz"

    def drawer(self) -> Callable[[Random], object]:
        first, microsecond = self.first, timedelta(microseconds=1)
        span = (self.last - first) // microsecond
        return lambda random: first + random.randint(0, span) * microsecond


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

    def compile_span(self, seed: int, site: str, render: Render[T]) -> ReadSpan[T]:
        rendered = render(self.value)
        return lambda indices: repeat(rendered, len(indices))


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
