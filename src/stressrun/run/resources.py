"""What requests made, in the ledger with the requests that remove it.

Before the first of them is sent the ledger says that they are going to make something. A seeding
request adds what it made as soon as it is answered; under load the workers tell it with their
news, every 250 ms. What was made by a request whose answer nobody saw is counted: it can be told,
and not be removed.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

import trio

from stressrun.data.expressions import parse
from stressrun.errors import StressrunError
from stressrun.http.client import fetch
from stressrun.http.request import compile_request, parse_request
from stressrun.http.trace import Trace
from stressrun.load.undoing import NOT_KNOWN, maker
from stressrun.metrics.excerpt import on_one_line
from stressrun.metrics.recorder import Recorder
from stressrun.safety.guard import Guard
from stressrun.safety.ledger import Entry, Ledger
from stressrun.scenario.auth import auth_templates
from stressrun.scenario.model import CommandService, Http, Request, Scenario, Tls

KIND = "made"
_AT_ONCE = 8
_SHOWN = 80
_GONE = (404, 410)
_OF_ONE_REQUEST = ("host", "content-type", "content-length", "accept-encoding", "x-stressrun-run")


def reached(scenario: Scenario, values: Mapping[str, str]) -> dict[str, Any]:
    """How an entry's requests are sent, as a part of its detail.

    `values` are those of the scenario's references.
    """
    base_url = (scenario.base_url or "").rstrip("/")
    return {
        "url": base_url,
        "service": _service_at(base_url, scenario, values),
        "tls": asdict(scenario.http.tls),
        "unix_socket": scenario.http.unix_socket,
    }


class Resources:
    """Keeps the ledger of what the requests of one run make."""

    def __init__(self, ledger: Ledger, run_id: str, place: Mapping[str, Any]) -> None:
        self._ledger = ledger
        self._run_id = run_id
        self._place = place
        self._intents: dict[str, int] = {}
        self._headers: dict[str, dict[str, str]] = {}
        self._unknown: defaultdict[str, int] = defaultdict(int)

    def intend(self, scenario: Scenario) -> None:
        """Write down which requests of its endpoints are going to make something."""
        for request in chain.from_iterable(each.requests for each in scenario.endpoints):
            by = maker(request)
            if request.undo is None:
                continue
            if by in self._intents:
                self._ledger.amend(self._intents[by], under_way=True)
            else:
                self._headers[by] = _constant_headers(request)
                self._intents[by] = self._record(by, [], under_way=True)

    @contextmanager
    def of(self, scenario: Scenario) -> Iterator[Recorder]:
        """A recorder for single iterations: what they make is written down, however they end.

        Nothing else makes anything meanwhile.
        """
        self.intend(scenario)
        recorder = Recorder()
        try:
            yield recorder
        finally:
            self.made(recorder.made)
            self.finish()

    def made(self, news: Iterable[tuple[str, str]]) -> None:
        """Write down what was made: by what, and the request that removes it."""
        told: defaultdict[str, list[str]] = defaultdict(list)
        for by, undo in news:
            told[by].append(undo)
        for by, undos in told.items():
            known = [undo for undo in undos if undo != NOT_KNOWN]
            if known:
                self._record(by, known)
            if len(known) < len(undos):
                self._unknown[by] += len(undos) - len(known)
                self._ledger.amend(self._intents[by], unknown=self._unknown[by])

    def finish(self) -> None:
        """Write down that nothing more is made, and all has been told."""
        for entry in self._intents.values():
            self._ledger.amend(entry, under_way=False)

    def _record(self, by: str, undos: list[str], **more: object) -> int:
        return self._ledger.record(
            self._run_id,
            KIND,
            **self._place,
            by=by,
            headers=self._headers[by],
            undo=undos,
            **more,
        )


async def undo(entry: Entry, ledger: Ledger, guard: Guard, timeout: float) -> tuple[str, str]:
    """Send the requests that remove what an entry says was made.

    What was removed, and what was not and why, in words; empty where there is nothing to say.
    """
    left: dict[str, str] = {}
    silent = ""
    limit = trio.CapacityLimiter(_AT_ONCE)

    async def remove(request: str) -> None:
        nonlocal silent
        async with limit:
            # A service that did not answer once is not waited for again and again.
            if not silent:
                try:
                    status = await _answer(entry, request, guard, timeout)
                    left[request] = "" if status in _GONE else _problem(status)
                except StressrunError as error:
                    silent = error.message
            if silent:
                left.setdefault(request, silent)

    async with trio.open_nursery() as nursery:
        for request in entry.detail["undo"]:
            nursery.start_soon(remove, request)
    left = {request: problem for request, problem in left.items() if problem}
    count, by = len(entry.detail["undo"]), entry.detail["by"]
    if left:
        ledger.amend(entry.id, undo=list(left))
        first, problem = next(iter(left.items()))
        return "", f"{len(left)} of {count} made by {by} are left: {first}: {problem}"
    if entry.detail.get("under_way"):
        return "", "what they made last nobody was told: look for it, then add --forget"
    return (f"{count} made by {by}: removed" if count else ""), ""


def unknown(entry: Entry) -> str:
    """What an entry says may have been made besides, by requests whose answer nobody saw."""
    count = entry.detail.get("unknown", 0)
    return (
        f"{count} × {entry.detail['by']} without an answer may have made what is left now"
        if count
        else ""
    )


async def purge(entry: Entry, guard: Guard, timeout: float) -> tuple[str, str]:
    """Send the one request of an entry, and ask whether anything is left where it says how.

    As `undo`. Raises RefusedError, NoAnswerError and SetupError as `fetch` does.
    """
    method, url = entry.detail["method"], entry.detail["url"]
    status, _ = await _ask(entry, method, url, guard, timeout)
    gone = entry.detail.get("gone")
    if gone is None or _problem(status):
        return "", _problem(status)
    status, left = await _ask(entry, "GET", gone, guard, timeout)
    if status in (204, *_GONE) or (not _problem(status) and _is_nothing(left)):
        return f"{method} {url}: done, and GET {gone} finds nothing", ""
    found = _problem(status) or f"finds {on_one_line(left.decode(errors='replace'), _SHOWN)}"
    return "", f"done, but GET {gone} {found}"


def _is_nothing(content: bytes) -> bool:
    """Whether JSON is empty or 0, or is an object of one such value."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return False
    if isinstance(value, dict) and len(value) == 1:
        (value,) = value.values()
    return value in ([], {}, "", 0, None) and value is not False


async def _answer(entry: Entry, request: str, guard: Guard, timeout: float) -> int:
    """The status that `METHOD /path` is answered with."""
    method, _, path = request.partition(" ")
    status, _ = await _ask(entry, method, f"{entry.detail['url']}{path}", guard, timeout)
    return status


async def _ask(
    entry: Entry, method: str, url: str, guard: Guard, timeout: float
) -> tuple[int, bytes]:
    """Status and body of the answer to a request that is sent as the entry says."""
    answer = await fetch(
        method,
        url,
        guard=guard,
        timeout=timeout,
        http=_http(entry),
        headers=entry.detail.get("headers"),
    )
    return answer.status_code, answer.content


def _problem(status: int) -> str:
    return "" if status < 400 else f"answered with status {status}"


def _constant_headers(request: Request) -> dict[str, str]:
    """What of a request's headers, its auth among them, is the same always."""
    auth = request.auth
    if auth is not None and not all(template.constant for template in auth_templates(auth)):
        auth = None
    headers = tuple(header for header in request.headers if header[1].constant)
    plain = replace(request, path=parse("/"), query=(), headers=headers, auth=auth, body=None)
    trace = Trace("", None)
    render = compile_request(plain, authority="", base_path="", seed=0, site="", trace=trace)
    _, _, found, _ = parse_request(render(0, {}))
    return {name: value for name, value in found if name.lower() not in _OF_ONE_REQUEST}


def _http(entry: Entry) -> Http:
    """How a request is sent, as `reached` noted it; of an older version there is nothing."""
    detail = entry.detail
    return Http(tls=Tls(**detail.get("tls", {})), unix_socket=detail.get("unix_socket"))


def _service_at(base_url: str, scenario: Scenario, values: Mapping[str, str]) -> str | None:
    """The service that the run itself starts at an address."""
    for service in scenario.services:
        port = values[f"services.{service.name}.port"]
        if isinstance(service, CommandService) and str(urlsplit(base_url).port) == port:
            return service.name
    return None
