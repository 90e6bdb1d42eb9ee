"""What requests made, in the ledger with the requests that remove it.

Before the first of them is sent the ledger says that they are going to make something. A seeding
request adds what it made as soon as it is answered; under load the workers tell it with their
news, every 250 ms. What was made by a request whose answer nobody saw is counted: it can be told,
and not be removed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from ipaddress import ip_address
from typing import Any

from stressrun.data.expressions import parse
from stressrun.http.origin import origin_of
from stressrun.http.request import compile_request, parse_request
from stressrun.http.trace import Trace
from stressrun.load.undoing import NOT_KNOWN, maker, makers, unproven
from stressrun.metrics.recorder import Recorder
from stressrun.safety.ledger import Ledger
from stressrun.scenario.auth import auth_templates
from stressrun.scenario.model import CommandService, Request, RequestSeeding, Scenario

KIND = "made"
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


def doubts(scenario: Scenario) -> list[str]:
    """Which undo requests will not prove who asks, though those that they undo do, in words."""
    seeding = [step.request for step in scenario.seeding if isinstance(step, RequestSeeding)]
    lines = (
        f"{request.undo.method} {request.undo.path.source} has of the auth and the headers of "
        f"{maker(request)} only what is always the same and in a header: where the service asks "
        "for more, what is made stays"
        for request in (*seeding, *makers(scenario).values())
        if request.undo is not None and unproven(request)
    )
    return list(dict.fromkeys(lines))


@dataclass(frozen=True, slots=True)
class _Maker:
    """Requests whose undo is sent alike: what they are called, and their constant headers."""

    by: str
    headers: tuple[tuple[str, str], ...]


class Resources:
    """Keeps the ledger of what the requests of one run make."""

    def __init__(self, ledger: Ledger, run_id: str, place: Mapping[str, Any]) -> None:
        self._ledger = ledger
        self._run_id = run_id
        self._place = place
        self._makers: dict[str, _Maker] = {}
        self._intents: dict[_Maker, int] = {}
        self._unknown: defaultdict[_Maker, int] = defaultdict(int)

    def intend(self, scenario: Scenario) -> None:
        """Write down which requests of its endpoints are going to make something."""
        for site, request in makers(scenario).items():
            found = self._makers[site] = _Maker(maker(request), _constant_headers(request))
            if found in self._intents:
                self._ledger.amend(self._intents[found], under_way=True)
            else:
                self._intents[found] = self._record(found, [], under_way=True)

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
        """Write down what was made: at which site, and the request that removes it."""
        told: defaultdict[_Maker, list[str]] = defaultdict(list)
        for site, undo in news:
            told[self._makers[site]].append(undo)
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

    def _record(self, maker: _Maker, undos: list[str], **more: object) -> int:
        return self._ledger.record(
            self._run_id,
            KIND,
            **self._place,
            by=maker.by,
            headers=dict(maker.headers),
            undo=undos,
            **more,
        )


def _constant_headers(request: Request) -> tuple[tuple[str, str], ...]:
    """What of a request's headers, its auth among them, is the same always."""
    auth = request.auth
    if auth is not None and not all(template.constant for template in auth_templates(auth)):
        auth = None
    headers = tuple(header for header in request.headers if header[1].constant)
    plain = replace(request, path=parse("/"), query=(), headers=headers, auth=auth, body=None)
    trace = Trace("", None)
    render = compile_request(plain, authority="", base_path="", seed=0, site="", trace=trace)
    _, _, found, _ = parse_request(render(0, {}))
    return tuple((name, value) for name, value in found if name.lower() not in _OF_ONE_REQUEST)


def _service_at(base_url: str, scenario: Scenario, values: Mapping[str, str]) -> str | None:
    """The service that the run itself starts at an address."""
    if not base_url:
        return None
    # It listens here, whatever the URL calls this machine, with TLS or without.
    origin = origin_of(base_url)
    for service in scenario.services if _is_here(origin.host) else ():
        port = values[f"services.{service.name}.port"]
        if isinstance(service, CommandService) and str(origin.port) == port:
            return service.name
    return None


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
