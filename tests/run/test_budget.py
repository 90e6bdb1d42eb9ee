"""What is planned, and what is used, against a budget."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from stressrun.errors import RefusedError
from stressrun.metrics.recorder import Recorder
from stressrun.run.budget import Spending, check_budget, planned
from stressrun.scenario.load import load
from stressrun.scenario.model import Scenario

HEAD = """
version: 1
name: budgeted
base_url: http://127.0.0.1:1
database: postgresql://127.0.0.1/app
seeding: [{table: products, rows: 500, columns: {name: {text: 9B}}}]
endpoints:
  - {name: look, weight: 3, request: GET /}
  - name: buy
    steps:
      - request: POST /carts
        capture: {cart: $.id}
      - {request: GET /, repeat: 3}
      - {request: "DELETE /carts/${cart}", when: "${cart} > 1"}
writes:
  - name: rows
    table: written
    rows: 100
    columns: {note: {text: 9B}}
    mix: {insert: 1, select: 1, own: 2}
    batch: 10
    operations: {own: {sql: select 1}}
"""
STAGES = """
stages:
  - {name: rate, duration: 10s, endpoints: {rate: 20/s}, writes: {rate: 8/s}}
  - {name: users, duration: 5s, endpoints: {vus: 3}}
  - {name: shared, duration: 60s, endpoints: {iterations: 40, vus: 2}}
"""


def scenario(folder: Path, budget: str = "") -> Scenario:
    path = folder / "budgeted.yaml"
    path.write_text(HEAD + (f"budget: {budget}\n" if budget else "") + STAGES)
    return load(path, environ={}).scenario


def books(kind: str, name: str, **counts: int) -> Recorder:
    recorder = Recorder()
    row = recorder.row(kind, name)
    for counter, count in counts.items():
        setattr(row, counter, count)
    return recorder


def test_what_is_planned_is_what_does_not_depend_on_the_answers(tmp_path: Path) -> None:
    # Three iterations in four have one request, one has four; the rows are 600, and of 80
    # operations a quarter with 10 each.
    assert planned(scenario(tmp_path)) == {
        "requests": (200 + 40) * (3 * 1 + 4) / 4,
        "rows": 600 + 80 * 10 / 4,
        "duration": 15.0,
    }


@pytest.mark.parametrize(
    ("budget", "told"),
    [
        ("{requests: 419}", "its budget is 419 requests, and at least 420 requests are planned"),
        ("{rows: 600}", "its budget is 600 rows, and at least 800 rows are planned"),
        ("{duration: 14s}", "its budget is 14.0 s, and at least 15.0 s are planned"),
    ],
)
def test_a_plan_beyond_the_budget_is_refused(tmp_path: Path, budget: str, told: str) -> None:
    with pytest.raises(RefusedError, match=told) as refused:
        check_budget(scenario(tmp_path, budget))
    assert "raise budget." in refused.value.hint


def test_a_plan_within_the_budget_is_not(tmp_path: Path) -> None:
    check_budget(scenario(tmp_path))
    check_budget(scenario(tmp_path, "{requests: 420, rows: 800, bytes: 1B, duration: 15s}"))


@pytest.mark.parametrize(
    ("budget", "news", "told"),
    [
        (
            "{requests: 500}",
            [("endpoint", "look", {"succeeded": 400, "failed": 60, "redirected": 30}),
             ("step", "buy: POST /carts", {"interrupted": 10, "retried": 1})],
            "its budget is 500 requests, 501 requests so far",
        ),
        ("{rows: 900}", [("operation", "rows.insert", {"rows": 301})], "901 rows so far"),
        ("{bytes: 1KB}", [("operation", "rows.select", {"bytes_received": 999}),
                          ("login", "login: POST /", {"bytes_sent": 2})], "1.00 KB so far"),
    ],
)  # fmt: skip
def test_a_run_that_uses_more_is_ended(
    tmp_path: Path, budget: str, news: list[tuple[str, str, dict[str, int]]], told: str
) -> None:
    spending = Spending(scenario(tmp_path, budget))
    for kind, name, counts in news:
        spending.check()
        spending.heard(books(kind, name, **counts))
    assert spending.crossed.is_set()
    with pytest.raises(RefusedError, match=told):
        spending.check()


def test_what_is_no_use_is_not_counted(tmp_path: Path) -> None:
    spending = Spending(scenario(tmp_path, "{requests: 420, rows: 700}"))
    for name in ("rows.select", "rows.own"):
        spending.heard(books("operation", name, rows=10_000))
    spending.heard(books("endpoint", "buy", succeeded=10_000))  # its steps are its requests
    spending.check()


async def test_a_run_that_lasts_longer_is_ended(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    spending = Spending(scenario(tmp_path, "{duration: 20s}"))
    begin = trio.current_time()
    await spending.watch_time()
    assert trio.current_time() - begin == 20
    with pytest.raises(RefusedError, match=r"its budget is 20\.0 s, its time is over"):
        spending.check()
