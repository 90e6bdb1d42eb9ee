"""The services of a scenario in its plan."""

from __future__ import annotations

from collections.abc import Iterator

from stressrun.cli.plan.mocks import mock_lines
from stressrun.cli.plan.wording import duration
from stressrun.scenario.model import (
    CommandService,
    EmbeddedPostgres,
    ExistingPostgres,
    MockService,
    Readiness,
    RealService,
    Service,
)


def service_lines(service: Service) -> Iterator[str]:
    if isinstance(service, MockService):
        yield from mock_lines(service)
    else:
        yield _real_service(service)


def _real_service(service: RealService) -> str:
    if isinstance(service, EmbeddedPostgres):
        settings = ", ".join(f"{key}={value}" for key, value in service.settings.items())
        where = f" on port {service.port}" if service.port else ""
        what = f"embedded PostgreSQL{where}, database {service.database}, user {service.user}"
        return f"{service.name}: {what}{f' ({settings})' if settings else ''}"
    if isinstance(service, CommandService):
        return f"{service.name}: {' '.join(service.command)} ({_ready(service.ready)})"
    there = f"{service.name}: there already at {service.url}"
    return there if isinstance(service, ExistingPostgres) else f"{there} ({_ready(service.ready)})"


def _ready(ready: Readiness) -> str:
    sign = "its port accepts" if ready.get is None else f"GET {ready.get} answers 200"
    return f"ready when {sign}, within {duration(ready.within)}"
