"""Stretches of time in which something held, those that touch each other made one."""

from __future__ import annotations

from collections import deque

_MOST = 4096


class Intervals:
    """Added in the order of their ends; instants are nanoseconds.

    Only the newest 4,096 are kept: of the time before `known_since` nothing is known any more.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._kept: deque[tuple[int, int]] = deque()
        self._most = most
        self.known_since = 0

    def add(self, begin: int, end: int) -> None:
        """Add an interval that ends when the newest does, or later."""
        begin = max(begin, self.known_since)
        while self._kept and self._kept[-1][1] >= begin:
            begin = min(begin, self._kept.pop()[0])
        self._kept.append((begin, end))
        if len(self._kept) > self._most:
            self.known_since = self._kept.popleft()[1]

    def overlap(self, begin: int, end: int) -> bool:
        """Whether a part of the time between two instants lies in an interval."""
        for first, last in reversed(self._kept):
            if last <= begin:
                return False
            if first < end:
                return True
        return False

    def reached(self, begin: int, end: int, reach: int) -> int:
        """How much of the time between two instants has an interval within `reach` before it.

        That is: at how many of these instants something could have ended that took so long, and
        overlapped an interval.
        """
        found = 0
        covered = max(begin, self.known_since)
        for first, last in self._kept:
            first, last = max(first, covered), min(last + reach, end)
            if first < last:
                found += last - first
                covered = last
        return found
