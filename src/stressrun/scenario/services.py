"""The `services:` of a scenario."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from urllib.parse import quote

from stressrun.scenario.mocks import build_mock
from stressrun.scenario.model import (
    CommandService,
    EmbeddedPostgres,
    ExistingPostgres,
    ExistingService,
    Readiness,
    Service,
)
from stressrun.scenario.part import Part
from stressrun.scenario.urls import http_url, postgres_url

_COMMAND_WITHIN = 20.0
_EXISTING_WITHIN = 5.0

_HOST = re.compile(r"[A-Za-z0-9._:-]+|\$\{[^{}]+\}")


def build_service(name: str, part: Part, stages: Collection[str]) -> Service:
    """One service from its part of the document; `stages` are the names of all stages."""
    if "postgres" in part:
        return _postgres(name, part)
    if "mock" in part:
        return build_mock(name, part, stages)
    if "command" in part:
        port = part.get("port")
        cwd = part.get("cwd")
        return CommandService(
            name,
            command_words(part["command"]),
            texts(part, "env"),
            "." if cwd is None else cwd.literal(),
            None if port is None else int(port.number()),
            _readiness(part, _COMMAND_WITHIN),
        )
    return ExistingService(name, http_url(part["url"]), _readiness(part, _EXISTING_WITHIN))


def _postgres(name: str, part: Part) -> EmbeddedPostgres | ExistingPostgres:
    server = part["postgres"]
    if isinstance(server.value, str):
        embedded = server.value == "embedded"
    else:
        embedded = server["host"].value == "embedded"
    if not embedded:
        url = postgres_url(server) if isinstance(server.value, str) else _url_of_parts(server)
        return ExistingPostgres(name, url)
    port = server.get("port")
    return EmbeddedPostgres(
        name,
        _literal(server, "user", "postgres"),
        _literal(server, "password", "") or None,
        _literal(server, "database", "postgres"),
        None if port is None else int(port.number()),
        texts(part, "settings"),
    )


def _url_of_parts(server: Part) -> str:
    user = quote(_literal(server, "user", "postgres"), safe="")
    password = _literal(server, "password", "")
    login = f"{user}:{quote(password, safe='')}" if password else user
    host = _literal(server, "host", "")
    if host.startswith("/"):
        host = quote(host, safe="")  # the folder of a Unix socket
    elif not _HOST.fullmatch(host):
        server["host"].fault(f"{host!r} is no host", "such as db.test, 127.0.0.1 or ::1")
        host = ""
    elif ":" in host:
        host = f"[{host}]"
    port = server.get("port")
    number = 5432 if port is None else int(port.number())
    database = quote(_literal(server, "database", "postgres"), safe="")
    return f"postgresql://{login}@{host}:{number}/{database}"


def command_words(part: Part) -> tuple[str, ...]:
    """The words of a command: of a list as they are, of a text as a shell would split it."""
    if isinstance(part.value, list):
        return tuple(
            Part(word, (*part.place, index), part.faults).literal()
            for index, word in enumerate(part.value)
        )
    nothing: tuple[str, ...] = ()
    words = part.parsed(_words, nothing)
    part.literal()
    return tuple(word.replace("$${", "${") for word in words)


def _words(command: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise ValueError(f"not shell words: {str(error).lower()}") from None
    if not words:
        raise ValueError("expected a command, not an empty one")
    return words


def _readiness(part: Part, within: float) -> Readiness:
    ready = part.get("ready")
    if ready is None:
        return Readiness(None, within)
    get = ready.get("get")
    return Readiness(None if get is None else get.literal(), ready.duration("within", within))


def texts(part: Part, key: str) -> Mapping[str, str]:
    """Names and values under a key, these as texts in which nothing is evaluated."""
    return {
        name: entry.literal() if isinstance(entry.value, str) else str(entry.value)
        for name, entry in part.entries(key)
    }


def _literal(part: Part, key: str, default: str) -> str:
    found = part.get(key)
    return default if found is None else found.literal()
