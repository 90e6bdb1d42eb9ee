"""Mocks in the blocks of a comparison: as they are in the stage that is compared."""

from __future__ import annotations

from collections import Counter

import pytest

from stressrun.compare.mocked import as_in, calls_of
from stressrun.metrics.mock_calls import MockCalls, RouteCalls
from stressrun.scenario.nodes import Plain

BLOCKS = ["warm-up-0", "block-0"]


def compared(route: dict[str, Plain]) -> Plain:
    services = as_in({"m": {"mock": [route], "port": 9}, "api": {"command": "a"}}, "peak", BLOCKS)
    assert isinstance(services, dict)
    assert services["api"] == {"command": "a"}
    mock = services["m"]
    assert isinstance(mock, dict)
    assert mock["port"] == 9
    return mock["mock"]


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ({"on": "GET /"}, [{"on": "GET /"}]),
        ({"on": "GET /", "in": "peak"}, [{"on": "GET /"}]),
        ({"on": "GET /", "in": ["calm", "peak"]}, [{"on": "GET /"}]),
        ({"on": "GET /", "in": "calm"}, []),
        (
            {"on": "GET /", "latency": "5ms", "fail": {"close": True, "share": "1%"}},
            [{"on": "GET /", "latency": "5ms", "fail": {"close": True, "share": "1%"}}],
        ),
        ({"on": "GET /", "latency": {"p50": "1s"}}, [{"on": "GET /", "latency": {"p50": "1s"}}]),
        ({"on": "GET /", "fail": {"reset": True, "in": "calm"}}, [{"on": "GET /"}]),
        (
            {"on": "GET /", "fail": {"reset": True, "in": "peak"}},
            [{"on": "GET /", "fail": [{"reset": True, "in": BLOCKS}]}],
        ),
        (
            {"on": "GET /", "respond": [{"status": 200}, {"status": 500, "in": ["calm"]}]},
            [{"on": "GET /", "respond": [{"status": 200}]}],
        ),
    ],
)
def test_what_it_does_in_the_stage_it_does_in_every_block(
    route: dict[str, Plain], expected: Plain
) -> None:
    assert compared(route) == expected


def test_calls_are_work_those_without_a_route_too() -> None:
    asked = MockCalls({"GET /": RouteCalls(calls=3)}, Counter({"GET /a": 2, "POST /b": 1}))
    mocks = {"m": asked, "n": MockCalls({"GET /": RouteCalls()})}
    assert calls_of(mocks) == {
        "m: calls of GET /": 3,
        "m: calls without a route": 3,
        "n: calls of GET /": 0,
    }
