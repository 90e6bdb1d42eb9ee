"""Mocks in blocks: they are as in one stage, and what they are asked there is work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from stressrun.metrics.mock_calls import MockCalls
from stressrun.scenario.load import Document
from stressrun.scenario.nodes import Plain

_OF_STAGES = ("respond", "latency", "fail")


def as_in(services: Plain, stage: str, blocks: Sequence[str]) -> Plain:
    """The services of a document with what mocks do in a stage done in each of the blocks."""
    assert isinstance(services, dict)
    return {
        name: service | {"mock": list(_routes(service["mock"], stage, blocks))}
        if isinstance(service, dict) and "mock" in service
        else service
        for name, service in services.items()
    }


def calls_of(mocks: Mapping[str, MockCalls]) -> dict[str, int]:
    """The calls of mocks as work, by mock and route; those without a route where there are any."""
    found = {
        f"{mock}: calls of {name}": route.calls
        for mock, calls in mocks.items()
        for name, route in calls.routes.items()
    }
    missed = {mock: calls.unmatched.total() for mock, calls in mocks.items()}
    return found | {f"{mock}: calls without a route": n for mock, n in missed.items() if n}


def _routes(routes: Plain, stage: str, blocks: Sequence[str]) -> Iterator[Plain]:
    for route in cast(list[Document], routes):
        if not _names(route, stage, default=True):
            continue
        kept = {key: value for key, value in route.items() if key != "in"}
        for key in _OF_STAGES:
            if key not in kept or not _names_stages(kept[key]):
                continue
            if entries := list(_entries(kept[key], stage, blocks)):
                kept[key] = entries
            else:
                del kept[key]
        yield kept


def _names_stages(value: Plain) -> bool:
    return any("in" in entry for entry in _listed(value) if isinstance(entry, dict))


def _listed(value: Plain) -> list[Plain]:
    return value if isinstance(value, list) else [value]


def _entries(value: Plain, stage: str, blocks: Sequence[str]) -> Iterator[Plain]:
    """Those that name no stage, and those that name this one, for the blocks."""
    for entry in _listed(value):
        if not isinstance(entry, dict) or "in" not in entry:
            yield entry
        elif _names(entry, stage, default=False):
            yield entry | {"in": list(blocks)}


def _names(entry: Document, stage: str, *, default: bool) -> bool:
    named = entry.get("in")
    if named is None:
        return default
    return stage in (named if isinstance(named, list) else [named])
