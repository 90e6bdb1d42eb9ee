"""What is done before the first stage and after the last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stressrun.scenario.model.database import Seed
from stressrun.scenario.model.requests import Request


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
class SqlTeardown:
    sql: str


@dataclass(frozen=True, slots=True)
class RequestTeardown:
    """A request that removes; `gone` is a path at which nothing is found then."""

    method: str
    path: str
    gone: str | None = None


@dataclass(frozen=True, slots=True)
class OwnedRows:
    """Rows that the service wrote: their `column` holds the run's id."""

    table: str
    column: str


Teardown = SqlTeardown | RequestTeardown | OwnedRows
