"""The connections of the load: how many there may be, and how those that are lost come back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from stressrun.postgres.connection import Connection

_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 4.0

Connect = Callable[[], Awaitable[Connection]]


class Pool:
    """Counts the connections of the load, of which it can use `most`.

    So that the server keeps connections free for others, fewer may be `allowed` for a while.
    After a failure to connect the next attempt waits for `pause` seconds, longer each time;
    `refused` says whether the last attempt failed.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.allowed = most
        self.open = 0
        self.pause = _FIRST_PAUSE
        self.refused = False
        self.server_free: int | None = None

    @property
    def full(self) -> bool:
        """Whether there are as many connections as are allowed."""
        return self.open >= self.allowed

    def reserve(self) -> None:
        """Have a place for one more connection, so that no other one takes it meanwhile."""
        self.open += 1

    async def connect(self, connect: Connect) -> Connection:
        """Connect in a place that is reserved. Raises SetupError, RefusedError."""
        try:
            connection = await connect()
        except BaseException:
            self.open -= 1
            raise
        self.pause = _FIRST_PAUSE
        self.refused = False
        return connection

    def failed(self) -> float:
        """How long (seconds) to wait after a failure to connect."""
        self.refused = True
        pause = self.pause
        self.pause = min(2 * pause, _LONGEST_PAUSE)
        return pause

    def close(self, connection: Connection) -> None:
        """Give one up, be it lost or sound."""
        self.open -= 1
        connection.pgconn.finish()

    def keep_free(self, free: int, floor: int) -> None:
        """Allow as many connections as leave the floor free, of which `free` are free now."""
        self.server_free = free
        self.allowed = max(0, min(self.most, self.open + free - floor))
