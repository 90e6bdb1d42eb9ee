"""What a stage did: the books of all its workers, and what the generator did itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from stressrun.metrics.recorder import Recorder, Row
from stressrun.postgres.findings import Findings
from stressrun.scenario.model import Scenario, Stage


@dataclass(slots=True)
class Generator:
    """The workers' own figures over a stage; times in seconds."""

    workers: int = 0
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    longest_stall: float = 0.0
    longest_gc_pause: float = 0.0

    def add(self, reading: dict[str, float]) -> None:
        """Add what a worker told of the time since it last told."""
        self.cpu_seconds += reading["cpu_seconds"]
        self.wall_seconds += reading["wall_seconds"]
        self.longest_stall = max(self.longest_stall, reading["longest_stall"])
        self.longest_gc_pause = max(self.longest_gc_pause, reading["longest_gc_pause"])

    @property
    def cpu_share(self) -> float:
        """The share of a core that a worker used, averaged over the workers."""
        return self.cpu_seconds / self.wall_seconds if self.wall_seconds else 0.0


@dataclass(frozen=True, slots=True)
class PoolReading:
    """How the connections of the write mixes were used at an instant.

    The load has `most` of them, fewer are `allowed` while the server has few left; `active` are at
    work, and were in this stage up to `most_active` at once; `waiting` are operations that are due
    and have none. `server_free` is None where the server does not say. `lost`: none is left, and
    the server took no new one when it was last asked.
    """

    most: int
    allowed: int
    open: int
    active: int
    most_active: int
    waiting: int
    server_free: int | None
    lost: bool


@dataclass(slots=True)
class Pool:
    """How the connections of the write mixes were used over a stage.

    For `lost_seconds` the server took none.
    """

    last: PoolReading | None = None
    most_active: int = 0
    most_waiting: int = 0
    least_allowed: int | None = None
    least_server_free: int | None = None
    lost_seconds: float = 0.0

    def add(self, reading: PoolReading, seconds: float) -> None:
        """Add a reading, of so many seconds after the one before it."""
        self.last = reading
        self.most_active = max(self.most_active, reading.most_active)
        self.lost_seconds += seconds if reading.lost else 0.0
        self.most_waiting = max(self.most_waiting, reading.waiting)
        self.least_allowed = _least(self.least_allowed, reading.allowed)
        self.least_server_free = _least(self.least_server_free, reading.server_free)


def _least(one: int | None, other: int | None) -> int | None:
    return min((number for number in (one, other) if number is not None), default=None)


@dataclass(slots=True)
class StageResult:
    """A stage as it ran. `elapsed` is from its start to its end or stop, without the grace.

    `database` is what the monitor of the database found; None: there was none.
    """

    stage: Stage
    number: int
    elapsed: float = 0.0
    interrupted: bool = False
    books: Recorder = field(default_factory=Recorder)
    generator: Generator = field(default_factory=Generator)
    pool: Pool = field(default_factory=Pool)
    most_vus: int = 0
    database: Findings | None = None

    def requests(self, scenario: Scenario) -> Iterator[Row]:
        """Rows that count each request of `http` once: an endpoint's own, or those of its steps."""
        single = {endpoint.name for endpoint in scenario.endpoints if endpoint.single is not None}
        for (kind, name), row in self.books.rows.items():
            if kind == "step" or (kind == "endpoint" and name in single):
                yield row
