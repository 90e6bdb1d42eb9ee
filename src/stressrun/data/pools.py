"""Values drawn before load, so that reading one costs next to nothing under load.

A pool belongs to a site (a place of the scenario) and is a pure function of the seed and the
site. Its length is prime, and each pass over it starts a stride of the site's own further on, so
that two pools of n values go through n² pairs before they repeat together.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Generic, TypeVar

T = TypeVar("T")

MOST_VALUES = 16_381
MOST_CHARACTERS = 4_000_000
_WORD = 2**64 - 1


def randomness(seed: int, site: str) -> Random:
    """Random numbers that are the same for the same seed and site in every process."""
    return Random(f"{seed}/{site}")


class Pool(Generic[T]):
    """The values of one site: at least two, and the fewer the longer they are.

    How many there are depends on what `draw` gives, not on how `render` writes it.
    """

    __slots__ = ("_draw", "_random", "_render", "_room", "_stride", "_values")

    def __init__(
        self, draw: Callable[[Random], object], render: Callable[[Any], T], seed: int, site: str
    ) -> None:
        self._draw = draw
        self._render = render
        self._random = randomness(seed, site)
        self._room = MOST_CHARACTERS
        self._values: list[T] = []
        self._stride = 0  # until all are drawn

    def reader(self) -> Callable[[int], T]:
        """The function from an index to its value; all values are drawn at once."""
        self._draw_more(MOST_VALUES)
        values, length, stride = self._values, len(self._values), self._stride
        return lambda index: values[(index + index // length * stride) % length]

    def span(self, indices: range) -> list[T]:
        """The values of indices that follow one another, drawn as far as they are needed."""
        while not self._stride and self._staying < indices.stop:
            self._draw_more(indices.stop - self._staying)
        if not self._stride:
            return self._values[indices.start : indices.stop]
        found: list[T] = []
        values, length = self._values, len(self._values)
        index = indices.start
        while index < indices.stop:
            passes, within = divmod(index, length)
            place = (within + passes * self._stride) % length
            count = min(indices.stop - index, length - place, length - within)
            found += values[place : place + count]
            index += count
        return found

    @property
    def _staying(self) -> int:
        """How many values of those drawn are there in the end, when a prime number is left."""
        drawn = len(self._values)
        return min(drawn, prime_up_to(drawn + 1))

    def _draw_more(self, count: int) -> None:
        """Draw so many values, or those that are missing."""
        draw, render, random, values = self._draw, self._render, self._random, self._values
        for _ in range(0 if self._stride else count):
            value = draw(random)
            values.append(render(value))
            self._room -= len(value) if isinstance(value, str) else 0
            if len(values) == MOST_VALUES or (self._room <= 0 and len(values) > 1):
                del values[prime_up_to(len(values)) :]
                self._stride = random.randrange(1, len(values))
                return


def draw_pool(draw: Callable[[Random], T], seed: int, site: str) -> Callable[[int], T]:
    """Draw the values of a site; the function returned reads the one of an index."""
    return Pool(draw, lambda value: value, seed, site).reader()


def draw_number(count: int, seed: int, site: str) -> Callable[[int], int]:
    """A function from an index to a number from 0 to count - 1, each as likely as any other.

    It holds no values, whatever the count: it is SplitMix64 (Steele, Lea and Flood 2014) at the
    place of the index.
    """
    start = randomness(seed, site).getrandbits(64)

    def read(index: int) -> int:
        mixed = (start + index * 0x9E3779B97F4A7C15) & _WORD
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _WORD
        return (mixed ^ (mixed >> 31)) * count >> 64

    return read


def prime_up_to(number: int) -> int:
    """The largest prime that is not above a number of at least 2; 1 for 1."""
    while any(number % divisor == 0 for divisor in range(2, int(number**0.5) + 1)):
        number -= 1
    return number
