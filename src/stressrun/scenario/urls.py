"""The URLs of a scenario: `base_url`, `database`, and those of services."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from stressrun.data.references import find_references
from stressrun.scenario.nodes import Plain
from stressrun.scenario.part import Part
from stressrun.scenario.references import is_postgres

_POSTGRES = re.compile(r"postgres(ql)?://|[a-z_]+ *=")
_NOT_IN_URL = re.compile("[\x00-\x20\x7f]")
_WHOLE = re.compile(r"\$\{\s*services\.([^.}\s]+)\.url\s*\}")


def http_url(part: Part) -> str:
    """An `http(s)://` URL; references in it stand for what is known when the run starts."""
    url = part.literal()
    problem = "" if find_references(url) else _http_problem(url)
    if problem:
        part.fault(problem, "expected one such as http://127.0.0.1:8000 or https://[::1]", offset=0)
    return url


def postgres_url(part: Part) -> str:
    """A `postgresql://` URL, or `host=… dbname=…` in libpq's words.

    References in it stand for what is known when the run starts.
    """
    url = part.literal()
    if not find_references(url) and not _POSTGRES.match(url):
        part.fault(
            "not a PostgreSQL URL",
            "expected one such as postgresql://user:password@127.0.0.1:5432/database, "
            "or service=staging",
            offset=0,
        )
    return url


def base_url(part: Part, services: Mapping[str, Plain]) -> str:
    """The endpoints' URL, which a PostgreSQL service cannot give."""
    service = _service_of(part, services)
    if service is not None and is_postgres(services[service]):
        part.fault(f"{service} is a PostgreSQL server, and endpoints need an HTTP service")
    return http_url(part)


def database_url(part: Part, services: Mapping[str, Plain]) -> str:
    """The database's URL, which only a PostgreSQL service can give."""
    service = _service_of(part, services)
    if service is not None and is_postgres(services[service]) is False:
        part.fault(f"{service} is not a PostgreSQL server")
    return postgres_url(part)


def _service_of(part: Part, services: Mapping[str, Plain]) -> str | None:
    match = _WHOLE.match(part.text())
    return match[1] if match and match[1] in services else None


def _http_problem(url: str) -> str:
    if wrong := _NOT_IN_URL.search(url):
        return f"{wrong[0]!r} cannot stand in a URL"
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError as error:
        return f"not a URL: {error}"
    if split.scheme not in ("http", "https") or not split.hostname:
        return "not an http:// or https:// URL"
    if port == 0:
        return "port 0 is no port"
    if split.query or split.fragment or "@" in split.netloc:
        return "a user, a query and a fragment cannot stand in this URL"
    return ""
