"""How a run finds its database, and what it asks of it before it writes anything."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from runs import PATIENCE, assert_nothing_is_left, stressrun

from pgbouncer import needs_pgbouncer, pgbouncer
from postgres_server import running_server

AUDIT = Path(__file__).with_name("audit.yaml")


def assert_database_is_untouched(url: str) -> None:
    """No table of the run's, and no session once those that end have ended."""
    deadline = time.monotonic() + PATIENCE
    with psycopg.connect(url, autocommit=True) as connection:
        sessions = "select count(*) from pg_stat_activity where application_name ~ '^stressrun/'"
        while connection.execute(sessions).fetchone() != (0,):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert connection.execute("select to_regclass('audit')").fetchone() == (None,)


def test_a_run_that_would_cross_the_floor_is_refused(tmp_path: Path) -> None:
    with (
        running_server(tmp_path, {"max_connections": "20", "fsync": "off"}) as url,
        ExitStack() as stack,
    ):
        for _ in range(10):
            stack.enter_context(psycopg.connect(url))
        ended = stressrun(tmp_path, AUDIT, TEST_DATABASE_URL=url)
        assert ended.code == 3
        _, _, told = ended.output.partition("cause: ")
        assert told.splitlines()[:2] == [
            "the run needs 7 connections; the server has 20, 3 of them reserved, 10 in use by "
            "others: 7 are free, and 5 must stay free (database.min_free_connections)",
            "remedy: close other clients, give the stages fewer workers "
            "(max_workers beside a rate), or raise max_connections to 25",
        ]
        assert_database_is_untouched(url)
        assert_nothing_is_left(ended)


def test_a_read_only_database_is_refused_before_it_is_seeded(
    tmp_path: Path, database_url: str
) -> None:
    url = f"{database_url}?options=-cdefault_transaction_read_only%3Don"
    ended = stressrun(tmp_path, AUDIT, TEST_DATABASE_URL=url)
    assert ended.code == 3
    assert "its database cannot be written: its transactions are read only" in ended.output
    assert_database_is_untouched(database_url)


@pytest.mark.faults
@needs_pgbouncer
def test_a_run_through_pgbouncer_that_a_service_file_names(
    tmp_path: Path, database_url: str
) -> None:
    with pgbouncer(database_url) as url:
        settings = "\n".join(f"{name}={value}" for name, value in conninfo_to_dict(url).items())
        (tmp_path / "services").write_text(f"[bounced]\n{settings}\n")
        ended = stressrun(
            tmp_path,
            AUDIT,
            TEST_DATABASE_URL="service=bounced",
            PGSERVICEFILE=str(tmp_path / "services"),
        )
        assert ended.code == 0, ended.output
        assert ended.output.count("PgBouncer or another pooler stands before it") == 1
        operations = ended.rows("operation")
        assert len(operations) == 8
        assert all(row["planned"] == row["succeeded"] > 0 for row in operations.values())
    assert_database_is_untouched(database_url)
