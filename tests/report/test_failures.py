from dataclasses import replace

import pytest

from stressrun.load.stage import StageResult
from stressrun.metrics.recorder import Row, Sample
from stressrun.report.failures import failure_lines
from stressrun.scenario.model import Endpoint, Group
from verdict_samples import MS, STAGES, scenario

SCENARIO = scenario()


def result() -> StageResult:
    return StageResult(STAGES[2], 2, elapsed=10.0)


def fail(row: Row, error: str, count: int = 1, detail: str = "", answer: str = "") -> None:
    """So many failures of a kind, each kept as a sample as long as it is wanted."""
    for _ in range(count):
        row.planned += 1
        row.fail(error, MS, MS, 10, 10)
        if row.wants_sample(error):
            row.keep(Sample(error, detail, "GET /", answer))


def test_a_stage_without_failures_has_no_lines() -> None:
    stage = result()
    row = stage.books.row("endpoint", "browse")
    row.planned += 1
    row.succeed(MS, MS, 10, 10)
    assert failure_lines(stage, SCENARIO) == []


def test_kinds_stand_by_their_frequency_with_what_the_first_was() -> None:
    stage = result()
    row = stage.books.row("endpoint", "browse")
    fail(row, "timeout")
    fail(row, "expect: $.total", 1200, detail="it is 3")
    fail(row, "status 503", 2, answer='503 Busy\ndate: today\n\n{"detail":\n "sold out"}')
    assert failure_lines(stage, SCENARIO) == [
        "browse: 1,200 × expect: $.total",
        "  first: it is 3",
        "browse: 2 × status 503",
        '  first: {"detail": "sold out"}',
        "browse: 1 × timeout",
    ]


@pytest.mark.parametrize(
    ("detail", "answer", "shown"),
    [
        ("reset", "", None),
        ("", "500 Internal Server Error\ndate: today", None),
        ("it is " + "x" * 200, "", "it is " + "x" * 93 + "…"),
        ("the chunk\nis bad", "200 OK\n\nbody", "the chunk is bad"),
    ],
)
def test_what_the_first_was_is_a_short_line_that_says_more_than_its_kind(
    detail: str, answer: str, shown: str | None
) -> None:
    stage = result()
    fail(stage.books.row("endpoint", "browse"), "reset", detail=detail, answer=answer)
    expected = [] if shown is None else [f"  first: {shown}"]
    assert failure_lines(stage, SCENARIO) == ["browse: 1 × reset", *expected]


def test_of_many_kinds_the_rarest_are_only_counted() -> None:
    stage = result()
    row = stage.books.row("endpoint", "browse")
    for status in range(500, 508):
        fail(row, f"status {status}", count=600 - status)
    lines = failure_lines(stage, SCENARIO)
    assert lines[0] == "browse: 100 × status 500"
    assert lines[-2:] == ["browse: 96 × status 504", "browse: 282 × 3 more kinds"]


def test_a_step_s_failures_are_told_once_and_others_at_the_endpoint() -> None:
    stage = result()
    endpoint = stage.books.row("endpoint", "checkout")
    fail(endpoint, "status 503", 2)
    fail(endpoint, "login: status 401", 3)
    fail(stage.books.row("step", "checkout: POST /pay"), "status 503", 2)
    fail(stage.books.row("login", "login: POST /login"), "status 401", 3)
    endpoint.planned += 1
    endpoint.interrupted += 1
    assert failure_lines(stage, SCENARIO) == [
        "checkout: 3 × login: status 401",
        "checkout: 1 × interrupted",
        "checkout: POST /pay: 2 × status 503",
        "login: POST /login: 3 × status 401",
    ]


def test_an_endpoint_of_one_request_in_a_group_has_a_step_of_its_own() -> None:
    browse, checkout = SCENARIO.endpoints
    grouped = Endpoint("browse", 1, (Group(browse.steps, 3, None),))
    stage = result()
    fail(stage.books.row("endpoint", "browse"), "slow")
    fail(stage.books.row("step", "browse: browse"), "slow")
    lines = failure_lines(stage, replace(SCENARIO, endpoints=(grouped, checkout)))
    assert lines == ["browse: browse: 1 × slow"]


def test_what_never_ended_is_told_with_what_failed() -> None:
    stage = result()
    row = stage.books.row("operation", "audit.insert")
    fail(row, "deadlock detected")
    row.planned += 5
    row.dropped, row.interrupted, row.unknown = 2, 2, 1
    assert failure_lines(stage, SCENARIO) == [
        "audit.insert: 1 × deadlock detected",
        "audit.insert: 2 × dropped",
        "audit.insert: 2 × interrupted",
        "audit.insert: 1 × unknown",
    ]
