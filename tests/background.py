"""A trio task that serves a test which is not a task itself, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import trio


@contextmanager
def in_background(serve: Callable[..., Awaitable[None]]) -> Iterator[Any]:
    """Run a task that tells what it has started, which is given, and cancel it at the end."""
    started: Future[tuple[Any, trio.lowlevel.TrioToken]] = Future()
    scope = trio.CancelScope()

    async def main() -> None:
        with scope:
            async with trio.open_nursery() as nursery:
                value = await nursery.start(serve)
                started.set_result((value, trio.lowlevel.current_trio_token()))

    def run() -> None:
        try:
            trio.run(main)
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=run)
    thread.start()
    value, token = started.result()
    try:
        yield value
    finally:
        token.run_sync_soon(scope.cancel)
        thread.join()
