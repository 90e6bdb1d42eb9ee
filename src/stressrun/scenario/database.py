"""The `database:` of a scenario."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stressrun.scenario.model import Database
from stressrun.scenario.nodes import Plain
from stressrun.scenario.part import Part
from stressrun.scenario.references import is_postgres
from stressrun.scenario.urls import database_url
from stressrun.units import parse_duration

_TIMEOUTS = ("statement_timeout", "lock_timeout", "idle_in_transaction_timeout")
# PostgreSQL keeps a timeout in whole milliseconds, of 31 bits.
_SHORTEST, _LONGEST = 0.001, 24 * 86400.0
# Of the monitor's samples: finer ones would be load, coarser ones would say nothing.
_OFTENEST, _RAREST = 0.01, 10.0


def build_database(
    root: Part, services: Mapping[str, Plain], needing: Part | None
) -> Database | None:
    """The database, by default the only PostgreSQL service; a part `needing` one has to have it."""
    if "database" not in root:
        url = _only_server(needing, services)
        return None if url is None else Database(url)
    part = root.get("database")
    if part is None:
        return None
    given = part if isinstance(part.value, str) else part.get("url")
    url = _only_server(part, services) if given is None else database_url(given, services)
    return None if url is None else Database(url, **_settings(part))


def _only_server(needing: Part | None, services: Mapping[str, Plain]) -> str | None:
    servers = [name for name, service in services.items() if is_postgres(service)]
    if len(servers) == 1:
        return f"${{services.{servers[0]}.url}}"
    if needing is None:
        return None
    hint = "such as database: postgresql://127.0.0.1/app"
    if servers:
        hint = f"say which: database: ${{services.{servers[0]}.url}}"
    needing.fault("this needs a database", hint, at_key=True)
    return None


def _settings(part: Part) -> dict[str, Any]:
    settings: dict[str, Any] = {
        key: timeout.parsed(_seconds, 1.0)
        for key in _TIMEOUTS
        if (timeout := part.get(key)) is not None
    }
    monitor = part.get("monitor")
    if monitor is not None and "every" in monitor:
        settings["sample_interval"] = monitor["every"].parsed(_sampling, 1.0)
    elif monitor is not None and not monitor.flag():
        settings["sample_interval"] = None
    sentinel = part.get("require_sentinel")
    if sentinel is not None:
        settings["require_sentinel"] = sentinel.flag()
    free = part.get("min_free_connections")
    if free is not None:
        settings["min_free_connections"] = int(free.number())
    return settings


def _sampling(text: str) -> float:
    seconds = parse_duration(text)
    if not _OFTENEST <= seconds <= _RAREST:
        raise ValueError("expected a duration from 10ms to 10s")
    return seconds


def _seconds(text: str) -> float:
    seconds = parse_duration(text)
    if seconds and not _SHORTEST <= seconds <= _LONGEST:
        raise ValueError("expected 0s for no timeout, or one from 1ms to 576h")
    return seconds
