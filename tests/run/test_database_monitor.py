"""What a run tells of its database, seen from the inside."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import psycopg
import pytest
from database_server import database_server, installed_with_statements
from runs import PATIENCE, ROOT, Run, stressrun

from stressrun.services.binaries import Installation

SHOP = Path(__file__).with_name("shop.yaml")
WRITTEN = Path(__file__).with_name("written.yaml")
SCHEMA = json.loads((ROOT / "schema" / "report.schema.json").read_text())
# The first ones, which carts are filled with.
POPULAR = "update products set stock = stock where id <= 100"


def until(holds: Callable[[], Any]) -> None:
    """Wait for what must come to hold, however slow the machine is."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.01)


def test_a_held_lock_is_named_with_the_slow_requests_that_overlapped_it(
    tmp_path: Path, database_url: str
) -> None:
    only_reads = "--set=stages.first={name: first, duration: 200ms, writes: {workers: 1}}"
    load = "--set=stages.second.endpoints={rate: 60/s}"
    run = Run(tmp_path, SHOP, only_reads, load, TEST_DATABASE_URL=database_url, SECOND="2500ms")
    run.wait_for("stage second")
    with psycopg.connect(database_url, application_name="holder") as holder:
        holder.execute(POPULAR)
        with psycopg.connect(database_url, autocommit=True) as admin:
            waits = "select from pg_locks where not granted and waitstart < now() - interval '.5s'"
            until(lambda: admin.execute(waits).fetchall())
        pid = holder.info.backend_pid
        holder.rollback()
    ended = run.end()
    assert ended.code in (0, 1), ended.output
    jsonschema.validate(ended.report, SCHEMA)
    found = ended.report["stages"][1]["database"]
    pair = next(pair for pair in found["lock_waits"]["pairs"] if pair["blocker"]["pid"] == pid)
    assert pair["place"] == "products"
    assert pair["blocker"]["application"] == "holder"
    assert pair["blocker"]["state"] == "idle in transaction"
    assert pair["blocker"]["statement"] == "update products set stock = stock where id <= ?"
    assert "for update of p" in pair["waiter"]["statement"]
    assert pair["longest"] > 0.3
    slow = found["slow_requests"]
    assert 0 < slow["overlapping"] <= slow["count"]
    assert slow["overlaps"][0]["place"] == "products"
    assert any(wait["class"] == "Lock" for wait in found["waits"])
    assert found["connections"]["max"] > found["connections"]["mean"] > 0
    assert found["statistics"]["commits"] > 0
    assert f"waited for pid {pid} (holder, idle in transaction)" in ended.output


@pytest.mark.faults
@pytest.mark.skipif(
    not installed_with_statements(), reason="no installed PostgreSQL has pg_stat_statements"
)
def test_statements_are_counted_where_pg_stat_statements_is(tmp_path: Path) -> None:
    settings = {"shared_preload_libraries": "pg_stat_statements"}
    with database_server(Installation(installed_with_statements()[-1]), settings) as server:
        with psycopg.connect(server.url, autocommit=True) as admin:
            admin.execute("create extension pg_stat_statements")
        ended = stressrun(tmp_path, WRITTEN, TEST_DATABASE_URL=server.url, DURATION="300ms")
    assert ended.code == 0, ended.output
    jsonschema.validate(ended.report, SCHEMA)
    (stage,) = ended.report["stages"]
    (row,) = stage["rows"]
    (insert,) = [
        each for each in stage["database"]["statements"] if "insert into" in each["statement"]
    ]
    assert insert["calls"] == row["planned"]
    assert insert["rows"] == 7 * row["planned"]
    assert insert["per_request"] is None
    assert not any("stressrun monitor" in s["statement"] for s in stage["database"]["statements"])
