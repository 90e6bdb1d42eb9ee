"""Invariants as a user meets them: asked after each stage, and never in the way."""

from __future__ import annotations

import signal
from pathlib import Path

from runs import Run, assert_nothing_is_left, assert_told, stressrun

INVARIANTS = Path(__file__).with_name("invariants.yaml")


def test_each_is_asked_after_each_stage_and_shown(tmp_path: Path, database_url: str) -> None:
    ended = stressrun(tmp_path, INVARIANTS, TEST_DATABASE_URL=database_url)
    assert ended.code == 0, ended.output
    asked = ended.report["invariants"]
    assert all(answer["passed"] for answer in asked)
    assert [(answer["invariant"], answer["stage"]) for answer in asked] == [
        (name, stage)
        for stage in ("warm-up", "peak")
        for name in (
            "select count(*) from products where stock < 0",
            "a cart for each that was accepted",
            "GET /requests $.total",
            "inserts",
        )
        if stage == "peak" or name != "GET /requests $.total"
    ]
    accepted = ended.rows("step")["checkout: POST /carts"]["succeeded"]
    assert f"  ✓ a cart for each that was accepted   ({accepted})" in ended.output
    assert_nothing_is_left(ended)


def test_one_that_does_not_hold_fails_the_run_however_fast_it_was(
    tmp_path: Path, database_url: str
) -> None:
    wrong, page = "--set=invariants.0.expect={at_least: 1}", "--report=markdown=page.md"
    ended = stressrun(tmp_path, INVARIANTS, wrong, page, TEST_DATABASE_URL=database_url)
    question = "select count(*) from products where stock < 0"
    assert_told(
        ended,
        1,
        f"invariant failed: {question} after stage warm-up and 1 more (0, expected at least 1)",
    )
    assert f"\n  after peak: ✗ {question}   (0, expected at least 1)\n" in ended.output
    assert [a["passed"] for a in ended.report["invariants"]].count(False) == 2
    line = INVARIANTS.read_text().splitlines().index("invariants:") + 2
    rows = [row for row in (tmp_path / "page.md").read_text().splitlines() if "| ❌ |" in row]
    assert len(rows) == 2
    assert all(row.endswith(f"invariants.yaml&#58;{line}</code> |") for row in rows)
    assert_nothing_is_left(ended)


def test_one_that_cannot_be_asked_ends_the_run_before_the_load(
    tmp_path: Path, database_url: str
) -> None:
    ended = stressrun(
        tmp_path,
        INVARIANTS,
        "--set=invariants.0.sql=select count(*) from product",
        TEST_DATABASE_URL=database_url,
    )
    assert_told(
        ended,
        3,
        "the invariant `select count(*) from product` cannot be asked: "
        'relation "product" does not exist',
    )
    assert "stage warm-up" not in ended.output
    assert_nothing_is_left(ended)


def test_a_signal_does_not_wait_for_an_answer(tmp_path: Path, database_url: str) -> None:
    sleeping = "--set=invariants.0={sql: 'select count(*) from pg_sleep(50)', expect: 1}"
    run = Run(tmp_path, INVARIANTS, sleeping, TEST_DATABASE_URL=database_url)
    run.wait_for("table products")
    run.signal(signal.SIGINT)
    ended = run.end()
    assert_told(ended, 130, "stopped by SIGINT")
    assert_nothing_is_left(ended)
