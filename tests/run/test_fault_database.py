"""What a database can do to a load, and what the run makes of it: told, counted, and ended."""

from __future__ import annotations

import json
import re
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aftermath import assert_clean, assert_survived
from database_server import DatabaseServer, database_server
from runs import PATIENCE, Ended, Run, row_of, stressrun

from chaos_proxy import Chaos, chaos_proxy
from stressrun.services.binaries import find_installation

WRITTEN = Path(__file__).with_name("written.yaml")
WORKERS, BATCH = 4, 7
# The connections beside the workers': for keys, for the floor, and the monitor's.
ASIDE = 3
MOST_CLIENTS = 20
RESERVED = 3
OURS = "application_name like 'stressrun/%'"
WAITING = "wait_event_type = 'Lock'"
READ_ONLY = "name = 'default_transaction_read_only'"
LOADING = ", total "

Client = psycopg.Connection


@pytest.fixture(scope="module")
def server() -> Iterator[DatabaseServer]:
    settings = {"max_connections": str(MOST_CLIENTS + RESERVED), "deadlock_timeout": "10ms"}
    with database_server(find_installation(), settings) as made:
        yield made


@pytest.fixture
def url(server: DatabaseServer) -> Iterator[str]:
    """A database of the test's own, in which at the end nothing of a run is left."""
    name = f"test_{secrets.token_hex(6)}"
    with connected(server.url) as admin:
        admin.execute(f"create database {name}")
    url = server.url.rpartition("/")[0] + f"/{name}"
    yield url
    with connected(url) as client:
        until(lambda: count(client, "pg_stat_activity", OURS) == 0)
        assert client.execute("select to_regclass('written')").fetchone() == (None,)
    with connected(server.url) as admin:
        admin.execute(f"drop database {name} with (force)")


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    """Somebody beside the load."""
    with connected(url) as connection:
        yield connection


def connected(url: str) -> Client:
    return psycopg.connect(url, autocommit=True)


def until(holds: Callable[[], bool]) -> None:
    """Wait for what must come to hold, however slow the machine is."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.005)


def count(client: Client, relation: str, condition: str = "true") -> int:
    found = client.execute(f"select count(*) from {relation} where {condition}").fetchone()
    assert found is not None
    return int(found[0])


def sessions(client: Client, condition: str = "true") -> int:
    """How many of the run's sessions are so."""
    return count(client, "pg_stat_activity", f"{OURS} and {condition}")


def started(directory: Path, url: str, *arguments: str, **environment: str) -> Run:
    """A run of inserts that has begun to write."""
    run = Run(directory, WRITTEN, *arguments, TEST_DATABASE_URL=url, **environment)
    run.wait_for(LOADING)
    return run


@contextmanager
def all_waiting(url: str) -> Iterator[None]:
    """Every worker is in the midst of an insert, which cannot end in the meantime."""
    holder = psycopg.connect(url)
    try:
        holder.execute("lock table written in share mode")
        with connected(url) as client:
            until(lambda: sessions(client, WAITING) == WORKERS)
        yield
    finally:
        holder.close()


def assert_rows_are_there(client: Client, row: dict[str, Any]) -> None:
    """The table has what is reported, and of what is unknown it may have all or nothing."""
    assert row["rows_added"] == BATCH * row["succeeded"]
    beyond = count(client, "written") - row["rows_added"]
    assert 0 <= beyond <= BATCH * row["unknown"]
    assert beyond % BATCH == 0


# Conflicts: one mix that tries again, and one that does not.


CONFLICTS = """
version: 1
name: conflicts
database: {{url: "${{TEST_DATABASE_URL}}", min_free_connections: 2}}
writes:
  - name: patient
    isolation: repeatable read
    mix: {{change: 1}}
    operations: {{change: {{transaction: {patient}}}}}
  - name: hasty
    isolation: repeatable read
    retries: 0
    mix: {{change: 1}}
    operations: {{change: {{transaction: {hasty}}}}}
stages:
  - {{name: load, duration: 200ms, graceful_stop: 60s, writes: {{workers: 1}}}}
thresholds: [write patient errors <= 0%, write hasty errors <= 0%]
"""


def conflicting(directory: Path, url: str, patient: list[str], hasty: list[str]) -> Run:
    scenario = CONFLICTS.format(patient=json.dumps(patient), hasty=json.dumps(hasty))
    (directory / "conflicts.yaml").write_text(scenario)
    return Run(directory, "conflicts.yaml", TEST_DATABASE_URL=url)


def assert_conflict(ended: Ended, url: str, kind: str, message: str) -> None:
    """One conflict in each mix: where it was not tried again, it has failed."""
    cause = "threshold failed: write hasty errors <= 0%"
    assert_survived(ended, 1, cause, url=url, complete=True, grace=PATIENCE)
    patient, hasty = row_of(ended, "patient.change"), row_of(ended, "hasty.change")
    assert (patient["retried"], patient["errors"], patient["samples"]) == (1, {}, [])
    assert patient["succeeded"] == patient["planned"] >= 1
    assert (hasty["retried"], hasty["failed"], hasty["errors"]) == (0, 1, {kind: 1})
    (sample,) = hasty["samples"]
    assert (sample["error"], sample["detail"].partition(" DETAIL")[0]) == (kind, message)
    assert "1 tried again after a conflict" in ended.output
    assert f"hasty.change: 1 × {kind}\n" in ended.output
    assert f"first: {message}" in ended.output


def test_a_serialization_failure(tmp_path: Path, url: str, client: Client) -> None:
    client.execute("create table counters as select id, 0 as n from generate_series(1, 2) as id")
    change = "update counters set n = n + 1 where id = "
    with psycopg.connect(url) as holder:
        holder.execute("update counters set n = 0")
        run = conflicting(tmp_path, url, [f"{change}1"], [f"{change}2"])
        until(lambda: sessions(client, WAITING) == 2)
    assert_conflict(
        run.end(),
        url,
        "40001 serialization_failure",
        "could not serialize access due to concurrent update",
    )


def test_a_deadlock(tmp_path: Path, url: str, client: Client) -> None:
    gate = "select pg_advisory_xact_lock_shared(0)"
    client.execute("select pg_advisory_lock(0)")
    run = conflicting(
        tmp_path, url, [_locking(1), gate, _locking(2)], [_locking(3), gate, _locking(4)]
    )
    until(lambda: sessions(client, WAITING) == 2)
    with ThreadPoolExecutor() as threads:
        for held, wanted in ((2, 1), (4, 3)):
            threads.submit(_hold_and_want, url, held, wanted)
        until(lambda: count(client, "pg_stat_activity", WAITING) == 4)
        client.execute("select pg_advisory_unlock(0)")
    assert_conflict(run.end(), url, "40P01 deadlock_detected", "deadlock detected")


def _locking(number: int) -> str:
    return f"select pg_advisory_xact_lock({number})"


def _hold_and_want(url: str, held: int, wanted: int) -> None:
    with psycopg.connect(url) as other:
        # The run's session, which closes the circle, is the one to look for it.
        other.execute("set deadlock_timeout = '1h'")
        other.execute(_locking(held))
        other.execute(_locking(wanted))


# Connections and servers that go away.


@pytest.mark.faults
def test_terminated_backends_are_replaced(tmp_path: Path, url: str, client: Client) -> None:
    run = started(tmp_path, url, "--keep")
    with all_waiting(url):
        client.execute(f"select pg_terminate_backend(pid) from pg_stat_activity where {OURS}")
        before = count(client, "written")
    until(lambda: count(client, "written") > before)
    until(lambda: sessions(client) > WORKERS)
    run.signal(signal.SIGINT)
    ended = run.end()
    assert_survived(ended, 130, "stopped by SIGINT", url=url, kept=True)
    row = row_of(ended)
    assert (row["errors"], row["unknown"]) == ({"57P01 admin_shutdown": WORKERS}, 0)
    assert_rows_are_there(client, row)
    assert_clean(ended)


@pytest.mark.faults
def test_a_server_that_restarts(tmp_path: Path, server: DatabaseServer, url: str) -> None:
    run = started(tmp_path, url, "--keep")
    with connected(url) as client, all_waiting(url):
        before = count(client, "written")
        server.stop()
    server.start()
    with connected(url) as client:
        until(lambda: count(client, "written") > before)
        run.signal(signal.SIGINT)
        ended = run.end()
        assert_survived(ended, 130, "stopped by SIGINT", url=url, kept=True)
        row = row_of(ended)
        assert row["unknown"] == WORKERS
        assert row["errors"].keys() <= {"no_connection"}
        assert f"rows.insert: {WORKERS} × unknown" in ended.output
        assert_rows_are_there(client, row)
    assert_clean(ended)


@pytest.mark.faults
def test_a_server_that_was_gone_for_a_good_part_of_a_stage(
    tmp_path: Path, server: DatabaseServer, url: str
) -> None:
    run = started(tmp_path, url, "--keep", DURATION="5s")
    server.stop()
    for _ in range(6):
        run.wait_for("connections: 0 active")
    server.start()
    ended = run.end()
    cause = "the database took no connections for "
    assert_survived(ended, 4, cause, url=url, kept=True, complete=True)
    assert ended.output.count("remedy: see the server's own log") == 1
    with connected(url) as client:
        assert_rows_are_there(client, row_of(ended))
    assert_clean(ended)


@pytest.mark.faults
def test_a_server_that_does_not_come_back(tmp_path: Path, server: DatabaseServer, url: str) -> None:
    run = started(tmp_path, url, "--keep", DURATION="2s")
    server.stop()
    try:
        ended = run.end()
        cleaned = stressrun(tmp_path, "clean", ended.run_id)
    finally:
        server.start()
    cause = "the database took no more connections at the end of stage load"
    assert_survived(ended, 4, cause, url=url, kept=True)
    assert ended.report["verdict"] == "invalid"
    assert cleaned.code == 5
    assert "what run " + ended.run_id + " made in written could not be removed" in cleaned.output
    row = row_of(ended)
    assert row["errors"].keys() == {"no_connection"}
    assert row["unknown"] <= WORKERS
    with connected(url) as client:
        assert_rows_are_there(client, row)
    assert_clean(ended)


@pytest.mark.faults
def test_a_server_that_freezes(tmp_path: Path, server: DatabaseServer, url: str) -> None:
    run = started(tmp_path, url, "--keep", GRACE="0s")
    with server.frozen():
        run.signal(signal.SIGINT)
        ended = run.end()
    # What was sent gets five seconds more to be cancelled in.
    assert_survived(ended, 130, "stopped by SIGINT", url=url, kept=True, grace=5)
    row = row_of(ended)
    assert (row["failed"], row["interrupted"], row["unknown"]) == (0, 0, WORKERS)
    with connected(url) as client:
        until(lambda: sessions(client) == 0)
        assert_rows_are_there(client, row)
    assert_clean(ended)


# The way to the server.


@pytest.mark.faults
def test_connections_that_are_cut_amid_a_statement(
    tmp_path: Path, server: DatabaseServer, url: str, client: Client
) -> None:
    with chaos_proxy(server.port) as proxy:
        run = started(tmp_path, by(proxy.port, url), "--keep")
        with all_waiting(url):
            found = client.execute(f"select pid from pg_stat_activity where {OURS} and {WAITING}")
            left = ", ".join(str(pid) for (pid,) in found)
            proxy.cut()
            # The server looks whether its clients are there, and ends what they have left.
            until(lambda: sessions(client, f"pid in ({left})") == 0)
            before = count(client, "written")
        until(lambda: count(client, "written") > before)
        run.signal(signal.SIGINT)
        ended = run.end()
        assert_survived(ended, 130, "stopped by SIGINT", url=url, kept=True)
        row = row_of(ended)
        assert row["unknown"] == WORKERS
        assert_rows_are_there(client, row)
        assert_clean(ended)


@pytest.mark.faults
def test_a_server_that_is_gone_without_a_word(
    tmp_path: Path, server: DatabaseServer, url: str, client: Client
) -> None:
    with chaos_proxy(server.port) as proxy:
        run = started(tmp_path, by(proxy.port, url), "--keep", GRACE="0s")
        with all_waiting(url):
            proxy.to_server = proxy.to_client = Chaos(stall=0)
            run.signal(signal.SIGINT)
            ended = run.end()
        # The server hears of it no sooner than the network is there again.
        proxy.to_server = proxy.to_client = Chaos()
        proxy.cut()
        assert_survived(ended, 130, "stopped by SIGINT", url=url, kept=True, grace=5)
        row = row_of(ended)
        assert (row["failed"], row["interrupted"], row["unknown"]) == (0, 0, WORKERS)
        assert_rows_are_there(client, row)
        assert_clean(ended)


@pytest.mark.faults
def test_a_monitor_that_is_refused(
    tmp_path: Path, server: DatabaseServer, url: str, client: Client
) -> None:
    with chaos_proxy(server.port) as proxy:
        # It is the last to connect.
        proxy.most_connections = WORKERS + ASIDE - 1
        ended = stressrun(tmp_path, WRITTEN, TEST_DATABASE_URL=by(proxy.port, url), DURATION="1s")
        assert_survived(ended, 0, url=url, complete=True)
    assert row_of(ended)["errors"] == {}
    database = ended.report["stages"][0]["database"]
    assert database["samples"] == 0


def by(port: int, url: str) -> str:
    """The URL of the same database by another port."""
    return re.sub(r":\d+/", f":{port}/", url)


# A server that does not write.


@contextmanager
def read_only(client: Client) -> Iterator[None]:
    client.execute("alter system set default_transaction_read_only = on")
    client.execute("select pg_reload_conf()")
    try:
        yield
    finally:
        client.execute("alter system reset default_transaction_read_only")
        client.execute("select pg_reload_conf()")


def test_a_server_that_is_read_only_is_refused(tmp_path: Path, url: str, client: Client) -> None:
    with read_only(client):
        until(lambda: client.execute("show transaction_read_only").fetchone() == ("on",))
        ended = stressrun(tmp_path, WRITTEN, TEST_DATABASE_URL=url)
    cause = "its database cannot be written: its transactions are read only"
    assert_survived(ended, 3, cause, url=url)
    assert ended.report["stages"] == []


@pytest.mark.faults
def test_a_server_that_turns_read_only(tmp_path: Path, url: str, client: Client) -> None:
    # Of this table the run gets keys in blocks, which is a write as well.
    client.execute("create table written (id bigserial primary key, number int)")
    run = started(tmp_path, url, "--keep", GRACE="0s")
    with read_only(client):
        run.wait_for(" errors (100 %)")
        until(lambda: sessions(client, "query like '%nextval%'") > WORKERS)
    run.wait_for(", 0 errors (0 %)")
    (now,) = client.execute("select clock_timestamp()").fetchone() or ()
    writing = f"query like 'insert%' and query_start > '{now}'"
    until(lambda: sessions(client, writing) == WORKERS)
    run.signal(signal.SIGTERM)
    ended = run.end()
    assert_survived(ended, 143, "stopped by SIGTERM", url=url, kept=True)
    row = row_of(ended)
    assert row["errors"].keys() == {"25006 read_only_sql_transaction"}
    assert row["unknown"] == 0
    assert " in a read-only transaction\n" in ended.output
    assert_rows_are_there(client, row)
    assert_clean(ended)
    assert count(client, "written") == 0
    client.execute("drop table written")


@pytest.mark.faults
def test_a_server_that_stays_read_only(tmp_path: Path, url: str, client: Client) -> None:
    run = started(tmp_path, url, GRACE="0s")
    with read_only(client):
        run.wait_for(" errors (100 %)")
        run.signal(signal.SIGINT)
        ended = run.end()
        cause = "teardown could not remove everything: table written: what run "
        # Teardown may be patient with a server that could recover.
        assert_survived(ended, 5, cause, url=url, kept=True, grace=10)
        assert ended.report["partial"] == "stopped by SIGINT"
        assert "in a read-only transaction" in ended.report["cause"]
    until(lambda: count(client, "pg_settings", f"{READ_ONLY} and setting = 'off'") == 1)
    assert_clean(ended)


# The floor.


@pytest.mark.faults
def test_a_run_that_would_cross_the_floor_is_refused(tmp_path: Path, url: str) -> None:
    ended = stressrun(tmp_path, WRITTEN, TEST_DATABASE_URL=url, FLOOR="14")
    assert_survived(ended, 3, f"the run needs {WORKERS + ASIDE} connections", url=url)
    assert "20 are free, and 14 must stay free (database.min_free_connections)" in ended.output


@pytest.mark.faults
def test_the_floor_is_kept_while_others_come_and_go(
    tmp_path: Path, url: str, client: Client
) -> None:
    client.execute("drop role if exists ordinary")
    client.execute("create role ordinary login")
    floor, left = 5, 2
    others = MOST_CLIENTS - floor - ASIDE - left - 1
    run = started(tmp_path, url, FLOOR=str(floor))
    ordinary = url.replace("postgres@", "ordinary@")
    with ExitStack() as stack:
        for _ in range(others):
            stack.enter_context(connected(ordinary))
        until(lambda: sessions(client) == ASIDE + left)
        run.wait_for(f"{WORKERS} at most, {left} allowed now; {floor} free on the server")
        connected(ordinary).close()
    until(lambda: sessions(client) == ASIDE + WORKERS)
    run.wait_for(f" {WORKERS} active, 0 idle, {WORKERS} at most;")
    run.signal(signal.SIGINT)
    ended = run.end()
    assert_survived(ended, 130, "stopped by SIGINT", url=url)
    pool = ended.report["stages"][0]["pool"]
    assert (pool["most"], pool["most_active"]) == (WORKERS, WORKERS)
    assert pool["least_allowed"] <= left
    assert pool["least_server_free"] <= floor
    assert f"; cut to {pool['least_allowed']} for a while" in ended.output
    assert row_of(ended)["errors"] == {}


# Signals.


@pytest.mark.faults
def test_a_lock_on_a_table_that_is_to_be_removed(tmp_path: Path, url: str, client: Client) -> None:
    run = started(tmp_path, url, GRACE="0s")
    dropping = "query like 'drop table%'"
    with all_waiting(url):
        run.signal(signal.SIGINT)
        until(lambda: sessions(client, f"{dropping} and {WAITING}") == 1)
        run.call()
    ended = run.end()
    assert_survived(ended, 130, "stopped by SIGINT", url=url)


@pytest.mark.faults
def test_inserts_that_are_cancelled_are_not_in_the_table(
    tmp_path: Path, url: str, client: Client
) -> None:
    run = started(tmp_path, url, "--keep", GRACE="0s")
    with all_waiting(url):
        run.signal(signal.SIGINT)
        ended = run.end()
    assert_survived(ended, 130, "stopped by SIGINT", url=url, kept=True)
    row = row_of(ended)
    assert (row["failed"], row["interrupted"], row["unknown"]) == (0, WORKERS, 0)
    assert_rows_are_there(client, row)
    assert_clean(ended)


@pytest.mark.faults
def test_a_second_signal_ends_at_once(tmp_path: Path, url: str, client: Client) -> None:
    run = started(tmp_path, url, GRACE="60s")
    with all_waiting(url):
        run.wait_for(" s · connections: ")  # and nothing else: all that was done before is told
        run.signal(signal.SIGINT)
        run.wait_for("again: end at once")
        run.signal(signal.SIGINT)
        ended = run.end()
        until(lambda: sessions(client) == 0)
    cause = "teardown could not remove everything: table written"
    assert_survived(ended, 130, cause, url=url, kept=True, grace=0)
    assert ended.report["verdict"] == "interrupted"
    row = row_of(ended)
    assert row["unknown"] == WORKERS
    assert_rows_are_there(client, row)
    assert_clean(ended, left=True)
