"""The slowest of a stream of requests, with the instants at which they ended.

Which ones are over the p99 is known when all have ended. Until then those over a limit are kept,
which lies well below: so that the price for all others is one comparison.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Sequence

_OFF = sys.maxsize
_MOST = 1024
# Of what is answered, one in so many is kept: more than one in a hundred will be looked at.
_ONE_IN = 40
# Drains before there is a limit: the first requests are slower than those that follow.
_FIRST = 4
_RECENT = 40


class Slowest:
    """Keeps the times and ends of requests that took longer than its `limit`, in nanoseconds.

    It keeps nothing until it is restarted, and at most 1,024 between two drains: where there are
    more, the limit rises. All above the limit are kept, whatever it was before.
    """

    __slots__ = ("_recent", "kept", "limit")

    def __init__(self) -> None:
        self.limit = _OFF
        self.kept: list[tuple[int, int]] = []
        self._recent: deque[int] = deque(maxlen=_RECENT)

    @property
    def active(self) -> bool:
        return self.limit != _OFF

    def restart(self) -> None:
        """Begin anew, knowing nothing of how long requests take."""
        self.limit = 0
        self.kept.clear()
        self._recent.clear()

    def keep(self, response: int) -> None:
        """Keep a request of a time above the limit that has ended now."""
        self.kept.append((response, time.monotonic_ns()))
        if len(self.kept) == _MOST:
            self.limit = sorted(self.kept)[_MOST // 2][0]
            self.kept = [each for each in self.kept if each[0] > self.limit]

    def drain(self, answered: int) -> list[int]:
        """The content as integers for `from_wire`; empties it.

        So many requests were `answered` since the last time, from which the next limit follows.
        """
        if not self.active:
            return []
        wire = [self.limit]
        for response, end in self.kept:
            wire += (response, end)
        self._recent.append(self._level(answered))
        # The least of some time: a limit that one bad moment raises would hide what came after.
        self.limit = min(self._recent) if len(self._recent) >= _FIRST else 0
        self.kept.clear()
        return wire

    def _level(self, answered: int) -> int:
        """The limit above which one in forty was; lower than the present one if that keeps few."""
        if not answered:
            return self.limit
        wanted = max(1, answered // _ONE_IN)
        if len(self.kept) > wanted:
            return sorted((response for response, _ in self.kept), reverse=True)[wanted]
        return self.limit if 2 * len(self.kept) >= wanted else self.limit * 3 // 4

    @classmethod
    def from_wire(cls, wire: Sequence[int]) -> Slowest:
        """What `drain` described."""
        slowest = cls()
        if wire:
            slowest.limit = wire[0]
            slowest.kept = list(zip(wire[1::2], wire[2::2], strict=True))
        return slowest
