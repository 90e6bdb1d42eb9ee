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
# So many in all are done by pools and the server themselves, in one minute more than in another.
_BACKGROUND = 25


@dataclass(frozen=True, slots=True)
class Work:
    """What a side did in so many iterations: the CPU seconds of its services, and counts, by name.

    Without a database, and where it could not be asked, there are no counts.
    """

    iterations: int
    cpu: Mapping[str, float]
    counts: Mapping[str, float]

    def __add__(self, other: Work) -> Work:
        return Work(
            self.iterations + other.iterations,
            _sums(self.cpu, other.cpu),
            _sums(self.counts, other.counts),
        )


NO_WORK = Work(0, {}, {})


@dataclass(frozen=True, slots=True)
class WorkChange:
    """A count for each iteration, of base and of head; `seconds`: it is CPU time, which varies.

    It has `changed` where head does more or less than base, beyond what varies by itself.
    """

    name: str
    base: float
    head: float
    seconds: bool = False
    changed: bool = False


def work_changes(base: Work, head: Work) -> list[WorkChange]:
    """Every figure that either of them has, for each iteration."""
    fewest = max(1, min(base.iterations, head.iterations))
    found = []
    for seconds, old, new in ((False, base.counts, head.counts), (True, base.cpu, head.cpu)):
        for name in dict.fromkeys((*old, *new)):
            before = old.get(name, 0) / max(1, base.iterations)
            after = new.get(name, 0) / max(1, head.iterations)
            changed = not seconds and _differ(before, after, fewest)
            told = f"CPU of {name}" if seconds else name
            found.append(WorkChange(told, before, after, seconds, changed))
    return found


def format_work(count: float) -> str:
    """Three digits that count, and all of a larger number: `0.337`, `1,350`."""
    return f"{count:,.0f}" if count >= 999.5 else f"{count:.3g}"


def _differ(before: float, after: float, iterations: int) -> bool:
    varying = max(_LEAST_CHANGE * max(before, after), _LEAST_COUNT, _BACKGROUND / iterations)
    return abs(after - before) > varying


def counted(statistics: Statistics) -> dict[str, float]:
    """What a server has counted between two readings, by name."""
    return dict(_counted(statistics))


def _sums(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in dict.fromkeys((*one, *other))}


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
