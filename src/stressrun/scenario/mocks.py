"""The `mock:` of a service: routes, their conditions, and what they answer."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

from stressrun.data.expressions import Json, Template
from stressrun.data.suggest import did_you_mean
from stressrun.scenario.answers import build_checks, build_header_checks, build_json_checks
from stressrun.scenario.auth import header_template
from stressrun.scenario.figures import quantile_of
from stressrun.scenario.model import (
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
from stressrun.scenario.model.mocks import FaultKind
from stressrun.scenario.part import Part
from stressrun.scenario.requests import METHODS
from stressrun.scenario.scope import Scope, Sources, Tell
from stressrun.scenario.wording import one_of, there_are
from stressrun.units import parse_duration, parse_rate, parse_share

SEGMENT = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""What stands for any one segment of a path."""

_OF_REQUEST = ("path", "query", "header", "body")
_FRAMING = ("content-length", "transfer-encoding", "connection")
_CALLS = re.compile(r"([0-9]+(?:_[0-9]+)*) calls?")
_KINDS: tuple[FaultKind, ...] = ("status", "reset", "close", "hang", "truncate", "slow_body")
_MANY = 1 + 1e-9

T = TypeVar("T", MockLatency, MockFailure)


class RequestScope(Scope):
    """What a mock's answer can use: generators, and what stands in the request."""

    def __init__(self, segments: Collection[str]) -> None:
        super().__init__(Sources({}))
        self._segments = segments

    def check(self, variables: Iterable[tuple[str, int]], tell: Tell) -> None:
        """Tell of those that are not in a request."""
        for name, offset in variables:
            source, dot, rest = name.partition(".")
            if source not in _OF_REQUEST or not dot:
                known = (*_OF_REQUEST, "uuid", "now", "run", "services")
                hint = did_you_mean(source, known) or (
                    "write ${path.NAME}, ${query.NAME}, ${header.NAME} or ${body.NAME}"
                )
                tell(f"{name!r} is nothing that a request has", hint, offset)
            elif source == "path" and rest not in self._segments:
                hint = did_you_mean(rest, self._segments) or (
                    there_are("segments of the path", self._segments)
                )
                tell(f"the path has no segment {rest!r}", hint, offset + len("path."))


def build_mock(name: str, part: Part, stages: Collection[str]) -> MockService:
    """A mock from its service's part; `stages` are the names of those that its entries can name."""
    port = part.get("port")
    seen: Counter[str] = Counter()
    routes = []
    for route in part.items("mock"):
        on = " ".join(route["on"].text().split())
        seen[on] += 1
        called = on if seen[on] == 1 else f"{on} ({seen[on]})"
        routes.append(_route(route, called, on, stages))
    return MockService(name, tuple(routes), None if port is None else int(port.number()))


def _route(part: Part, name: str, on: str, stages: Collection[str]) -> MockRoute:
    method, _, path = on.partition(" ")
    scope = RequestScope(_segments(part["on"], method, path))
    body, limit = part.get("body"), part.get("limit")
    return MockRoute(
        name,
        on,
        method,
        path,
        answers=_answers(part, scope, stages),
        headers=build_header_checks(part, scope),
        json=build_json_checks(part, scope),
        body=() if body is None else build_checks(body, scope),
        latencies=_latencies(part, stages),
        failures=_failures(part, scope, stages),
        limit=None if limit is None else _limit(limit),
        stages=_stages(part, stages),
    )


def _segments(part: Part, method: str, path: str) -> tuple[str, ...]:
    """The names in a route's path."""
    if method not in METHODS:
        hint = did_you_mean(method, METHODS) or f"write {one_of(METHODS)}"
        part.fault(f"no method {method!r}", hint, offset=0)
    names = []
    for segment in path.split("/"):
        found = SEGMENT.fullmatch(segment)
        if found is not None:
            names.append(found[1])
        elif wrong := re.search(r"[{}?#]|\s", segment):
            hint = "a query is in no path: ${query.NAME} gives what stands in it"
            if wrong[0] in "{}":
                hint = "a whole segment has a name, such as /charges/{id}"
            part.fault(
                f"{wrong[0]!r} cannot stand here in the path of a route",
                hint,
                offset=max(0, part.text().find(wrong[0])),
            )
    for name, count in Counter(names).items():
        if count > 1:
            part.fault(f"two segments are named {name!r}", "give each its own name")
    return tuple(names)


def _answers(part: Part, scope: Scope, stages: Collection[str]) -> tuple[MockAnswer, ...]:
    respond = part.get("respond")
    if respond is None:
        return (MockAnswer(200),)
    return tuple(_answer(each, scope, 200, _when(each, stages)) for each in _each(part, "respond"))


def _answer(part: Part, scope: Scope, default: int, when: When) -> MockAnswer:
    status = part.integer("status", default)
    headers = []
    for name, value in part.entries("headers"):
        if name.lower() in _FRAMING:
            value.fault(f"the header {name} follows from the answer", "leave it out")
        headers.append((name, header_template(value, scope)))
    return MockAnswer(status, tuple(headers), _body(part, scope, status), when)


def _body(part: Part, scope: Scope, status: int) -> Json | Template | None:
    given = [key for key in ("json", "body") if key in part]
    for key in given[1:]:
        part[key].fault("'body' cannot stand beside 'json'", "leave one of them out", at_key=True)
    for key in given:
        if status in (204, 304):
            part[key].fault(f"an answer {status} has no body", "leave it out", at_key=True)
    source = part.get(given[0]) if given else None
    if source is None:
        return None
    return scope.json(source) if given[0] == "json" else scope.template(source)


def _latencies(part: Part, stages: Collection[str]) -> tuple[MockLatency, ...]:
    latency = part.get("latency")
    if latency is None:
        return ()
    if not isinstance(latency.value, list):
        return (MockLatency(_delay(latency)),)
    parts = list(part.items("latency"))
    found = [MockLatency(_delay(each["is"]), _share(each), _when(each, stages)) for each in parts]
    _check_shares(latency, parts, found)
    return tuple(found)


def _delay(part: Part) -> Delay:
    if isinstance(part.value, dict):
        return _percentiles(part)
    delay = part.parsed(_between, Between(0.0, 0.0))
    if delay.longest < delay.shortest:
        part.fault("the shortest latency comes first", "such as 1s..2s")
    return delay


def _between(text: str) -> Between:
    shortest, dots, longest = text.partition("..")
    first = parse_duration(shortest)
    return Between(first, parse_duration(longest) if dots else first)


def _percentiles(part: Part) -> Percentiles:
    assert isinstance(part.value, dict)
    most, points = None, []
    names: dict[float, str] = {}
    for name in part.value:
        if (value := part.get(name)) is None:
            continue
        seconds = value.parsed(parse_duration, 1.0)
        if name == "max":
            most = seconds
            continue
        quantile = quantile_of(name) or 0.0
        same = names.setdefault(quantile, name)
        if quantile == 0:
            value.fault(f"{name} is below all times", "such as p01", at_key=True)
        elif same != name:
            value.fault(f"{name} is the same percentile as {same}", "leave one out", at_key=True)
        elif seconds == 0:
            value.fault("a percentile of 0 leaves nothing to draw", "such as 1ms")
        else:
            points.append((quantile, seconds))
    points.sort()
    for (_, lower), (_, higher) in pairwise(points):
        if higher < lower:
            part.fault("a higher percentile is shorter than a lower one", "put them in order")
            break
    if not points and part.sound:
        part.fault("no percentile to draw from", "such as {p50: 20ms, p99: 120ms}")
        points = [(0.5, 1.0)]
    return Percentiles(tuple(points), most)


def _failures(part: Part, scope: Scope, stages: Collection[str]) -> tuple[MockFailure, ...]:
    fail = part.get("fail")
    if fail is None:
        return ()
    parts = list(_each(part, "fail"))
    found = [_failure(each, scope, stages) for each in parts]
    _check_shares(fail, parts, found)
    return tuple(found)


def _failure(part: Part, scope: Scope, stages: Collection[str]) -> MockFailure:
    kind = next(kind for kind in _KINDS if kind in part)
    when = _when(part, stages)
    answer = _answer(part, scope, 500, when) if kind == "status" else None
    seconds = part.duration("slow_body", 0.0, positive=True)
    return MockFailure(kind, _share(part), answer, seconds, when)


def _share(part: Part) -> float:
    share = part.get("share")
    if share is None:
        return 1.0
    found = share.parsed(parse_share, 1.0)
    if found > 1:
        share.fault("a share is at most 100%")
    return found


def _check_shares(whole: Part, parts: Sequence[Part], found: Sequence[T]) -> None:
    """No more than all calls can be shared out, wherever entries apply together."""
    totals: defaultdict[tuple[str | None, int], float] = defaultdict(float)
    for entry in found:
        for stage in entry.when.stages or (None,):
            totals[stage, entry.when.after] += entry.share
    for (stage, _), total in totals.items():
        if total > _MANY:
            where = "" if stage is None else f" in {stage}"
            hint = "give each its share, such as share: 90%"
            (whole if len(parts) != 1 else parts[0]).fault(
                f"the shares add up to {total * 100:g} %{where}", hint
            )


def _limit(part: Part) -> MockLimit:
    rate = (part["rate"] if isinstance(part.value, dict) else part).parsed(parse_rate, 1.0)
    if rate == 0:
        part.fault("a limit of 0 answers nothing", "fail: {status: 429} does that")
    return MockLimit(rate, part.integer("burst", max(1, round(rate))))


def _when(part: Part, stages: Collection[str]) -> When:
    after = part.get("after")
    return When(_stages(part, stages), 0 if after is None else after.parsed(_calls, 0))


def _calls(text: str) -> int:
    match = _CALLS.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no number of calls such as 3 calls")
    return int(match[1])


def _stages(part: Part, stages: Collection[str]) -> tuple[str, ...]:
    """The stages that an entry names by `in:`, one or a list."""
    named = part.get("in")
    if named is None:
        return ()
    names = [named] if isinstance(named.value, str) else list(part.items("in"))
    for name in names:
        if name.text() not in stages:
            hint = did_you_mean(name.text(), stages) or there_are("stages", stages)
            name.fault(f"no stage {name.text()!r}", hint)
    return tuple(name.text() for name in names)


def _each(part: Part, key: str) -> Iterator[Part]:
    """The items under a key, or what stands there alone."""
    if isinstance(part[key].value, list):
        yield from part.items(key)
    else:
        yield part[key]
