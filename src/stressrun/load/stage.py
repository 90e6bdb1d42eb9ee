"""What a stage did: the books of all its workers, and what the generator did itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from stressrun.metrics.block import Block
from stressrun.metrics.histogram import Histogram
from stressrun.metrics.mock_calls import MockCalls
from stressrun.metrics.outcomes import Outcomes
from stressrun.metrics.recorder import Recorder, Row, RowKey
from stressrun.metrics.scraped import Scraped
from stressrun.metrics.usage import MachineUse
from stressrun.postgres.findings import Findings
from stressrun.scenario.model import Scenario, Stage


@dataclass(frozen=True, slots=True)
class WorkerReading:
    """What a worker did since it last told; times in seconds.

    It ran for `cpu_seconds`, and for `waiting_seconds` could have run but had no core (None: the
    system does not say). It may run on so many `cores`, have so many `descriptors` open, and
    connect from so many `ports` (None: the system does not say).
    """

    cpu_seconds: float
    wall_seconds: float
    waiting_seconds: float | None
    longest_stall: float
    longest_gc_pause: float
    cores: int
    descriptors: int
    ports: int | None


@dataclass(slots=True)
class WorkerUse:
    """What a worker did over a stage; times in seconds, `loop_lag` in nanoseconds."""

    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    waiting_seconds: float | None = None
    longest_stall: float = 0.0
    longest_gc_pause: float = 0.0
    loop_lag: Histogram = field(default_factory=Histogram)

    def merge(self, other: WorkerUse) -> None:
        """Add what the worker did besides."""
        self.cpu_seconds += other.cpu_seconds
        self.wall_seconds += other.wall_seconds
        if other.waiting_seconds is not None:
            self.waiting_seconds = (self.waiting_seconds or 0.0) + other.waiting_seconds
        self.longest_stall = max(self.longest_stall, other.longest_stall)
        self.longest_gc_pause = max(self.longest_gc_pause, other.longest_gc_pause)
        self.loop_lag.merge(other.loop_lag)

    @property
    def cpu_share(self) -> float:
        """The share of a core that it used."""
        return self.cpu_seconds / self.wall_seconds if self.wall_seconds else 0.0

    @property
    def waiting_share(self) -> float | None:
        """The share of its time in which it waited for a core; None: nobody counts it."""
        if self.waiting_seconds is None or not self.wall_seconds:
            return None
        return self.waiting_seconds / self.wall_seconds


@dataclass(slots=True)
class Generator:
    """The workers' own figures over a stage, by their names; `last` is the last that one told."""

    uses: dict[str, WorkerUse] = field(default_factory=dict)
    last: WorkerReading | None = None

    def add(self, worker: str, reading: WorkerReading, loop_lag: Histogram) -> None:
        """Add what a worker told of the time since it last told."""
        news = WorkerUse(
            cpu_seconds=reading.cpu_seconds,
            wall_seconds=reading.wall_seconds,
            waiting_seconds=reading.waiting_seconds,
            longest_stall=reading.longest_stall,
            longest_gc_pause=reading.longest_gc_pause,
            loop_lag=loop_lag,
        )
        self.uses.setdefault(worker, WorkerUse()).merge(news)
        self.last = reading

    def of(self, load: str | None) -> list[WorkerUse]:
        """The workers of a kind of load, endpoints or writes; None: all."""
        return [use for name, use in self.uses.items() if load in (None, name.partition("-")[0])]

    def merge(self, other: Generator) -> None:
        """Add what the workers did in another stage."""
        for name, use in other.uses.items():
            self.uses.setdefault(name, WorkerUse()).merge(use)
        self.last = other.last or self.last

    @property
    def workers(self) -> int:
        return len(self.uses)

    @property
    def cpu_seconds(self) -> float:
        return sum(use.cpu_seconds for use in self.uses.values())

    @property
    def cpu_share(self) -> float:
        """The share of a core that the busiest worker used."""
        return max((use.cpu_share for use in self.uses.values()), default=0.0)

    @property
    def waiting_seconds(self) -> float | None:
        """How long the worker that waited most for a core did so; None: the system did not say."""
        told = [use.waiting_seconds for use in self.uses.values()]
        return max((seconds for seconds in told if seconds is not None), default=None)

    @property
    def longest_stall(self) -> float:
        return max((use.longest_stall for use in self.uses.values()), default=0.0)

    @property
    def longest_gc_pause(self) -> float:
        return max((use.longest_gc_pause for use in self.uses.values()), default=0.0)


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

    `database` is what the monitor of the database found, `machine` that of the processes and the
    host; None: there was none. `metrics` are those of Prometheus. `slices` are its endpoints and
    operations in parts of equal length, if it is judged. `mocks` are the calls of each mock by its
    name, and `outcomes` those of its iterations second by second.
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
    machine: MachineUse | None = None
    metrics: tuple[Scraped, ...] = ()
    slices: list[Mapping[RowKey, Block]] = field(default_factory=list)
    mocks: dict[str, MockCalls] = field(default_factory=dict)
    outcomes: Outcomes = field(default_factory=Outcomes)

    def requests(self, scenario: Scenario) -> Iterator[Row]:
        """Rows that count each request of `http` once: an endpoint's own, or those of its steps."""
        single = {endpoint.name for endpoint in scenario.endpoints if endpoint.single is not None}
        for (kind, name), row in self.books.rows.items():
            if kind == "step" or (kind == "endpoint" and name in single):
                yield row
