"""Waiting for many sockets and one instant: an epoll of our own with a timerfd in it.

Trio waits for the epoll's descriptor, so that a lane with fifty connections costs the scheduler
one wait. The timerfd wakes to the microsecond, where trio's own timers are rounded to 1 ms.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
from collections.abc import Iterable

import trio

READ = select.EPOLLIN | select.EPOLLRDHUP
WRITE = select.EPOLLOUT
_CLOCK_MONOTONIC = 1
_ABSOLUTE = 1
_PAST = 1  # zero would disarm the timer
_libc = ctypes.CDLL(None, use_errno=True)


class Timer:
    """A timerfd on the monotonic clock: a descriptor that is readable from an instant on."""

    def __init__(self) -> None:
        self.descriptor = _libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self.descriptor < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._armed = 0

    def arm(self, instant: int) -> None:
        """Become readable at an instant in nanoseconds; an instant in the past is at once."""
        if instant == self._armed:
            return
        self._armed = instant
        seconds, nanoseconds = divmod(max(_PAST, instant), 1_000_000_000)
        setting = struct.pack("qqqq", 0, 0, seconds, nanoseconds)
        _libc.timerfd_settime(self.descriptor, _ABSOLUTE, setting, None)

    def clear(self) -> None:
        """Forget that the instant has come."""
        try:
            os.read(self.descriptor, 8)
        except BlockingIOError:
            return
        self._armed = 0

    def wake(self) -> None:
        """End the current sleep."""
        self.arm(_PAST)

    async def wait_until(self, instant: int) -> None:
        """Sleep until an instant in nanoseconds."""
        self.arm(instant)
        await trio.lowlevel.wait_readable(self.descriptor)
        self.clear()

    def close(self) -> None:
        os.close(self.descriptor)


class Poller:
    """Readiness of registered descriptors, and a wait that trio can cancel."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._timer = Timer()
        self._epoll.register(self._timer.descriptor, select.EPOLLIN)
        self.register = self._epoll.register
        self.modify = self._epoll.modify
        self.unregister = self._epoll.unregister

    def poll(self) -> Iterable[tuple[int, int]]:
        """The descriptors that are ready now, with their events; never blocks."""
        events = self._epoll.poll(0)
        for descriptor, _ in events:
            if descriptor == self._timer.descriptor:
                self._timer.clear()
                return [event for event in events if event[0] != descriptor]
        return events

    async def wait(self, until: int) -> None:
        """Wait until a descriptor is ready or an instant in nanoseconds has come."""
        self._timer.arm(until)
        await trio.lowlevel.wait_readable(self._epoll.fileno())

    def wake(self) -> None:
        """End the current wait."""
        self._timer.wake()

    def close(self) -> None:
        self._timer.close()
        self._epoll.close()
