"""A stage cut into slices: what is compared, as a pair, with the same slice of another run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stressrun.metrics.block import Block
from stressrun.metrics.recorder import Recorder, RowKey
from stressrun.scenario.model import Arrivals, Stage, Users
from stressrun.verdict.figures import blocks_of

MOST = 8
SHORTEST = 2.0

# Workers tell every 250 ms: news is of the time before it, half of that on average.
_AGE = 0.125


def slices_of(stage: Stage) -> int:
    """Into how many slices of equal length a stage is cut; none where it is not judged.

    A load that ends when its iterations are done is one: parts of it are not the same work in runs
    of different speed.
    """
    if stage.warmup:
        return 0
    loads = (stage.endpoints, stage.writes)
    if not all(load is None or isinstance(load, Arrivals | Users) for load in loads):
        return 1
    return max(1, min(MOST, int(stage.duration / SHORTEST)))


class Slices:
    """Gathers a stage's news; the books of a slice become figures when it is over.

    `done` are the slices so far, each with its endpoints and operations.
    """

    def __init__(self, stage: Stage, figures: Sequence[str]) -> None:
        self.done: list[Mapping[RowKey, Block]] = []
        self._count = slices_of(stage)
        self._length = stage.duration / self._count if self._count else 0.0
        self._figures = figures
        self._books = Recorder()

    def heard(self, books: Recorder, elapsed: float) -> None:
        """Add a worker's news at so many seconds of the stage."""
        if not self._count:
            return
        number = min(int(max(0.0, elapsed - _AGE) / self._length), self._count - 1)
        while len(self.done) < number:
            self._close()
        self._books.merge(books)

    def finish(self) -> None:
        """The stage has ended: what was gathered last is a slice."""
        if len(self.done) < self._count:
            self._close()

    def _close(self) -> None:
        self.done.append(blocks_of(self._books, self._figures))
        self._books = Recorder()
