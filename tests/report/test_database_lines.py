"""What the console and `report.json` tell of a database."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema

from findings_samples import COUNTED, NOTHING, QUIET
from stressrun.metrics.gap import Gap
from stressrun.postgres.findings import (
    Extent,
    Findings,
    LockPair,
    LockWaits,
    Overlap,
    Party,
    SlowRequests,
    StatementCalls,
    States,
)
from stressrun.postgres.statistics import Checkpoints, TableActivity
from stressrun.report.database import database_lines, database_part

SCHEMA = json.loads(
    (Path(__file__).parents[2] / "schema" / "report.schema.json").read_text(encoding="utf-8")
)
HOLDER = Party(4711, "psql", "idle in transaction", "update products set stock = ?")
WAITER = Party(4712, "stressrun/r1", "active", "delete from products")


def valid(findings: Findings) -> dict[str, Any]:
    part: dict[str, Any] = json.loads(json.dumps(database_part(findings)))
    schema = {**SCHEMA["definitions"]["database"], "definitions": SCHEMA["definitions"]}
    jsonschema.validate(part, schema)
    return part


def lines(findings: Findings) -> list[str]:
    valid(findings)
    return database_lines(findings, "r1")


def test_a_quiet_database_takes_two_lines() -> None:
    assert lines(QUIET) == [
        "database: up to 7 connections, at least 89 of 97 free · 12,345 commits, 3 rollbacks · "
        "cache hits 99.9 % · 45.2 MB of WAL",
        "  sessions: 0.4 active on average (CPU 60 %, IO 40 %)",
    ]


def test_a_lock_wait_names_both_sides_the_place_and_the_longest() -> None:
    pair = LockPair("products", 14, 3.2, 1.2, HOLDER, WAITER)
    found = replace(QUIET, lock_waits=LockWaits(16, 3.5, 4.1, 1.2, (pair,), 2))
    assert lines(found)[2:] == [
        "  lock waits: 16 seen, longest 1.20 s; about 4.10 s of waiting in all",
        "    14 × products, longest 1.20 s: pid 4712 (this run) waited for "
        "pid 4711 (psql, idle in transaction)",
        "      waiting: delete from products",
        "      holding: update products set stock = ?",
        "    2 more, between other statements",
    ]


def test_slow_requests_are_told_with_what_chance_would_give() -> None:
    overlap = Overlap("products", 19, 0.38, 0.12)
    rare = Overlap("carts", 1, None, 0.01)
    slow = SlowRequests(0.18, True, 50, 4, 20, (overlap, rare))
    found = replace(QUIET, slow_requests=slow)
    assert lines(found)[2:] == [
        "  38 % of the 50 requests over the p99, 180 ms, overlapped a lock wait on products "
        "(12 % would by chance)",
        "  4 more such requests were under way while nothing was seen",
    ]
    above = replace(QUIET, slow_requests=replace(slow, is_p99=False, unknown=0))
    assert lines(above)[2].startswith("  38 % of the 50 requests over 180 ms, overlapped")


def test_what_stands_out_has_a_line() -> None:
    def table(name: str, scans: int, rows: int, dead: int) -> TableActivity:
        return TableActivity(name, scans, rows, 0, 0, 0, 0, 0, dead, 0)

    tables = (table("big", 12, 1_200_000, 50_000), table("small", 9_000, 450_000, 5))
    statistics = replace(
        COUNTED,
        deadlocks=2,
        temp_files=3,
        temp_bytes=12_300_000,
        checkpoints=Checkpoints(1, 2, 0, 0.0, 0.0),
        tables=tables,
    )
    found = replace(
        QUIET,
        statistics=statistics,
        longest_transaction=2.5,
        states=States(Extent(2, 0.4), Extent(6, 6.1), Extent(3, 1.25)),
        statements=(
            StatementCalls("select ?", 400, 3.0, 400, 2.0),
            StatementCalls("x" * 200, 10, 0.5, 0, None),
            StatementCalls("begin", 10, 0.001, 0, None),
        ),
        gaps=(Gap(1.0, 2.5, "lost"), *[Gap(3.0, 4.0, "again")] * 5),
    )
    assert lines(found) == [
        "database: up to 7 connections, at least 89 of 97 free · 12,345 commits, 3 rollbacks · "
        "cache hits 99.9 % · 45.2 MB of WAL · 2 deadlocks · 3 temporary files, 12.3 MB · "
        "3 checkpoints",
        "  sessions: 0.4 active on average (CPU 60 %, IO 40 %) · "
        "1.2 idle in transaction (up to 3) · longest transaction 2.50 s",
        "  sequential scans: big 12 (1,200,000 rows)",
        "  dead rows at the end: big 50,000",
        "  3.00 s in 400 calls, 2.00 per request: select ?",
        f"  500 ms in 10 calls: {'x' * 119}…",
        "  not seen from 1.0 s to 2.5 s: lost",
        "  not seen from 3.0 s to 4.0 s: again",
        "  not seen from 3.0 s to 4.0 s: again",
        "  not seen in 3 more gaps: see report.json",
    ]


def test_a_database_that_was_not_seen_is_told_as_a_gap() -> None:
    blind = Findings(
        0, (Gap(0.0, 3.0, "refused"),), None, None, None, (), NOTHING, None, None, None
    )
    assert lines(blind) == ["database:", "  not seen from 0.0 s to 3.0 s: refused"]


def test_texts_are_masked() -> None:
    pair = LockPair("products", 1, 1.0, 1.0, HOLDER, WAITER)
    found = replace(
        QUIET,
        gaps=(Gap(0, 1, "secret gone"),),
        lock_waits=LockWaits(1, 1.0, 1.0, 1.0, (pair,), 0),
        statements=(StatementCalls("set password = secret", 1, 1.0, 0, None),),
    )
    masked = found.masked(lambda text: text.replace("secret", "***").replace("psql", "***"))
    assert masked.gaps[0].why == "*** gone"
    assert masked.lock_waits.pairs[0].blocker.application == "***"
    assert masked.statements is not None
    assert masked.statements[0].statement == "set password = ***"
    assert valid(masked)["lock_waits"]["pairs"][0]["waiter"]["application"] == "stressrun/r1"
