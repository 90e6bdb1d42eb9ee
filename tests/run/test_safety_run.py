"""What a run touches it leaves as it was, and what it must not touch it does not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from database_server import database_server
from runs import Run, assert_nothing_is_left, assert_told, await_guardian, stressrun

from stressrun.services.binaries import find_installation

WRITTEN = Path(__file__).with_name("written.yaml")
SHOP = Path(__file__).with_name("shop.yaml")
CARTS = """
version: 1
name: carts
services: {api: {url: "${CARTS_URL}"}}
base_url: ${services.api.url}
seeding:
  - {request: POST /carts, capture: {cart: $.id}, undo: "DELETE /carts/${cart}"}
endpoints:
  - {name: make, request: POST /carts, capture: {cart: $.id}, undo: "DELETE /carts/${cart}"}
stages:
  - {name: made, duration: 300ms, endpoints: {rate: 40/s}}
  - {name: idle, duration: "${IDLE:-1ms}", endpoints: {rate: 1/m}}
built_in_thresholds: false
"""


@pytest.fixture
def carts_url() -> Iterator[str]:
    """The URL of a service that outlives the runs."""
    script = Path(__file__).with_name("carts_service.py")
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.kill()


def carts_at(url: str) -> int:
    with urllib.request.urlopen(f"{url}/carts") as answer:
        return int(json.load(answer)["carts"])


def test_what_requests_made_is_removed_by_their_undo(tmp_path: Path, carts_url: str) -> None:
    (tmp_path / "carts.yaml").write_text(CARTS)
    ended = stressrun(tmp_path, "carts.yaml", CARTS_URL=carts_url)
    assert_told(ended, 0, "")
    assert ended.rows("endpoint")["make"]["succeeded"] == 13
    assert "14 made by POST /carts: removed" in ended.report["removed"]
    assert carts_at(carts_url) == 0
    assert_nothing_is_left(ended)


@pytest.mark.faults
def test_what_a_killed_run_made_is_removed_by_clean(tmp_path: Path, carts_url: str) -> None:
    (tmp_path / "carts.yaml").write_text(CARTS)
    run = Run(tmp_path, "carts.yaml", CARTS_URL=carts_url, IDLE="60s")
    line = run.wait_for("stressrun carts")
    run.wait_for("stage idle")
    live = stressrun(tmp_path, "clean", "--dry-run")
    assert (live.code, "still running, left alone" in live.output) == (0, True)
    run.signal(signal.SIGKILL)
    ended = run.end()
    await_guardian(ended.run_id)
    assert carts_at(carts_url) == 14
    planned = stressrun(tmp_path, "clean", "--dry-run")
    assert planned.code == 0
    assert f"send to {carts_url}: DELETE /carts/1\n" in planned.output
    assert carts_at(carts_url) == 14
    run_id = line.rpartition(" run ")[2].strip()
    cleaned = stressrun(tmp_path, "clean", run_id)
    assert cleaned.code == 5, cleaned.output
    assert "what they made last nobody was told: look for it, then add --forget" in cleaned.output
    assert carts_at(carts_url) == 0
    assert stressrun(tmp_path, "clean", run_id, "--forget").code == 0
    assert_nothing_is_left(ended)


def test_rows_of_the_service_are_known_by_the_run_s_id_and_counted_when_they_are_gone(
    tmp_path: Path, database_url: str
) -> None:
    owned = "teardown=[{table: carts, owned_by: created_by}]"
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "create table carts (id bigserial primary key, customer text not null,"
            " created_by text not null, created_at timestamptz not null default now())"
        )
        connection.execute("insert into carts (customer, created_by) values ('a', 'somebody')")
    settings = ("--set", owned, "--set", "database={require_sentinel: true}")
    refused = stressrun(tmp_path, SHOP, *settings, TEST_DATABASE_URL=database_url)
    assert_told(refused, 6, "it carries no sentinel")
    assert "is ready" not in refused.output

    made = stressrun(tmp_path, "sentinel", database_url)
    assert (made.code, "the sentinel stands in" in made.output) == (0, True)
    ended = stressrun(tmp_path, SHOP, *settings, TEST_DATABASE_URL=database_url)
    assert_told(ended, 0, "")
    removed = ended.report["removed"]
    count = ended.rows("step")["checkout: POST /carts"]["succeeded"]
    assert f"table carts: {count:,} rows deleted, 0 left" in removed
    assert "table products: 200 rows deleted, 0 left" in removed
    assert "table load_test_data: dropped, and gone" in removed
    with psycopg.connect(database_url) as connection:
        assert connection.execute("select customer from carts").fetchall() == [("a",)]
    assert_nothing_is_left(ended)


@pytest.mark.faults
def test_the_host_of_a_service_can_be_allowed_by_its_reference(tmp_path: Path) -> None:
    (tmp_path / "there.yaml").write_text(
        "version: 1\nname: there\nservices:\n  own: {command: ./missing}\n"
        "  api: {url: 'http://192.0.2.7:8000'}\nbase_url: ${services.api.url}\n"
        "allow_hosts: ['${services.api.host}']\nendpoints: [{name: a, request: GET /}]\n"
        "stages: [{name: s, duration: 100ms, endpoints: {rate: 10/s}}]\n"
    )
    # Nothing is sent there: what is started before it cannot be.
    assert_told(stressrun(tmp_path, "there.yaml"), 3, "service 'own' could not be started")
    refused = stressrun(tmp_path, "there.yaml", "--set", "allow_hosts=[192.0.2.8]")
    assert_told(refused, 6, "the guard refused 192.0.2.7")


WRITING = "duration: 60s, endpoints: {vus: 3}, writes: {workers: 2}"
COUNTING = "duration: 60s, endpoints: {iterations: 1_000_000, vus: 3}"


@pytest.mark.parametrize(
    ("budget", "load", "told"),
    [
        ("{rows: 400}", WRITING, "its budget is 400 rows"),
        pytest.param("{bytes: 20KB}", WRITING, "budget is 20.0 KB", marks=pytest.mark.faults),
        pytest.param("{duration: 4s}", COUNTING, "its time is over", marks=pytest.mark.faults),
    ],
)
def test_a_run_ends_when_its_budget_is_used_up(
    tmp_path: Path, database_url: str, budget: str, load: str, told: str
) -> None:
    ended = stressrun(
        tmp_path,
        SHOP,
        *("--set", f"budget={budget}"),
        *("--set", f"stages=[{{name: long, {load}}}]"),
        *("--set", "thresholds=[http errors < 1%]"),
        TEST_DATABASE_URL=database_url,
    )
    assert_told(ended, 6, told)
    assert ended.report["stages"][-1]["interrupted"]
    assert told in ended.report["partial"]
    assert_nothing_is_left(ended)


@pytest.mark.faults
def test_a_budget_of_time_holds_before_the_load_as_well(tmp_path: Path) -> None:
    (tmp_path / "slow.yaml").write_text(
        "version: 1\nname: slow\nbase_url: http://127.0.0.1:1\nbudget: {duration: 1s}\n"
        "seeding: [{command: sleep 600}]\nendpoints: [{name: a, request: GET /}]\n"
        "stages: [{name: s, duration: 100ms, endpoints: {rate: 10/s}}]\n"
    )
    ended = stressrun(tmp_path, "slow.yaml")
    assert_told(ended, 6, "its budget is 1.00 s, its time is over")
    assert_nothing_is_left(ended)


@pytest.mark.faults
def test_teardown_waits_for_a_database_that_is_restarted(tmp_path: Path) -> None:
    with database_server(find_installation(), {}) as server:
        run = Run(tmp_path, WRITTEN, TEST_DATABASE_URL=server.url, DURATION="2s")
        run.wait_for(", total ")
        server.stop()
        run.wait_for("waiting up to 10 s for the database")
        server.start()
        ended = run.end()
        assert ended.code == 4, ended.output
        assert "table written: dropped, and gone" in ended.report["removed"]
        assert_nothing_is_left(ended)


@pytest.mark.faults
def test_of_a_database_that_does_not_come_back_is_said_what_is_left(tmp_path: Path) -> None:
    with database_server(find_installation(), {}) as server:
        run = Run(tmp_path, WRITTEN, TEST_DATABASE_URL=server.url, DURATION="2s")
        run.wait_for(", total ")
        server.stop()
        ended = run.end()
        assert ended.code == 5, ended.output
        assert f"stressrun clean {ended.run_id}" in ended.output
        server.start()
        assert stressrun(tmp_path, "clean", "--all").code == 0
        assert_nothing_is_left(ended)
