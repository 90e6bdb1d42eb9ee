"""Waiting for many sockets and one instant: an epoll of our own with a timerfd in it.

Trio waits for the epoll's descriptor, so that a lane with fifty connections costs the scheduler
one wait. The timerfd wakes to the microsecond, where trio's own timers are rounded to 1 ms. This
module is the seam to the operating system: what another one needs is a `Timer` and a `Poller`.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
from contextlib import suppress

import trio

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
_CLOCK_MONOTONIC = 1
_ABSOLUTE = 1
_PAST = 1  # zero would disarm the timer
_libc = ctypes.CDLL(None, use_errno=True)
_setting = struct.Struct("qqqq")


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
        setting = _setting.pack(0, 0, seconds, nanoseconds)
        _libc.timerfd_settime(self.descriptor, _ABSOLUTE, setting, None)

    def clear(self) -> None:
        """Become unreadable again."""
        with suppress(BlockingIOError):
            os.read(self.descriptor, 8)
        self._armed = 0

    def fired(self) -> None:
        """Note that the instant has come, for an owner that is told of it only once."""
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
    """Readiness of registered descriptors, and a wait that trio can cancel.

    `poll(seconds)` gives the descriptors that are ready with their events, the timer's own
    descriptor among them, for which `timer_fired` is to be called.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._timer = Timer()
        # Told of once, when it fires: it need not be read to be quiet again.
        self._epoll.register(self._timer.descriptor, select.EPOLLIN | select.EPOLLET)
        self.poll = self._epoll.poll
        self.register = self._epoll.register
        self.modify = self._epoll.modify
        self.unregister = self._epoll.unregister
        self.arm = self._timer.arm
        self.timer_fired = self._timer.fired

    async def wait(self) -> None:
        """Wait until a descriptor is ready or the instant that was armed has come."""
        await trio.lowlevel.wait_readable(self._epoll.fileno())

    def wake(self) -> None:
        """End the current wait."""
        self._timer.wake()

    def close(self) -> None:
        self._timer.close()
        self._epoll.close()
