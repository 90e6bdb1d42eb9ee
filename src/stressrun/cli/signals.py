"""Signals outside the run itself: before it they end the program, after its verdict they do not."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from types import FrameType

_over = False


def install() -> None:
    """Exit with 128 + the signal's number. A run takes the signals over while it lasts."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _exit)


def run_is_over() -> None:
    """From now on the exit code is decided: a signal between here and `ignore` does nothing."""
    global _over
    _over = True


def ignore() -> None:
    """Let no signal disturb the last steps; an interpreter that ends keeps this, not a handler."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _exit(number: int, _: FrameType | None) -> None:
    if not _over:
        # Past Python's streams, in whose midst it may be.
        with suppress(OSError):
            os.write(2, f"error: stopped by {signal.Signals(number).name}\n".encode())
        sys.exit(128 + number)
