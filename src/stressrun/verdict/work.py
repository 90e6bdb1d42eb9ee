"""The work that a service has done for a request: what the server and the processes have counted.

Base and head answer the same requests, so that these figures hardly vary, on any machine: a query
more is seen here before it can be seen in the times.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from stressrun.postgres.statistics import Statistics

# Less than this is no news: a page more or less, a vacuum, the statistics' own rounding.
_LEAST_CHANGE = 0.05
_LEAST_COUNT = 0.02


@dataclass(frozen=True, slots=True)
class Work:
    """What a side did in all its blocks; `cpu` is of its services by name, in seconds.

    `statistics` None: no database, or one that could not be asked.
    """

    requests: int
    cpu: Mapping[str, float]
    statistics: Statistics | None


@dataclass(frozen=True, slots=True)
class WorkChange:
    """A count for each request, of base and of head; `seconds`: it is CPU time, which varies."""

    name: str
    base: float
    head: float
    seconds: bool = False

    @property
    def changed(self) -> bool:
        """Whether head does more or less than base, beyond what varies by itself."""
        difference = abs(self.head - self.base)
        most = max(self.base, self.head)
        return not self.seconds and difference > max(_LEAST_CHANGE * most, _LEAST_COUNT)


def work_changes(base: Work, head: Work) -> list[WorkChange]:
    """Every figure that either of them has, for each request."""
    found = []
    for seconds, old, new in (
        (False, _counts(base.statistics), _counts(head.statistics)),
        (True, _cpu(base), _cpu(head)),
    ):
        found += [
            WorkChange(
                name,
                old.get(name, 0) / max(1, base.requests),
                new.get(name, 0) / max(1, head.requests),
                seconds,
            )
            for name in dict.fromkeys((*old, *new))
        ]
    return found


def _cpu(work: Work) -> dict[str, float]:
    return {f"CPU of {name}": seconds for name, seconds in work.cpu.items()}


def _counts(statistics: Statistics | None) -> dict[str, float]:
    return {} if statistics is None else dict(_counted(statistics))


def _counted(statistics: Statistics) -> Iterator[tuple[str, float]]:
    yield "transactions", statistics.commits + statistics.rollbacks
    for table in statistics.tables:
        counts = {
            "sequential scans": table.sequential_scans,
            "rows read in sequential scans": table.sequential_rows,
            "index scans": table.index_scans,
            "rows inserted": table.inserted,
            "rows updated": table.updated,
            "rows deleted": table.deleted,
        }
        yield from ((f"{table.name}: {what}", n) for what, n in counts.items() if n)
    yield "blocks", statistics.blocks_hit + statistics.blocks_read
    # Not its bytes: whole pages are in them, as often as checkpoints happen to come.
    if statistics.wal.records:
        yield "records of WAL", statistics.wal.records
    if statistics.temp_files:
        yield "temporary files", statistics.temp_files
