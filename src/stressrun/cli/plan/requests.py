"""Requests in a plan: endpoints, their steps, what they are fed with, and how they are sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stressrun.cli.plan.wording import duration, percent
from stressrun.load.undoing import unproven
from stressrun.scenario.load import Loaded
from stressrun.scenario.model import (
    ApiKeyAuth,
    BasicAuth,
    BearerAuth,
    CsvFile,
    Endpoint,
    Feeder,
    FormBody,
    Group,
    Http,
    JsonLinesFile,
    Login,
    MultipartBody,
    Query,
    RawBody,
    Request,
    Step,
    Think,
)
from stressrun.scenario.nodes import Faults
from stressrun.scenario.part import Part


@dataclass(frozen=True, slots=True)
class Common:
    """What requests have that say nothing else."""

    timeout: float = 30.0
    redirects: int = 0


_BY_DEFAULT = Common()


def common_of(loaded: Loaded) -> Common:
    http = Part(loaded.document, (), Faults()).section("http")
    return Common(
        http.duration("timeout", _BY_DEFAULT.timeout),
        http.integer("redirects", _BY_DEFAULT.redirects),
    )


def common_lines(common: Common) -> Iterator[str]:
    if common.timeout != _BY_DEFAULT.timeout:
        yield f"timeout: {duration(common.timeout)}"
    if common.redirects:
        yield f"redirects: up to {common.redirects}"


def endpoint_lines(endpoints: Sequence[Endpoint], common: Common) -> Iterator[str]:
    total = sum(endpoint.weight for endpoint in endpoints)
    for endpoint in endpoints:
        yield f"{endpoint.name}: {percent(endpoint.weight / total)} of iterations"
        yield from (f"  {line}" for line in step_lines(endpoint.steps, common))


def step_lines(steps: Sequence[Step], common: Common) -> Iterator[str]:
    for step in steps:
        match step:
            case Think():
                yield f"think {_span(step)}"
            case Request():
                yield request_line(step, common)
            case Group():
                yield _group(step)
                yield from (f"  {line}" for line in step_lines(step.steps, common))


def _group(group: Group) -> str:
    parts = [f"{group.repeat:,} times"] if group.repeat > 1 else []
    if group.when is not None:
        parts.append(f"where {group.when.source}")
    return f"{', '.join(parts) or 'together'}:"


def request_line(request: Request, common: Common) -> str:
    """A request's method and path, and what is not common about it."""
    parts = [f"{request.method} {request.path.source}"]
    if request.query:
        parts.append(f"query {', '.join(dict(request.query))}")
    match request.body:
        case FormBody(fields):
            parts.append(f"form {', '.join(dict(fields))}")
        case MultipartBody(multipart):
            parts.append(f"multipart {', '.join(part.name for part in multipart)}")
        case RawBody(content):
            size = f"{len(content):,} bytes" if isinstance(content, bytes) else "a text"
            parts.append(f"body {size}")
    if request.auth is not None:
        parts.append(f"{_AUTHS[type(request.auth)]} auth")
    if request.undo is not None:
        undo = f"undone by {request.undo.method} {request.undo.path.source}"
        parts.append(f"{undo} with constant headers alone" if unproven(request) else undo)
    if request.timeout != common.timeout:
        parts.append(f"timeout {duration(request.timeout)}")
    if request.redirects != common.redirects:
        most = f"up to {request.redirects}" if request.redirects else "no"
        parts.append(f"{most} redirects")
    return ", ".join(parts)


_AUTHS = {BasicAuth: "basic", BearerAuth: "bearer", ApiKeyAuth: "API key"}


def feeder_line(feeder: Feeder) -> str:
    match feeder.source:
        case CsvFile(path) | JsonLinesFile(path):
            return f"{feeder.name}: {path}, {feeder.order}"
        case Query(sql):
            return f"{feeder.name}: {' '.join(sql.split())}, {feeder.order}"


def login_line(login: Login) -> str:
    whose = "for each virtual user" if login.per_vu else "for the whole run"
    again = f", anew after {duration(login.refresh)}" if login.refresh is not None else ""
    return f"login, {whose}{again}"


def http_lines(http: Http) -> Iterator[str]:
    """What is not as it is by default."""
    defaults = Http()
    if http.protocol != defaults.protocol:
        yield "protocol: HTTP/2"
    if http.connect_timeout != defaults.connect_timeout:
        yield f"connect timeout: {duration(http.connect_timeout)}"
    for name in ("cookies", "reuse"):
        if getattr(http, name) != getattr(defaults, name):
            yield f"{name}: {getattr(http, name)}"
    if http.resolve_after != defaults.resolve_after:
        after = f"after {duration(http.resolve_after)}" if http.resolve_after else "each connection"
        yield f"resolve: {after}"
    if http.unix_socket is not None:
        yield f"Unix socket: {http.unix_socket}"
    for name in ("ca", "certificate", "key"):
        if (path := getattr(http.tls, name)) is not None:
            yield f"TLS {name}: {path}"
    if not http.tls.verify:
        yield "TLS: the server's certificate is NOT verified"
    if http.traced != defaults.traced:
        share = "no traceparent header" if http.traced is None else percent(http.traced)
        yield f"trace: {share}{'' if http.traced is None else ' sampled'}"


def _span(think: Think) -> str:
    shortest, longest = duration(think.shortest), duration(think.longest)
    return shortest if shortest == longest else f"{shortest} to {longest}"
