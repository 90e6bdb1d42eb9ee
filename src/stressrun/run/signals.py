"""The signals that end a run: the first gracefully, the second at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from signal import SIGHUP, SIGINT, SIGTERM, Signals

import trio


async def watch_signals(
    first: Callable[[Signals], Awaitable[None]],
    again: Callable[[Signals], None],
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    """Call `first` with the first signal that comes, and `again` with those after it."""
    with trio.open_signal_receiver(SIGINT, SIGTERM, SIGHUP) as received:
        task_status.started()
        async for number in received:
            await first(Signals(number))
            break
        async for number in received:
            again(Signals(number))
