"""The canonical scenario: what every part of stressrun but `scenario` itself sees.

Short forms, interpolation and overlays are gone here. Times are seconds, rates are per second,
shares are fractions of one, sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stressrun.data.expressions import Json, Template
from stressrun.data.generators import Generator
from stressrun.data.jsonpath import JsonPath


@dataclass(frozen=True, slots=True)
class Readiness:
    """When a service is ready: an HTTP path that answers 200, or a port that accepts."""

    get: str | None
    within: float


@dataclass(frozen=True, slots=True)
class EmbeddedPostgres:
    """A server that the run starts from binaries and throws away."""

    name: str
    user: str
    password: str | None
    database: str
    port: int | None
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ExistingPostgres:
    """A server that is there already; the run never stops it."""

    name: str
    url: str


@dataclass(frozen=True, slots=True)
class CommandService:
    """A process that the run starts and ends with all its descendants."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    port: int | None
    ready: Readiness


@dataclass(frozen=True, slots=True)
class ExistingService:
    """An HTTP service that is there already."""

    name: str
    url: str
    ready: Readiness


Service = EmbeddedPostgres | ExistingPostgres | CommandService | ExistingService


@dataclass(frozen=True, slots=True)
class Column:
    """A column and what fills it; `type` is SQL's, given or inferred from the generator."""

    name: str
    generator: Generator
    type: str


@dataclass(frozen=True, slots=True)
class Index:
    columns: tuple[str, ...]
    unique: bool


@dataclass(frozen=True, slots=True)
class Table:
    """A table that is filled, and how to create it where it does not exist."""

    name: str
    key: str
    columns: tuple[Column, ...]
    indexes: tuple[Index, ...]


@dataclass(frozen=True, slots=True)
class Seed:
    """Rows that are there before the first stage."""

    table: Table
    rows: int


@dataclass(frozen=True, slots=True)
class WriteMix:
    """Operations on one table in proportion to their weights, on connections of their own."""

    name: str
    seed: Seed
    insert: float
    update: float
    select: float
    batch: int
    updated_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Think:
    shortest: float
    longest: float


@dataclass(frozen=True, slots=True)
class Expect:
    """What makes an answer a success: one of `statuses` (empty: below 400), `within` seconds."""

    statuses: tuple[int, ...]
    within: float | None


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; `name` is what reports call it."""

    name: str
    method: str
    path: Template
    headers: tuple[tuple[str, Template], ...]
    json: Json | None
    captures: tuple[tuple[str, JsonPath], ...]
    expect: Expect


Step = Request | Think


@dataclass(frozen=True, slots=True)
class Endpoint:
    name: str
    weight: float
    steps: tuple[Step, ...]

    @property
    def requests(self) -> tuple[Request, ...]:
        return tuple(step for step in self.steps if isinstance(step, Request))


@dataclass(frozen=True, slots=True)
class Ramp:
    """A target that moves in a straight line over a stage; constant where both ends agree."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Open model: iterations (or operations) arrive at a rate, whatever the answers do."""

    rate: Ramp
    max_vus: int


@dataclass(frozen=True, slots=True)
class Users:
    """Closed model: so many virtual users (or write workers), each starting when it is free."""

    count: Ramp


Load = Arrivals | Users


@dataclass(frozen=True, slots=True)
class Stage:
    name: str
    duration: float
    warmup: bool
    graceful_stop: float
    endpoints: Load | None
    writes: Load | None


@dataclass(frozen=True, slots=True)
class Threshold:
    """`text` is the source form; `subject` is http, endpoint or write; `stage` None: all judged.

    `value` is in seconds for times, a fraction for errors, per second for rates.
    """

    text: str
    subject: str
    name: str | None
    operation: str | None
    metric: str
    operator: str
    value: float
    stage: str | None


@dataclass(frozen=True, slots=True)
class SqlTeardown:
    sql: str


@dataclass(frozen=True, slots=True)
class RequestTeardown:
    method: str
    path: str


Teardown = SqlTeardown | RequestTeardown


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole scenario; `services` stand in the order in which they are started."""

    name: str
    description: str
    environment: str
    random_seed: int
    allow_hosts: tuple[str, ...]
    services: tuple[Service, ...]
    base_url: str | None
    database_url: str | None
    request_timeout: float
    workers: int
    seeding: tuple[Seed, ...]
    endpoints: tuple[Endpoint, ...]
    writes: tuple[WriteMix, ...]
    stages: tuple[Stage, ...]
    thresholds: tuple[Threshold, ...]
    teardown: tuple[Teardown, ...]
    report_interval: float
