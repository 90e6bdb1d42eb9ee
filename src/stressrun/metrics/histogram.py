"""Times in fixed memory: a log-linear histogram of nanoseconds.

Values below 1,024 ns are exact; above, each power of two is cut into 512 buckets, so that the
middle of a bucket is at most 0.098 % away from any value in it. The idea is HdrHistogram's
(https://hdrhistogram.org), with buckets held sparsely.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain
from math import ceil


class Histogram:
    """Counts of nanoseconds, mergeable by addition, with an exact sum and maximum."""

    __slots__ = ("_buckets", "count", "maximum", "total")

    def __init__(self) -> None:
        self._buckets: defaultdict[int, int] = defaultdict(int)
        self.count = 0
        self.total = 0
        self.maximum = 0

    def record(self, nanoseconds: int) -> None:
        """Count one value ≥ 0."""
        if nanoseconds < 1024:
            self._buckets[nanoseconds] += 1
        else:
            shift = nanoseconds.bit_length() - 10
            self._buckets[(shift << 9) + (nanoseconds >> shift)] += 1
        self.count += 1
        self.total += nanoseconds
        if nanoseconds > self.maximum:
            self.maximum = nanoseconds

    def merge(self, other: Histogram) -> None:
        """Add another histogram's counts to this one's."""
        for bucket, count in other._buckets.items():
            self._buckets[bucket] += count
        self.count += other.count
        self.total += other.total
        self.maximum = max(self.maximum, other.maximum)

    def replacing(self, some: Histogram, by: Histogram) -> Histogram:
        """A histogram with `some` of the values of this one replaced by others.

        Where the longest is among them, the maximum is as exact as the buckets are.
        """
        result = Histogram()
        result.merge(self)
        for bucket, count in some._buckets.items():
            result._buckets[bucket] -= count
            if not result._buckets[bucket]:
                del result._buckets[bucket]
        result.count -= some.count
        result.total -= some.total
        if some.maximum >= self.maximum:
            longest = max(result._buckets, default=None)
            result.maximum = 0 if longest is None else min(self.maximum, round(_middle(longest)))
        result.merge(by)
        return result

    @property
    def mean(self) -> float:
        """The exact mean in nanoseconds. Raises ZeroDivisionError when empty."""
        return self.total / self.count

    def quantile(self, q: float) -> float | None:
        """The nearest-rank quantile in nanoseconds; None with fewer than 1/(1−q) values."""
        # The product is rounded so that 1/(1−0.99) asks for 100 values, not for 101.
        if round(self.count * (1 - q), 9) < 1:
            return None
        rank = max(1, ceil(round(self.count * q, 9)))
        seen = 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= rank:
                return min(_middle(bucket), float(self.maximum))
        raise AssertionError("a rank within the count lies in a bucket")

    def steps(self) -> list[tuple[float, int]]:
        """Its values in nanoseconds, as the buckets tell them apart, each with its count."""
        return [(_middle(bucket), self._buckets[bucket]) for bucket in sorted(self._buckets)]

    def above(self, nanoseconds: float) -> int:
        """How many values are longer by more than what the buckets can tell apart."""
        limit = _bucket(int(nanoseconds))
        return sum(count for bucket, count in self._buckets.items() if bucket > limit)

    def drain(self) -> list[int]:
        """The content as integers for `from_wire`; empties the histogram."""
        wire = [self.total, self.maximum, *chain.from_iterable(self._buckets.items())]
        self._buckets.clear()
        self.count = self.total = self.maximum = 0
        return wire

    @classmethod
    def from_wire(cls, wire: Sequence[int]) -> Histogram:
        """The histogram that `drain` described."""
        histogram = cls()
        histogram.total, histogram.maximum = wire[:2]
        histogram._buckets.update(zip(wire[2::2], wire[3::2], strict=True))
        histogram.count = sum(wire[3::2])
        return histogram


def _bucket(nanoseconds: int) -> int:
    if nanoseconds < 1024:
        return nanoseconds
    shift = nanoseconds.bit_length() - 10
    return (shift << 9) + (nanoseconds >> shift)


def _middle(bucket: int) -> float:
    if bucket < 1024:
        return float(bucket)
    shift = (bucket >> 9) - 1
    low = (bucket - (shift << 9)) << shift
    return low + ((1 << shift) - 1) / 2
