"""Scenarios and results put together by hand, for what judges and shows them."""

from __future__ import annotations

from stressrun.data.expressions import parse
from stressrun.load.stage import StageResult
from stressrun.metrics.recorder import Row
from stressrun.scenario.identity import Identity
from stressrun.scenario.model import (
    Arrivals,
    Comparing,
    Endpoint,
    Http,
    Ramp,
    Request,
    Scenario,
    Seed,
    Stage,
    Table,
    Threshold,
    WriteMix,
)
from stressrun.scenario.threshold import Names, parse_threshold
from stressrun.verdict.origin import Machine, Origin, Versions

ORIGIN = Origin(
    Machine("0123456789abcdef", "Some CPU", 2, 8_000_000_000, "Linux 6.1 x86_64"),
    Versions("0.1.0", "3.11.2", "18.4"),
    Identity("sample", "0" * 16, {"endpoints": "1" * 16, "stages": "2" * 16}),
)
LOAD = Arrivals(Ramp(10, 10), 100)
MS = 1_000_000


def request(name: str) -> Request:
    return Request(name, "GET", parse("/"))


STAGES = (
    Stage("warm-up", 10, True, 5, LOAD, LOAD),
    Stage("ramp", 10, False, 5, LOAD, None),
    Stage("peak", 10, False, 5, LOAD, LOAD),
)
ENDPOINTS = (
    Endpoint("browse", 1, (request("browse"),)),
    Endpoint("checkout", 1, (request("POST /carts"), request("POST /pay"))),
)
MIX = WriteMix("audit", Seed(Table("t", "id", (), ()), 0), {"insert": 1, "update": 1})


def threshold(text: str) -> Threshold:
    names = Names(
        ["browse", "checkout"], {"audit": tuple(MIX.weights)}, [stage.name for stage in STAGES]
    )
    return parse_threshold(text, names)


def scenario(*thresholds: str) -> Scenario:
    return Scenario(
        name="sample",
        description="",
        environment="development",
        random_seed=1,
        allow_hosts=(),
        services=(),
        base_url="http://127.0.0.1",
        database=None,
        http=Http(),
        workers=1,
        seeding=(),
        feeders=(),
        login=None,
        endpoints=ENDPOINTS,
        writes=(MIX,),
        stages=STAGES,
        thresholds=tuple(threshold(text) for text in thresholds),
        invariants=(),
        teardown=(),
        report_interval=5.0,
        compare=Comparing(),
    )


def fill(row: Row, count: int, milliseconds: int, failed: int = 0) -> None:
    """So many successes and failures, all of the same time."""
    row.planned += count + failed
    for _ in range(count):
        row.succeed(milliseconds * MS, milliseconds * MS, 100, 200)
    for _ in range(failed):
        row.fail("status 503", milliseconds * MS, milliseconds * MS, 100, 50)


def results() -> list[StageResult]:
    """Warm-up slow and failing, ramp at 10 ms, peak at 50 ms with one failure in a hundred."""
    found = [StageResult(stage, number, elapsed=10.0) for number, stage in enumerate(STAGES)]
    warm_up, ramp, peak = (result.books for result in found)
    fill(warm_up.row("endpoint", "browse"), 10, 900, failed=90)
    fill(ramp.row("endpoint", "browse"), 100, 10)
    fill(peak.row("endpoint", "browse"), 99, 50, failed=1)
    fill(peak.row("endpoint", "checkout"), 20, 500)
    fill(peak.row("step", "checkout: POST /carts"), 20, 100)
    fill(peak.row("step", "checkout: POST /pay"), 20, 400)
    fill(peak.row("operation", "audit.insert"), 40, 5)
    fill(peak.row("operation", "audit.update"), 40, 7)
    return found
