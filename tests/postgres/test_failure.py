from __future__ import annotations

import psycopg
import pytest

from stressrun.postgres.connection import Connection
from stressrun.postgres.failure import error_kind, is_lost_word


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("select 1 / 0", "22012 division_by_zero"),
        ("insert into t values (1), (1)", "23505 unique_violation"),
        ("select * from nosuch", "42P01 undefined_table"),
        ("do $$ begin raise sqlstate 'ZX123'; end $$", "ZX123"),
        ("select pg_terminate_backend(pg_backend_pid())", "57P01 admin_shutdown"),
    ],
)
async def test_an_error_is_counted_under_its_sqlstate_and_name(
    connection: Connection, query: str, kind: str
) -> None:
    await connection.execute("create table t (n int unique)")
    with pytest.raises(psycopg.Error) as caught:
        await connection.execute(query)
    assert error_kind(caught.value) == kind


async def test_an_error_without_a_sqlstate_is_a_lost_connection_or_named_by_itself(
    connection: Connection,
) -> None:
    with pytest.raises(psycopg.DataError) as refused:
        await connection.execute("select %s", ("\0",))
    assert error_kind(refused.value) == "data_error"
    await connection.close()
    with pytest.raises(psycopg.OperationalError) as lost:
        await connection.execute("select 1")
    assert error_kind(lost.value) == "connection_lost"


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (psycopg.OperationalError("server closed the connection unexpectedly"), True),
        (psycopg.errors.ProtocolViolation("server conn crashed?"), True),
        (psycopg.errors.ConnectionFailure(), True),
        (psycopg.errors.AdminShutdown(), False),
        (psycopg.errors.UniqueViolation(), False),
    ],
)
def test_what_tells_of_the_connection_says_nothing_of_the_statement(
    error: psycopg.Error, lost: bool
) -> None:
    assert is_lost_word(error) is lost
