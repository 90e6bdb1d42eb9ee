"""How many iterations ended, and how many of them failed, in each second of a stage."""

from __future__ import annotations

from collections.abc import Sequence

from stressrun.metrics.recorder import Recorder

# Past an hour all that comes is one second, so that memory stays fixed.
_MOST = 3_600
# Of seconds: half of what a worker's news are of.
_MIDDLE = 0.125


class Outcomes:
    """Seconds of a stage with (ended, failed); news count in the second of their middle."""

    def __init__(self) -> None:
        self._seconds: list[tuple[int, int]] = []

    def __getitem__(self, second: int) -> tuple[int, int]:
        return self._seconds[second]

    def __len__(self) -> int:
        return len(self._seconds)

    def heard(self, books: Recorder, elapsed: float) -> None:
        """Add the iterations of a worker's news, which came after so many seconds."""
        ended = failed = 0
        for (kind, _), row in books.rows.items():
            if kind == "endpoint":
                ended += row.succeeded + row.failed
                failed += row.failed
        self.add(ended, failed, elapsed - _MIDDLE)

    def add(self, ended: int, failed: int, instant: float) -> None:
        """Add what ended at about an instant."""
        second = min(_MOST - 1, max(0, int(instant)))
        self._seconds += [(0, 0)] * (second + 1 - len(self._seconds))
        before = self._seconds[second]
        self._seconds[second] = before[0] + ended, before[1] + failed

    def share(self, begin: int = 0, end: int | None = None) -> float | None:
        """The share that failed, of these seconds; None: nothing ended in them."""
        return _share(self._seconds[begin:end])


def _share(seconds: Sequence[tuple[int, int]]) -> float | None:
    ended = sum(each for each, _ in seconds)
    return sum(failed for _, failed in seconds) / ended if ended else None
