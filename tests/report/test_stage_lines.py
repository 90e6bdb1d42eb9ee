"""How the console words a stage: its load, its rows, and what its requests needed besides."""

from dataclasses import replace

import pytest

from stressrun.load.stage import StageResult
from stressrun.metrics.recorder import Recorder
from stressrun.report.tables import http_lines, ordered, stage_figures, stage_table, stage_title
from stressrun.scenario.model import (
    Arrivals,
    IterationsPerVu,
    Load,
    Ramp,
    SharedIterations,
    Stage,
    Users,
)
from verdict_samples import MS, STAGES, fill, scenario

SCENARIO = scenario()


@pytest.mark.parametrize(
    ("load", "words"),
    [
        (Arrivals(Ramp(50, 400), 100), "10.0 s · endpoints 50.0/s → 400/s"),
        (Arrivals(Ramp(50, 50), 100, "poisson"), "10.0 s · endpoints 50.0/s, poisson"),
        (
            Arrivals(Ramp(50, 50), 100, "poisson", catch_up=False),
            "10.0 s · endpoints 50.0/s, poisson, late ones dropped",
        ),
        (Users(Ramp(1, 20)), "10.0 s · endpoints 1 → 20 VUs"),
        (SharedIterations(1000, 5), "at most 10.0 s · endpoints 1,000 iterations by 5 VUs"),
        (IterationsPerVu(20, 5), "at most 10.0 s · endpoints 20 iterations by each of 5 VUs"),
    ],
)
def test_a_stage_s_title_says_what_load_it_asks_for(load: Load, words: str) -> None:
    assert stage_title(Stage("s", 10, False, 5, load, None)) == f"s · {words}"


def test_a_stage_lasts_as_long_as_its_longest_load_does() -> None:
    writes = Users(Ramp(2, 2))
    stage = Stage("s", 10, False, 5, SharedIterations(10, 5), writes)
    assert stage_title(stage) == "s · 10.0 s · endpoints 10 iterations by 5 VUs · writes 2 workers"


def with_login() -> StageResult:
    found = StageResult(STAGES[2], 2, elapsed=10.0)
    for kind, name in (
        ("login", "login: POST /login"),
        ("operation", "audit.insert"),
        ("endpoint", "checkout"),
        ("step", "checkout: POST /carts"),
        ("endpoint", "browse"),
    ):
        fill(found.books.row(kind, name), 10, 5)
    return found


def test_a_login_stands_between_the_endpoints_and_the_operations() -> None:
    found = with_login()
    assert ordered(SCENARIO, found.books) == [
        ("endpoint", "browse"),
        ("endpoint", "checkout"),
        ("step", "checkout: POST /carts"),
        ("login", "login: POST /login"),
        ("operation", "audit.insert"),
    ]
    lines = stage_table(found, SCENARIO).splitlines()
    assert lines[-2].startswith("login: POST /login ")


def test_a_login_is_no_iteration() -> None:
    found = with_login()
    found.books.row("login", "login: POST /login").interrupted += 7
    figures = stage_figures(found)
    assert "planned 2.00/s · achieved 2.00/s · dropped 0 · VUs" in figures


def books(connections: int = 0, handshakes: int = 0) -> Recorder:
    recorder = Recorder()
    for _ in range(connections):
        recorder.connect.record(MS)
    for _ in range(handshakes):
        recorder.tls.record(2 * MS)
    return recorder


@pytest.mark.parametrize(
    ("number", "made", "lines"),
    [
        (0, books(50), []),
        (1, books(0), []),
        (1, books(50), ["connections: 50 opened, connect p95 1.00 ms"]),
        (1, books(5), ["connections: 5 opened, connect max 1.00 ms"]),
        (0, books(50, 49), ["connections: 50 opened, connect p95 1.00 ms, tls p95 2.00 ms"]),
    ],
)
def test_new_connections_are_told_after_the_first_stage_or_with_tls(
    number: int, made: Recorder, lines: list[str]
) -> None:
    assert http_lines(StageResult(STAGES[number], number, books=made)) == lines


def test_retries_and_redirections_are_told_where_there_were_any() -> None:
    found = with_login()
    found.books.row("endpoint", "browse").retried = 3
    assert http_lines(found) == ["requests: 3 sent again on a new connection"]
    found.books.row("step", "checkout: POST /carts").redirected = 1200
    found.books.row("login", "login: POST /login").redirected = 1
    assert http_lines(found) == [
        "requests: 3 sent again on a new connection, 1,201 redirections followed"
    ]


def test_a_warm_up_says_that_it_is_not_judged() -> None:
    stage = replace(STAGES[0], writes=None)
    assert stage_title(stage) == "warm-up · 10.0 s · endpoints 10.0/s · warm-up, not judged"
