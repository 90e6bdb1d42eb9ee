"""Explicit keys for the inserts of one worker, reserved in blocks ahead of their use."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

import psycopg
import trio

from stressrun.errors import SetupError
from stressrun.postgres.connection import Connection
from stressrun.postgres.ownership import Claim

_FIRST_BLOCK = 10_000
_LARGEST_BLOCK = 160_000


class KeySupply:
    """Keys that only this worker has, each in the ledger before it is handed out."""

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self._ranges: deque[range] = deque()
        self._keys = self._drawn()
        self._left = 0
        self._block = _FIRST_BLOCK
        self._low = trio.Event()
        self._reserving = trio.Lock()

    async def take(self, connection: Connection, count: int) -> list[int]:
        """So many keys, reserved on this connection where too few were reserved ahead.

        Raises psycopg.Error.
        """
        while self._left < count:
            await self._refill(connection, count)
        self._left -= count
        if self._left < self._low_mark:
            self._low.set()
        return list(islice(self._keys, count))

    async def keep_ahead(self, connection: Connection) -> None:
        """Reserve before keys run short, so that no insert waits for it; until cancelled."""
        # When this fails, inserts reserve for themselves, and tell of the same fault.
        with suppress(psycopg.Error, SetupError):
            while True:
                await self._low.wait()
                self._low = trio.Event()
                await self._refill(connection, self._low_mark)

    async def reserve(self, connection: Connection) -> None:
        """Reserve one more block. Raises psycopg.Error, and SetupError where keys are taken."""
        self._ranges.extend(await self._claim.reserve(connection, self._block))
        self._left += self._block
        # Inserts that use up a block get a larger one next, so that reservations stay few.
        self._block = min(2 * self._block, _LARGEST_BLOCK)

    @property
    def _low_mark(self) -> int:
        return self._block // 2

    async def _refill(self, connection: Connection, least: int) -> None:
        async with self._reserving:
            if self._left < least:
                await self.reserve(connection)

    def _drawn(self) -> Iterator[int]:
        while True:
            yield from self._ranges.popleft()
