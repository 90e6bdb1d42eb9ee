"""One stage's work for the virtual users of a worker."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stressrun.load.executors import Executor
from stressrun.load.virtual_user import EndpointProgram

# How long (seconds) a user waits that could send nothing, because no connection can be made or no
# row is left: a crowd of such users would do nothing but fail as fast as the machine can.
REST = 0.1


@dataclass(frozen=True, slots=True)
class Assignment:
    """Iteration k of a stage does endpoint `table[k % len(table)]`.

    Its data is that of index `offset` + k, so that no two stages repeat each other.
    """

    executor: Executor
    endpoints: Sequence[EndpointProgram]
    table: Sequence[int]
    offset: int
    max_vus: int

    def endpoint(self, number: int) -> EndpointProgram:
        return self.endpoints[self.table[number % len(self.table)]]

    def drop(self, numbers: Iterable[int]) -> None:
        """Count iterations that were due and never started."""
        for number in numbers:
            row = self.endpoint(number).row
            row.planned += 1
            row.dropped += 1
