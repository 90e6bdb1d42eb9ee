"""`stressrun clean`: what it would do, does, and leaves alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from stressrun.cli.clean import clean
from stressrun.errors import ResidueError, SetupError, UsageError
from stressrun.run import teardown
from stressrun.safety.ledger import Ledger, open_ledger

STATE = Path(".stressrun")


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """That of the folder in which the command is started."""
    monkeypatch.chdir(tmp_path)
    with open_ledger(STATE) as opened:
        yield opened


def cleaned(*arguments: str) -> Result:
    return CliRunner().invoke(clean, arguments)


def error_of(*arguments: str) -> str:
    error = cleaned(*arguments).exception
    assert isinstance(error, ResidueError | UsageError | SetupError), error
    return f"{error.message} {error.hint}"


def test_a_dry_run_says_what_would_be_done_in_its_order_and_does_nothing(ledger: Ledger) -> None:
    url = "postgresql://app:geheim@127.0.0.1:1/app"
    carts = {"url": url, "table": "carts", "column": "created_by", "value": "r1"}
    ledger.record("r1", "owned", **carts)
    ledger.record("r1", "sql", url=url, sql="delete\n from orders")
    page = "http://127.0.0.1:1/x"
    ledger.record("r1", "request", method="DELETE", url=page, service=None, gone=page)
    ledger.record("r1", "table", url=url, table="shop.products")
    ledger.record("r1", "process", pid=1, name="api", mark="r1/api")
    undo = ["DELETE /carts/1", "DELETE /carts/2"]
    ledger.record("r1", "made", url="http://127.0.0.1:1", service=None, by="POST /carts", undo=undo)
    for arguments in (["--dry-run"], ["r1", "--dry-run"], ["--all", "--dry-run"]):
        result = cleaned(*arguments)
        assert result.exit_code == 0
        assert result.output.splitlines() == [
            "r1: would do",
            "  send to http://127.0.0.1:1: DELETE /carts/1, and 1 more",
            '  in 127.0.0.1:1/app: delete from "carts" where "created_by" = \'r1\'',
            "  in 127.0.0.1:1/app: delete from orders",
            "  send DELETE http://127.0.0.1:1/x, then GET http://127.0.0.1:1/x",
            '  in 127.0.0.1:1/app: drop table "shop"."products"',
            "  end process 1 (api)",
        ]
    assert len(ledger.outstanding("r1")) == 6
    assert "leave one of the options out" in error_of("r1", "--dry-run", "--forget")


def test_a_live_run_is_left_alone(ledger: Ledger) -> None:
    ledger.record("r1", "table", url="postgresql://127.0.0.1:1/app", table="t")
    (STATE / "r1").mkdir()
    with teardown.locked(STATE / "r1"):
        assert cleaned("--dry-run").output == "r1: still running, left alone\n"
        assert "still going on" in error_of("r1")
        assert "still going on" in cleaned("--all").output
    assert len(ledger.outstanding("r1")) == 1


def test_a_process_that_was_about_to_be_started_is_listed_and_settled(ledger: Ledger) -> None:
    ledger.record("r1", "process", name="api", mark="r1/api")
    assert cleaned().output == "r1\n  process ? (api)\n"
    assert cleaned("r1").exit_code == 0
    assert ledger.outstanding() == []


def test_what_another_version_noted_is_left_to_that_one(ledger: Ledger) -> None:
    ledger.record("old", "balloon", colour="red", url="http://127.0.0.1:1/")
    ledger.record("old", "process", name="api")
    ledger.record("old", "table", place="elsewhere")
    assert "name balloon (colour, url), which another version" in cleaned("--dry-run").output
    told = error_of("old")
    entries = ("balloon (colour, url)", "process (name)", "table (place)")
    for entry in entries:
        assert entry in told
    assert told.count("another version of stressrun has noted this") == 3
    assert len(ledger.outstanding("old")) == 3
    forgotten = cleaned("old", "--forget")
    assert forgotten.exit_code == 0
    for entry in entries:
        assert f"old: forgotten: {entry}\n" in forgotten.output
    assert cleaned().output.startswith("nothing is left behind")


def test_what_cannot_be_undone_of_one_run_keeps_no_other_from_it(ledger: Ledger) -> None:
    ledger.record("r1", "process", name="api", mark="r1/api")
    ledger.record("r2", "table", url="no URL, pw=geheim", table="t")
    ledger.record("r3", "hook", url="http://127.0.0.1:1/", headers={"authorization": "geheim"})
    listed = cleaned().output + cleaned("r3", "--dry-run").output
    assert "hook (url, headers)" in listed
    told = error_of("--all")
    assert "hook (url, headers)" in told
    assert "r2: " in told
    assert "geheim" not in told + listed
    assert [entry.run_id for entry in ledger.outstanding()] == ["r3", "r2"]
    assert "r2: forgotten: table t\n" in cleaned("--all", "--forget").output
    assert ledger.outstanding() == []


def test_a_ledger_of_a_newer_version_is_not_touched(ledger: Ledger) -> None:
    ledger._connection.execute("pragma user_version = 2")
    assert "newer version of stressrun" in error_of("--all")


def test_rows_that_bear_the_run_s_id_are_deleted_and_counted(
    ledger: Ledger, database_url: str
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("create table carts (id int, created_by text)")
        connection.execute("insert into carts values (1, 'r1'), (2, 'r1'), (3, 'r2'), (4, null)")
    carts = {"url": database_url, "table": "carts", "column": "created_by", "value": "r1"}
    ledger.record("r1", "owned", **carts)
    result = cleaned("r1")
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "table carts: 2 rows deleted, 0 left",
        "r1: nothing is left behind",
    ]
    with psycopg.connect(database_url) as connection:
        assert connection.execute("select id from carts order by id").fetchall() == [(3,), (4,)]


def test_an_entry_that_is_no_json_is_told(ledger: Ledger) -> None:
    ledger.record("r1", "sql", sql="select 1")
    ledger._connection.execute("update entry set detail = ?", (json.dumps({})[:-1],))
    ledger._connection.commit()
    assert "the ledger could not be used" in error_of("--all")
