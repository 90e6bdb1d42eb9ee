"""What each wake-up costs a process that is woken 2,000 times a second: three figures in µs of CPU.

The first wakes to nothing, the second to a piece of work, whose own cost without sleeping is the
third. In the open model a client that waits for each arrival and each answer pays for two such
wake-ups a request, whatever it is written in; on a virtual machine they are dear.
"""

from __future__ import annotations

import time
from collections.abc import Callable

_WAKE_UPS = 2_000
_PERIOD = 0.0005


def _nothing() -> None:
    pass


def _work() -> None:
    sum(number * number for number in range(60))


def _cost(work: Callable[[], None], pause: float) -> float:
    """CPU microseconds of one turn."""
    due = time.monotonic()
    begin = time.process_time()
    for _ in range(_WAKE_UPS):
        due += pause
        if pause:
            time.sleep(max(0.0, due - time.monotonic()))
        work()
    return (time.process_time() - begin) / _WAKE_UPS * 1e6


if __name__ == "__main__":
    print(f"{_cost(_nothing, _PERIOD):.1f} {_cost(_work, _PERIOD):.1f} {_cost(_work, 0):.1f}")
