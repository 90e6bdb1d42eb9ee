"""A bound on what a scenario's patterns may take: some search for ever in what a server can send.

The standard library's expressions cannot be given a limit, but they heed signals: a timer of the
process's own CPU time interrupts them. It is only armed where a pattern is searched for.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

LIMIT = 1.0
"""Seconds of CPU time."""

TOLD = f"the search for it took longer than {LIMIT:g} s and was given up"


class TookTooLong(Exception):  # noqa: N818 - an outcome, told as the failure's kind
    """A search has used up its time."""


class Bounded:
    """A context that raises TookTooLong when it lasts; on the main thread, and not nested."""

    __slots__ = ()

    _armed = False
    _ready = False

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        if not Bounded._ready:
            signal.signal(signal.SIGVTALRM, _give_up)
            Bounded._ready = True
        Bounded._armed = True
        signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT)

    def __exit__(self, *failure: object) -> None:
        if Bounded._armed:
            Bounded._armed = False
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _give_up(number: int, frame: FrameType | None) -> None:
    # One that comes when the search has just ended is of no interest.
    if Bounded._armed:
        raise TookTooLong(TOLD)


bounded = Bounded()
