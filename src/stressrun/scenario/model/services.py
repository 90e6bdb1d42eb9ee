"""The services of a scenario: databases, commands and what is there already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stressrun.scenario.model.mocks import MockService


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


RealService = EmbeddedPostgres | ExistingPostgres | CommandService | ExistingService
Service = RealService | MockService
