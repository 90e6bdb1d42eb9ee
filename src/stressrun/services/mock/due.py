"""The answers of a mock that are to be sent later, by when."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from stressrun.services.mock.connection import Answer

NEVER = 1 << 62
"""An instant in nanoseconds that does not come."""

_FEW = 1_000


class Due:
    """A heap of answers, the next one first; of those at one instant that which was added first.

    Those whose connection is closed are dropped now and then: there are never many more of them
    than there once were of the others.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Answer]] = []
        self._numbered = 0
        self._most = _FEW
        self.next_instant = NEVER

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, answer: Answer) -> None:
        """Keep an answer until it is taken."""
        self._numbered += 1
        heappush(self._heap, (answer.due, self._numbered, answer))
        if len(self._heap) > self._most:
            self._drop_closed()
        self._look()

    def take(self) -> Answer:
        """The next one, which is in it no more. Raises IndexError where there is none."""
        answer = heappop(self._heap)[2]
        self._look()
        return answer

    def _look(self) -> None:
        self.next_instant = self._heap[0][0] if self._heap else NEVER

    def _drop_closed(self) -> None:
        self._heap = [entry for entry in self._heap if not entry[2].connection.closed]
        heapify(self._heap)
        self._most = 2 * len(self._heap) + _FEW
