"""The canonical scenario: what every part of stressrun but `scenario` itself sees.

Short forms, interpolation and overlays are gone here. Times are seconds, rates are per second,
shares are fractions of one, sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from stressrun.data.checks import Check
from stressrun.data.conditions import Condition
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
    """A column and what fills it.

    `type` is SQL's, given or inferred from the generator; None: that of the column referred to.
    """

    name: str
    generator: Generator
    type: str | None


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
class NamedOperation:
    """An operation of the scenario's own SQL: one statement, or a transaction of several."""

    name: str
    statements: tuple[Template, ...]
    transaction: bool


@dataclass(frozen=True, slots=True)
class WriteMix:
    """Operations in proportion to their `weights`, all above 0, on connections of their own.

    Without a `seed` it has operations of the scenario's own only. An insert or COPY writes
    `batch` rows, an update sets the `updated_columns`; `keys` is how rows are chosen: uniform,
    zipfian, latest or sequential. `protocol` is prepared, extended or simple; of `pipeline`
    operations that are sent together each is a transaction.
    """

    name: str
    seed: Seed | None
    weights: Mapping[str, float]
    named: tuple[NamedOperation, ...] = ()
    batch: int = 1
    updated_columns: tuple[str, ...] = ()
    keys: str = "uniform"
    protocol: str = "prepared"
    isolation: str | None = None
    retries: int = 3
    pipeline: int = 1


@dataclass(frozen=True, slots=True)
class CsvFile:
    """Rows of a CSV file with a header line."""

    path: str


@dataclass(frozen=True, slots=True)
class JsonLinesFile:
    """Rows of a file with one JSON object a line."""

    path: str


@dataclass(frozen=True, slots=True)
class Query:
    """Rows of a statement, asked once after seeding."""

    sql: str


@dataclass(frozen=True, slots=True)
class Feeder:
    """Rows that iterations use, one each: `order` is sequential, random or unique."""

    name: str
    source: CsvFile | JsonLinesFile | Query
    order: str


@dataclass(frozen=True, slots=True)
class JsonBody:
    json: Json


@dataclass(frozen=True, slots=True)
class FormBody:
    fields: tuple[tuple[str, Template], ...]


@dataclass(frozen=True, slots=True)
class MultipartPart:
    """A part of a multipart body; bytes are a file's content, sent as they are."""

    name: str
    content: Template | bytes
    filename: str | None
    content_type: str | None


@dataclass(frozen=True, slots=True)
class MultipartBody:
    parts: tuple[MultipartPart, ...]


@dataclass(frozen=True, slots=True)
class RawBody:
    """A text, or a file's bytes; without a `content_type` the request names none."""

    content: Template | bytes
    content_type: str | None


Body = JsonBody | FormBody | MultipartBody | RawBody


@dataclass(frozen=True, slots=True)
class BasicAuth:
    user: Template
    password: Template


@dataclass(frozen=True, slots=True)
class BearerAuth:
    token: Template


@dataclass(frozen=True, slots=True)
class ApiKeyAuth:
    """A key in a header, or in the query."""

    name: str
    value: Template
    in_query: bool


Auth = BasicAuth | BearerAuth | ApiKeyAuth


@dataclass(frozen=True, slots=True)
class FromJson:
    path: JsonPath


@dataclass(frozen=True, slots=True)
class FromHeader:
    name: str


@dataclass(frozen=True, slots=True)
class FromStatus:
    pass


@dataclass(frozen=True, slots=True)
class FromCookie:
    name: str


@dataclass(frozen=True, slots=True)
class FromRegex:
    """The first group of the first match in the body's text; without a group the whole match."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Capture:
    """A part of the answer, kept as a variable for later steps."""

    variable: str
    source: FromJson | FromHeader | FromStatus | FromCookie | FromRegex


@dataclass(frozen=True, slots=True)
class Expect:
    """What makes an answer a success: one of `statuses` (empty: below 400), `within` seconds.

    The checks are of headers by name, of values in a JSON body, of the body's text, and of its
    size in bytes.
    """

    statuses: tuple[int, ...] = ()
    within: float | None = None
    headers: tuple[tuple[str, Check], ...] = ()
    json: tuple[tuple[JsonPath, Check], ...] = ()
    body: tuple[Check, ...] = ()
    size: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; `name` is what reports call it.

    `timeout` is from the send to the end of the answer, `redirects` is how many are followed.
    """

    name: str
    method: str
    path: Template
    query: tuple[tuple[str, Template], ...] = ()
    headers: tuple[tuple[str, Template], ...] = ()
    auth: Auth | None = None
    body: Body | None = None
    captures: tuple[Capture, ...] = ()
    expect: Expect = field(default_factory=Expect)
    timeout: float = 30.0
    redirects: int = 0


@dataclass(frozen=True, slots=True)
class SqlSeeding:
    """Statements for the database, in one transaction; `file` is what they were read from."""

    sql: str
    file: str | None


@dataclass(frozen=True, slots=True)
class CommandSeeding:
    """A process that has to end well `within` so many seconds, such as migrations."""

    command: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    within: float


@dataclass(frozen=True, slots=True)
class RequestSeeding:
    """A request to the service that has to succeed."""

    request: Request


SeedingStep = Seed | SqlSeeding | CommandSeeding | RequestSeeding


@dataclass(frozen=True, slots=True)
class Think:
    shortest: float
    longest: float


@dataclass(frozen=True, slots=True)
class Group:
    """Steps that are done `repeat` times, each time only where `when` holds."""

    steps: tuple[Step, ...]
    repeat: int
    when: Condition | None


Step = Request | Think | Group


@dataclass(frozen=True, slots=True)
class Endpoint:
    name: str
    weight: float
    steps: tuple[Step, ...]

    @property
    def single(self) -> Request | None:
        """The request of an endpoint that is nothing else; its figures are the endpoint's."""
        first = self.steps[0] if len(self.steps) == 1 else None
        return first if isinstance(first, Request) else None

    @property
    def requests(self) -> tuple[Request, ...]:
        """All requests, those within groups among them, in the order of the file."""
        return tuple(_requests(self.steps))


@dataclass(frozen=True, slots=True)
class Login:
    """Steps whose captures are `${login.…}`: done once for all, or once for each virtual user.

    After `refresh` seconds, or an answer 401, they are done anew.
    """

    steps: tuple[Step, ...]
    per_vu: bool
    refresh: float | None

    @property
    def requests(self) -> tuple[Request, ...]:
        return tuple(_requests(self.steps))


@dataclass(frozen=True, slots=True)
class Tls:
    """`ca`, `certificate` and `key` are files; without a `ca` the system's are trusted."""

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    verify: bool = True


@dataclass(frozen=True, slots=True)
class Http:
    """How all requests are sent.

    `cookies` and `reuse` (of connections) last for the `vu`, the `iteration`, or are `none`.
    `resolve_after` is how long (seconds) an address is used until its name is resolved again:
    0 for each connection, infinity for never. `traced` is the share of requests whose
    `traceparent` asks for a sample; None: no trace header.
    """

    protocol: str = "http1"
    connect_timeout: float = 10.0
    cookies: str = "vu"
    reuse: str = "vu"
    resolve_after: float = inf
    unix_socket: str | None = None
    tls: Tls = field(default_factory=Tls)
    traced: float | None = 1.0


@dataclass(frozen=True, slots=True)
class Ramp:
    """A target that moves in a straight line over a stage; constant where both ends agree."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Open model: iterations (or operations) arrive at a rate, whatever the answers do.

    `spacing` is uniform or poisson. Without `catch_up`, what is overdue by more than one interval
    is dropped instead of sent late.
    """

    rate: Ramp
    max_vus: int
    spacing: str = "uniform"
    catch_up: bool = True


@dataclass(frozen=True, slots=True)
class Users:
    """Closed model: so many virtual users (or write workers), each starting when it is free."""

    count: Ramp


@dataclass(frozen=True, slots=True)
class SharedIterations:
    """So many iterations in all, done by virtual users that take the next when they are free."""

    iterations: int
    vus: int


@dataclass(frozen=True, slots=True)
class IterationsPerVu:
    """So many iterations for each virtual user."""

    iterations: int
    vus: int


Load = Arrivals | Users | SharedIterations | IterationsPerVu


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
    """`text` is the source form; `subject` is the first word of it; `stage` None: all judged.

    `value` is in the unit of the metric: seconds, a fraction, per second, bytes or a number. With
    a `window` (seconds) it must hold in every one of each stage. One that does `abort` ends the
    run as soon as it is crossed, but not in the first seconds, `after`, of a stage. `built_in`
    are those that hold without being written, and so have no `place` in the document.
    """

    text: str
    subject: str
    name: str | None
    operation: str | None
    metric: str
    operator: str
    value: float
    stage: str | None
    window: float | None = None
    abort: bool = False
    after: float = 0.0
    built_in: bool = False
    place: tuple[str | int, ...] | None = None


@dataclass(frozen=True, slots=True)
class SqlQuestion:
    """A statement that only reads, whose answer is one value."""

    sql: str


@dataclass(frozen=True, slots=True)
class RequestQuestion:
    """A request with one capture, which is the answer."""

    request: Request


@dataclass(frozen=True, slots=True)
class CountQuestion:
    """How many requests or operations of the load have succeeded since the run began.

    `kind` and `name` are those of a row of its books, `text` is the source form. An insert or COPY
    is as many as the rows that `each` of them writes.
    """

    text: str
    kind: str
    name: str
    each: int = 1


@dataclass(frozen=True, slots=True)
class Invariant:
    """What must hold after each stage, or after those of some names.

    All the checks that are `expected` hold of the question's answer; or another question has the
    same answer. It is asked again for `within` so many seconds where it does not hold. `place` is
    where it stands in the document.
    """

    name: str
    question: SqlQuestion | RequestQuestion
    expected: tuple[Check, ...] | SqlQuestion | RequestQuestion | CountQuestion
    stages: tuple[str, ...]
    within: float
    place: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class SqlTeardown:
    sql: str


@dataclass(frozen=True, slots=True)
class RequestTeardown:
    method: str
    path: str


Teardown = SqlTeardown | RequestTeardown


@dataclass(frozen=True, slots=True)
class Database:
    """The database of a scenario, and how the sessions of the load treat it.

    `min_free_connections` stay free on the server. Timeouts are in seconds: 0 is none, and with
    `statement_timeout` None the server's own holds. `sample_interval` is the monitor's; None: it
    does not run.
    """

    url: str
    min_free_connections: int = 5
    statement_timeout: float | None = None
    lock_timeout: float = 30.0
    idle_in_transaction_timeout: float = 60.0
    sample_interval: float | None = 0.1


@dataclass(frozen=True, slots=True)
class Comparing:
    """How `stressrun compare` measures base and head: blocks of a stage's load, in pairs.

    `prepare` is done in each side's folder first. A block lasts `block` seconds after `warm_up`,
    under the load of the `stage` of a name; None: that which suits best. `figure` is judged, and
    changes smaller than `min_effect` (a share) do not matter; between a run and a stored one, those
    smaller than `baseline_effect`. `pairs` None: as many as it takes. With `reset` each block finds
    the database as it was seeded.
    """

    prepare: tuple[CommandSeeding, ...] = ()
    stage: str | None = None
    block: float = 1.0
    warm_up: float = 0.25
    figure: str = "p95"
    min_effect: float = 0.05
    baseline_effect: float = 0.3
    pairs: int | None = None
    reset: bool = False


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole scenario; `services` stand in the order in which they are started.

    `seeding` is all that is done before the first stage, in its order, the tables of write mixes
    among it.
    """

    name: str
    description: str
    environment: str
    random_seed: int
    allow_hosts: tuple[str, ...]
    services: tuple[Service, ...]
    base_url: str | None
    database: Database | None
    http: Http
    workers: int
    seeding: tuple[SeedingStep, ...]
    feeders: tuple[Feeder, ...]
    login: Login | None
    endpoints: tuple[Endpoint, ...]
    writes: tuple[WriteMix, ...]
    stages: tuple[Stage, ...]
    thresholds: tuple[Threshold, ...]
    invariants: tuple[Invariant, ...]
    teardown: tuple[Teardown, ...]
    report_interval: float
    compare: Comparing

    @property
    def database_url(self) -> str | None:
        return None if self.database is None else self.database.url

    @property
    def watches_database(self) -> bool:
        return self.database is not None and self.database.sample_interval is not None


def _requests(steps: Sequence[Step]) -> Iterator[Request]:
    for step in steps:
        if isinstance(step, Request):
            yield step
        elif isinstance(step, Group):
            yield from _requests(step.steps)
