"""The canonical scenario: what every part of stressrun but `scenario` itself sees.

Short forms, interpolation and overlays are gone here. Times are seconds, rates are per second,
shares are fractions of one, sizes are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from stressrun.scenario.model.database import (
    Column,
    Database,
    Index,
    NamedOperation,
    Seed,
    Table,
    WriteMix,
)
from stressrun.scenario.model.judging import (
    Comparing,
    CountQuestion,
    Invariant,
    RequestQuestion,
    SqlQuestion,
    Threshold,
)
from stressrun.scenario.model.mocks import (
    Between,
    Delay,
    MockAnswer,
    MockFailure,
    MockLatency,
    MockLimit,
    MockRoute,
    MockService,
    Percentiles,
    When,
)
from stressrun.scenario.model.monitoring import (
    Exporter,
    Monitoring,
    NamedProcess,
    PrometheusServer,
)
from stressrun.scenario.model.preparing import (
    CommandSeeding,
    OwnedRows,
    RequestSeeding,
    RequestTeardown,
    SeedingStep,
    SqlSeeding,
    SqlTeardown,
    Teardown,
)
from stressrun.scenario.model.requests import (
    ApiKeyAuth,
    Auth,
    BasicAuth,
    BearerAuth,
    Body,
    Capture,
    CsvFile,
    Endpoint,
    Expect,
    Feeder,
    FormBody,
    FromCookie,
    FromHeader,
    FromJson,
    FromRegex,
    FromStatus,
    Group,
    Http,
    JsonBody,
    JsonLinesFile,
    Login,
    MultipartBody,
    MultipartPart,
    Query,
    RawBody,
    Request,
    Step,
    Think,
    Tls,
    Undo,
)
from stressrun.scenario.model.safety import Budget
from stressrun.scenario.model.services import (
    CommandService,
    EmbeddedPostgres,
    ExistingPostgres,
    ExistingService,
    Readiness,
    RealService,
    Service,
)
from stressrun.scenario.model.stages import (
    Arrivals,
    IterationsPerVu,
    Load,
    Ramp,
    SharedIterations,
    Stage,
    Users,
)

__all__ = [
    "ApiKeyAuth",
    "Arrivals",
    "Auth",
    "BasicAuth",
    "BearerAuth",
    "Between",
    "Body",
    "Budget",
    "Capture",
    "Column",
    "CommandSeeding",
    "CommandService",
    "Comparing",
    "CountQuestion",
    "CsvFile",
    "Database",
    "Delay",
    "EmbeddedPostgres",
    "Endpoint",
    "ExistingPostgres",
    "ExistingService",
    "Expect",
    "Exporter",
    "Feeder",
    "FormBody",
    "FromCookie",
    "FromHeader",
    "FromJson",
    "FromRegex",
    "FromStatus",
    "Group",
    "Http",
    "Index",
    "Invariant",
    "IterationsPerVu",
    "JsonBody",
    "JsonLinesFile",
    "Load",
    "Login",
    "MockAnswer",
    "MockFailure",
    "MockLatency",
    "MockLimit",
    "MockRoute",
    "MockService",
    "Monitoring",
    "MultipartBody",
    "MultipartPart",
    "NamedOperation",
    "NamedProcess",
    "OwnedRows",
    "Percentiles",
    "PrometheusServer",
    "Query",
    "Ramp",
    "RawBody",
    "Readiness",
    "RealService",
    "Request",
    "RequestQuestion",
    "RequestSeeding",
    "RequestTeardown",
    "Scenario",
    "Seed",
    "SeedingStep",
    "Service",
    "SharedIterations",
    "SqlQuestion",
    "SqlSeeding",
    "SqlTeardown",
    "Stage",
    "Step",
    "Table",
    "Teardown",
    "Think",
    "Threshold",
    "Tls",
    "Undo",
    "Users",
    "When",
    "WriteMix",
]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole scenario; `services` stand in the order in which they are started.

    `seeding` is all that is done before the first stage, in its order, the tables of write mixes
    among it. Without `monitoring` neither processes nor the host are looked at.
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
    monitoring: Monitoring | None = None
    budget: Budget = field(default_factory=Budget)

    @property
    def mocks(self) -> tuple[MockService, ...]:
        return tuple(service for service in self.services if isinstance(service, MockService))

    @property
    def database_url(self) -> str | None:
        return None if self.database is None else self.database.url

    @property
    def watches_database(self) -> bool:
        return self.database is not None and self.database.sample_interval is not None
