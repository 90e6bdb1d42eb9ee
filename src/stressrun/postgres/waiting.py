"""What psycopg leaves to the loop, on trio: waiting for sockets, and its lock."""

from __future__ import annotations

import asyncio
import selectors
from typing import Literal, TypeVar

import psycopg
import trio
from psycopg.abc import PQGenConn
from psycopg.waiting import Ready, Wait

Result = TypeVar("Result")


class Lock(asyncio.Lock):
    """A lock of trio's in the shape that psycopg expects; taking a free one costs no loop turn."""

    def __init__(self) -> None:
        self._lock = trio.Lock()

    def locked(self) -> bool:
        return self._lock.locked()

    async def acquire(self) -> Literal[True]:
        try:
            self._lock.acquire_nowait()
        except trio.WouldBlock:
            await self._lock.acquire()
        return True

    def release(self) -> None:
        self._lock.release()


async def drive_connecting(generator: PQGenConn[Result]) -> Result:
    """Run a generator of psycopg whose socket changes as it goes."""
    try:
        descriptor, wanted = next(generator)
        while True:
            if wanted == Wait.R:
                await trio.lowlevel.wait_readable(descriptor)
            else:
                await trio.lowlevel.wait_writable(descriptor)
            descriptor, wanted = generator.send(Ready(wanted))
    except StopIteration as finished:
        result: Result = finished.value
    except OSError as error:
        raise psycopg.OperationalError("the connection's socket is closed") from error
    return result


async def wait_for_either(descriptor: int, wanted: Wait) -> tuple[int, bool]:
    """Wait until a socket is ready for what is wanted; it is nearly always writable at once.

    The directions that are ready, in the bits that psycopg's `Ready` and `selectors` share (none
    when woken in vain), and whether the loop had its turn.
    """
    # Trio has no wait of one task for both directions, but a selector can itself be waited for.
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, wanted)
        blocked = not (found := selector.select(0))
        if blocked:
            await trio.lowlevel.wait_readable(selector)
            found = selector.select(0)
    return (found[0][1] if found else 0), blocked
