"""Every way a run can end: its exit code, its words, and what is left behind: nothing."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from aftermath import assert_survived
from runs import (
    ROOT,
    Run,
    assert_nothing_is_left,
    assert_told,
    await_guardian,
    kept_run,
    processes_of,
    stressrun,
)

SHOP = Path(__file__).with_name("shop.yaml")
LONG = {"SECOND": "60s"}
# Removes what the service wrote even when the service is gone.
CARTS_BY_SQL = "--set=teardown.2={sql: \"delete from carts where created_by = '${run.id}'\"}"


def assert_database_is_clean(url: str) -> None:
    """The tables that the run filled are empty or gone, and no session of ours is left."""
    with psycopg.connect(url) as connection:
        for table in ("products", "carts"):
            if connection.execute("select to_regclass(%s)", (table,)).fetchone() != (None,):
                count = connection.execute(f"select count(*) from {table}").fetchone()
                assert count == (0,), f"rows are left in {table}"
        found = connection.execute("select to_regclass('load_test_data')").fetchone()
        assert found == (None,), "the table load_test_data is left"
        sessions = connection.execute(
            "select count(*) from pg_stat_activity where application_name like 'stressrun/%' "
            "and datname = current_database()"
        ).fetchone()
        assert sessions == (0,), "sessions are left"


@pytest.mark.faults
def test_an_existing_database_beside_an_embedded_server_is_not_thrown_away(
    tmp_path: Path, database_url: str
) -> None:
    ended = stressrun(
        tmp_path,
        ROOT / "scenarios" / "postgres-write-load.yaml",
        "--set",
        f"database={database_url}",
        DURATION="300ms",
    )
    assert_told(ended, 0, "")
    assert_nothing_is_left(ended)
    assert_database_is_clean(database_url)


@pytest.mark.faults
def test_a_service_that_hangs_does_not_pass(tmp_path: Path) -> None:
    (tmp_path / "hang.py").write_text(
        "import http.server, os, time\n"
        "class Handler(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self): time.sleep(600)\n"
        "address = ('127.0.0.1', int(os.environ['PORT']))\n"
        "http.server.ThreadingHTTPServer(address, Handler).serve_forever()\n"
    )
    (tmp_path / "hang.yaml").write_text(
        "version: 1\nname: hang\n"
        "services: {api: {command: python hang.py, env: {PORT: '${services.api.port}'}}}\n"
        "base_url: ${services.api.url}\n"
        "endpoints: [{name: a, request: GET /}]\n"
        "stages: [{name: s, duration: 300ms, graceful_stop: 100ms, endpoints: {rate: 50/s}}]\n"
    )
    ended = stressrun(tmp_path, "hang.yaml")
    assert_told(
        ended,
        1,
        "threshold failed: http achieved >= 95% in s and 1 more (0 dropped, 15 interrupted)",
    )
    assert "a: 15 × interrupted" in ended.output
    assert_nothing_is_left(ended)


def test_passed_runs_remove_what_they_made_and_leave_the_rows_of_others(
    tmp_path: Path, database_url: str
) -> None:
    def products() -> list[tuple[object, ...]]:
        with psycopg.connect(database_url) as connection:
            return connection.execute("select * from products order by id").fetchall()

    rates = "--set=stages.second.endpoints={rate: {from: 5/s, to: 60/s}}"
    first = stressrun(tmp_path, SHOP, rates, TEST_DATABASE_URL=database_url)
    assert_told(first, 0, "")
    assert_nothing_is_left(first)
    assert_database_is_clean(database_url)
    assert stressrun(tmp_path, "clean").output.startswith("nothing is left behind")
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "insert into products (sku, name, price, stock) values ('mine', 'mine', 1, 0)"
        )
    before = products()
    second = stressrun(tmp_path, SHOP, rates, TEST_DATABASE_URL=database_url)
    assert products() == before
    # With the same seed it is the same work, though not all of it can be done: mine is sold out.
    for kind in ("endpoint", "operation"):
        planned, again = (
            {name: row["planned"] for name, row in run.rows(kind).items()}
            for run in (first, second)
        )
        assert planned == again


@pytest.mark.faults
def test_a_failed_threshold(tmp_path: Path, database_url: str) -> None:
    ended = stressrun(
        tmp_path, SHOP, "--set", "thresholds.0=http p95 < 1us", TEST_DATABASE_URL=database_url
    )
    assert_told(ended, 1, "threshold failed: http p95 < 1us")
    assert "✗ http p95 < 1us" in ended.output
    assert_nothing_is_left(ended)
    assert_database_is_clean(database_url)


@pytest.mark.faults
def test_a_service_that_never_becomes_ready(tmp_path: Path, database_url: str) -> None:
    ended = stressrun(
        tmp_path,
        SHOP,
        "--set",
        'services.api.command=[python, -c, \'import time; print("sulking", flush=True); '
        "time.sleep(600)']",
        "--set",
        "services.api.ready.within=1s",
        TEST_DATABASE_URL=database_url,
    )
    assert_told(ended, 3, "api")
    assert "sulking" in ended.output
    assert_nothing_is_left(ended)


def test_a_database_that_refuses(tmp_path: Path) -> None:
    ended = stressrun(tmp_path, SHOP, TEST_DATABASE_URL="postgresql://u:geheim@127.0.0.1:1/x")
    assert_told(ended, 3, "127.0.0.1:1")
    assert "geheim" not in ended.output
    assert_nothing_is_left(ended)


@pytest.mark.parametrize(
    ("setting", "cause"),
    [
        ("environment=production", "its environment is production"),
        ("base_url=http://192.0.2.7:80", "the guard refused 192.0.2.7"),
        ("services.db.postgres=postgresql://u:p@192.0.2.7/x", "the guard refused 192.0.2.7"),
    ],
)
def test_the_guard_refuses_before_anything_is_touched(
    tmp_path: Path, setting: str, cause: str, database_url: str
) -> None:
    ended = stressrun(tmp_path, SHOP, "--set", setting, TEST_DATABASE_URL=database_url)
    assert_told(ended, 6, cause)
    assert "is ready" not in ended.output
    assert_nothing_is_left(ended)


@pytest.mark.faults
def test_teardown_that_fails_is_residue_until_it_is_cleaned(
    tmp_path: Path, database_url: str
) -> None:
    ended = stressrun(
        tmp_path,
        SHOP,
        TEST_DATABASE_URL=database_url,
        TEARDOWN_SQL="delete from not_there_yet",
    )
    assert ended.code == 5, ended.output
    assert "not_there_yet" in ended.output
    assert f"stressrun clean {ended.run_id}" in ended.output
    again = stressrun(tmp_path, "clean", ended.run_id)
    assert again.code == 5
    with psycopg.connect(database_url) as connection:
        connection.execute("create table not_there_yet ()")
    assert stressrun(tmp_path, "clean", ended.run_id).code == 0
    assert_nothing_is_left(ended)
    assert_database_is_clean(database_url)


def test_a_signal_in_a_stage_ends_it_gracefully(tmp_path: Path, database_url: str) -> None:
    run = Run(tmp_path, SHOP, TEST_DATABASE_URL=database_url, **LONG)
    run.wait_for("stage second")
    run.signal(signal.SIGINT)
    ended = run.end()
    assert_survived(ended, 130, "stopped by SIGINT", url=database_url)
    assert [stage["interrupted"] for stage in ended.report["stages"]] == [False, True]
    assert_database_is_clean(database_url)


@pytest.mark.faults
def test_a_second_signal_ends_at_once_and_names_what_is_left(
    tmp_path: Path, database_url: str
) -> None:
    run = Run(
        tmp_path,
        SHOP,
        TEST_DATABASE_URL=database_url,
        TEARDOWN_SQL="select pg_sleep(600)",
        **LONG,
    )
    run.wait_for("stage second")
    run.signal(signal.SIGTERM)
    run.wait_for("again: end at once")
    run.signal(signal.SIGINT)
    ended = run.end()
    assert ended.code == 130
    assert processes_of(ended.run_id) == []
    assert "left behind: table load_test_data" in ended.output
    assert ended.report["verdict"] == "interrupted"


@pytest.mark.faults
def test_a_killed_run_leaves_no_process_and_clean_removes_the_rest(
    tmp_path: Path, database_url: str
) -> None:
    run = Run(tmp_path, SHOP, CARTS_BY_SQL, TEST_DATABASE_URL=database_url, **LONG)
    run.wait_for("stage second")
    run.signal(signal.SIGKILL)
    ended = run.end()
    listing = stressrun(tmp_path, "clean")
    assert "table load_test_data" in listing.output
    assert stressrun(tmp_path, "clean", "--all").code == 0
    await_guardian(ended.run_id)
    assert_nothing_is_left(ended)
    assert_database_is_clean(database_url)


@pytest.mark.faults
def test_a_dead_service_s_port_is_nobody_s_to_clean(tmp_path: Path, database_url: str) -> None:
    run = Run(tmp_path, SHOP, TEST_DATABASE_URL=database_url, **LONG)
    port = int(run.wait_for("service api is ready").partition("127.0.0.1:")[2].split()[0])
    run.wait_for("stage second")
    run.signal(signal.SIGKILL)
    ended = run.end()
    await_guardian(ended.run_id)
    with socket.create_server(("127.0.0.1", port)) as stranger:
        stranger.setblocking(False)
        cleaned = stressrun(tmp_path, "clean", "--all")
        with pytest.raises(BlockingIOError):
            stranger.accept()
    assert cleaned.code == 5
    assert "not sent, as the service api has ended" in cleaned.output
    stressrun(tmp_path, "clean", "--all", "--forget")
    await_guardian(ended.run_id)
    assert_nothing_is_left(ended)


@pytest.mark.faults
def test_a_table_of_a_live_run_is_not_shared(tmp_path: Path, database_url: str) -> None:
    first = Run(tmp_path, SHOP, TEST_DATABASE_URL=database_url, **LONG)
    first.wait_for("stage second")
    other_products = "--set=seeding.products.columns.sku={hex: 16B}"
    second = stressrun(tmp_path, SHOP, other_products, TEST_DATABASE_URL=database_url)
    first.signal(signal.SIGINT)
    assert_told(second, 3, "load_test_data was made by the run")
    assert_told(first.end(), 130, "stopped by SIGINT")
    assert_database_is_clean(database_url)


@pytest.mark.faults
def test_several_workers_share_the_load_exactly(tmp_path: Path, database_url: str) -> None:
    ended = stressrun(tmp_path, SHOP, "--set", "workers=3", TEST_DATABASE_URL=database_url)
    assert_told(ended, 0, "")
    first, second = ended.report["stages"]
    planned = {row["name"]: row["planned"] for row in first["rows"]}
    assert planned["list"] + planned["checkout"] == 16
    assert (first["generator"]["workers"], second["most_vus"]) == (4, 3)


@pytest.mark.faults
def test_modules_beside_the_scenario_do_not_reach_the_workers(
    tmp_path: Path, database_url: str
) -> None:
    for name in ("httptools", "queue", "secrets"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('shadowed')")
    command = [sys.executable, "-P", "-m", "stressrun", str(SHOP)]
    environment = {**os.environ, "TEST_DATABASE_URL": database_url}
    api = "--set=services.api.command=[python, -P, -m, stressrun.demo.checkout]"
    ended = subprocess.run(
        [*command, api], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.faults
def test_what_only_a_dead_service_could_remove_is_named_until_it_is_forgotten(
    tmp_path: Path, database_url: str
) -> None:
    run = Run(tmp_path, SHOP, TEST_DATABASE_URL=database_url, **LONG)
    run.wait_for("stage second")
    run.signal(signal.SIGKILL)
    ended = run.end()
    cleaned = stressrun(tmp_path, "clean", "--all")
    assert cleaned.code == 5
    assert "DELETE http://127.0.0.1" in cleaned.output
    assert stressrun(tmp_path, "clean", "--all", "--forget").code == 0
    await_guardian(ended.run_id)
    assert_nothing_is_left(ended)


@pytest.mark.faults
def test_a_killed_run_takes_its_embedded_server_with_it(tmp_path: Path) -> None:
    run = Run(tmp_path, ROOT / "scenarios" / "postgres-write-load.yaml", DURATION="60s")
    run.wait_for("stage")
    run.signal(signal.SIGKILL)
    ended = run.end()
    stressrun(tmp_path, "clean", "--all")
    await_guardian(ended.run_id)
    assert_nothing_is_left(ended)


@pytest.mark.faults
def test_a_live_run_is_not_cleaned(tmp_path: Path, database_url: str) -> None:
    run = Run(tmp_path, SHOP, TEST_DATABASE_URL=database_url, **LONG)
    line = run.wait_for("stressrun shop")
    run.wait_for("stage second")
    run_id = line.rpartition(" run ")[2].strip()
    refused = stressrun(tmp_path, "clean", run_id)
    run.signal(signal.SIGINT)
    assert refused.code == 2
    assert "still going on" in refused.output
    assert run.end().code == 130


def test_a_report_that_cannot_be_written(tmp_path: Path, database_url: str) -> None:
    (tmp_path / "taken").write_text("a file where the folder should be")
    ended = stressrun(tmp_path, SHOP, "--report-dir", "taken/here", TEST_DATABASE_URL=database_url)
    assert ended.code == 7, ended.output
    assert "no report can be written to taken/here" in ended.output
    assert "stressrun shop" not in ended.output, "it is told before the run"


@pytest.mark.faults
def test_the_writes_of_a_run_are_all_in_the_table(tmp_path: Path) -> None:
    scenario = ROOT / "scenarios" / "postgres-write-load.yaml"
    settings = {"DURATION": "300ms", "REPORT_INTERVAL": "100ms"}
    with (
        kept_run(tmp_path, scenario, **settings) as (ended, urls),
        psycopg.connect(urls["db"]) as connection,
    ):
        count = connection.execute("select count(*) from load_test_data").fetchone()
    (insert,) = (row for name, row in ended.rows("operation").items() if name.endswith(".insert"))
    assert count == (10_000 + 100 * insert["succeeded"],)
