"""Endpoints put on real servers without a scenario file or processes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import trio

from stressrun.data.expressions import parse, parse_json
from stressrun.data.jsonpath import parse_path
from stressrun.load.endpoints import EndpointRunner
from stressrun.load.pacing import Segment
from stressrun.metrics.recorder import Recorder
from stressrun.safety.guard import Guard
from stressrun.scenario.model import (
    Capture,
    Endpoint,
    FromJson,
    Http,
    JsonBody,
    Load,
    Request,
    Scenario,
    Stage,
    Step,
)
from verdict_samples import scenario as sample_scenario


def request(
    method: str = "GET",
    path: str = "/",
    *,
    json_body: object = None,
    captures: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    **others: Any,
) -> Request:
    """A request of which `others` are the model's own fields."""
    return Request(
        name=f"{method} {path}",
        method=method,
        path=parse(path),
        headers=tuple((name, parse(value)) for name, value in (headers or {}).items()),
        body=None if json_body is None else JsonBody(parse_json(json_body)),
        captures=tuple(
            Capture(name, FromJson(parse_path(where))) for name, where in (captures or {}).items()
        ),
        **others,
    )


def endpoint(*steps: Step, name: str = "e") -> Endpoint:
    return Endpoint(name, 1, steps)


def http_scenario(base_url: str, endpoints: Sequence[Endpoint], **others: Any) -> Scenario:
    """A scenario of nothing but endpoints; `others` are the model's own fields."""
    return replace(
        sample_scenario(),
        base_url=base_url,
        endpoints=tuple(endpoints),
        writes=(),
        stages=(),
        thresholds=(),
        **others,
    )


async def run_endpoints(
    base_url: str,
    *endpoints: Endpoint,
    load: Load,
    duration: float = 0.2,
    grace: float = 5.0,
    stages: int = 1,
    http: Http | None = None,
    rows: Mapping[str, Any] | None = None,
    **others: Any,
) -> Recorder:
    """The books of all stages together, which balance."""
    scenario = http_scenario(base_url, endpoints, http=http or Http(), **others)
    recorder = Recorder()
    runner = EndpointRunner(scenario, Segment(0, 1), recorder, run_id="run-1", rows=rows or {})
    try:
        await runner.prepare(Guard(()))
        for number in range(stages):
            stage = Stage(f"s{number}", duration, False, grace, load, None)
            with trio.move_on_after(duration + grace):
                await runner.run(stage, number, time.monotonic_ns())
    finally:
        await runner.close()
    for (kind, name), row in recorder.rows.items():
        assert row.planned == (
            row.succeeded + row.failed + row.dropped + row.interrupted + row.unknown
        ), f"the books of {kind} {name} do not balance"
    return recorder
