"""A scenario's regular expressions, searched for in what others say: they may search for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TypeVar

import trio

from stressrun.data.bounded import TOLD, TookTooLong, bounded

T = TypeVar("T")


class Pattern:
    """Says which texts something is found in, from a thread of trio's too.

    Only on the main thread can a search be given up, and wherever it is done it holds all others
    up; so each text is looked at once, for as long as it is asked for. A search that took too long
    is never tried again.
    """

    def __init__(self, find: Callable[[str], object]) -> None:
        self._find = find
        self._known: dict[str, bool] = {}
        self._gave_up = False

    def found_in(self, texts: Collection[str]) -> Mapping[str, bool]:
        """Of each of the texts whether it is found there. Raises TookTooLong."""
        if self._gave_up:
            raise TookTooLong(TOLD)
        known = {text: self._known[text] for text in texts if text in self._known}
        unknown = {text for text in texts if text not in known}
        if unknown:
            known |= _on_main_thread(partial(self._searched, unknown))
        self._known = known
        return known

    def _searched(self, texts: Collection[str]) -> dict[str, bool]:
        try:
            with bounded:
                return {text: bool(self._find(text)) for text in texts}
        except TookTooLong:
            self._gave_up = True
            self._known = {}
            raise


def _on_main_thread(work: Callable[[], T]) -> T:
    if threading.current_thread() is threading.main_thread():
        return work()
    return trio.from_thread.run_sync(work)
