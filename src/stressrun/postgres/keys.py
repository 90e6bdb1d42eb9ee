"""Explicit keys for the inserts of one worker, reserved in blocks ahead of their use."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from typing import TypeVar

import trio

from stressrun.data.kinds import ReadSpan
from stressrun.postgres.connection import Connection

T = TypeVar("T")

_FIRST_BLOCK = 10_000
_LARGEST_BLOCK = 160_000

Reserve = Callable[[Connection, int], Awaitable[list[range]]]


class KeySupply:
    """Keys that only this worker has; `reserve` gets more of them, as ranges."""

    def __init__(self, reserve: Reserve) -> None:
        self._reserve = reserve
        self._ranges: deque[range] = deque()
        self._keys = self._drawn()
        self._left = 0
        self._block = _FIRST_BLOCK
        self._low = trio.Event()
        self._reserving = trio.Lock()

    def has(self, count: int) -> bool:
        """Whether so many keys can be taken at once."""
        return self._left >= count

    def take(self, count: int) -> list[int]:
        """So many of the keys that it has."""
        self._left -= count
        if self._left < self._low_mark:
            self._low.set()
        return list(islice(self._keys, count))

    def span(self, render: Callable[[int], T]) -> ReadSpan[T]:
        """A column of such keys for as many rows as it is asked for."""
        return lambda rows: map(render, self.take(len(rows)))

    async def refill(self, connection: Connection, least: int) -> None:
        """See that it has so many keys. Raises psycopg.Error, and SetupError for taken keys."""
        async with self._reserving:
            while not self.has(least):
                await self._reserve_block(connection)

    async def keep_ahead(self, connection: Connection) -> None:
        """Reserve before keys run short, so that no insert waits for it; until cancelled.

        Raises psycopg.Error, SetupError.
        """
        while True:
            if self._left >= self._low_mark:
                await self._low.wait()
            self._low = trio.Event()
            await self.refill(connection, self._low_mark)

    async def _reserve_block(self, connection: Connection) -> None:
        self._ranges.extend(await self._reserve(connection, self._block))
        self._left += self._block
        # Inserts that use up a block get a larger one next, so that reservations stay few.
        self._block = min(2 * self._block, _LARGEST_BLOCK)

    @property
    def _low_mark(self) -> int:
        return self._block // 2

    def _drawn(self) -> Iterator[int]:
        while True:
            yield from self._ranges.popleft()
