from __future__ import annotations

import socket
from collections.abc import Iterator

import psycopg
import pytest
import trio
from postgres_samples import ask, with_parts

from stressrun.errors import RefusedError, SetupError
from stressrun.postgres.connection import Connection, connect
from stressrun.postgres.url import DatabaseUrl
from stressrun.safety.guard import Guard


@pytest.fixture
def limited_role(postgres_url: str) -> Iterator[str]:
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("create role limited login password 'known' connection limit 0")
        yield "limited"
        admin.execute("drop role limited")


async def test_a_session_bears_the_run_and_limits_what_it_holds_up(connection: Connection) -> None:
    assert connection.autocommit
    settings = {
        "application_name": "stressrun/r1",
        "lock_timeout": "30s",
        "idle_in_transaction_session_timeout": "1min",
        "client_connection_check_interval": "500ms",
    }
    for name, value in settings.items():
        assert await ask(connection, f"show {name}") == value


@pytest.mark.parametrize("part", ["host", "hostaddr"])
async def test_an_address_that_is_not_allowed_is_never_connected_to(
    database_url: str, part: str
) -> None:
    with pytest.raises(RefusedError):
        await connect(with_parts(database_url, **{part: "192.0.2.1"}), guard=Guard(), run_id="r1")


async def test_the_environment_cannot_lead_elsewhere(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")
    monkeypatch.setenv("PGHOST", "192.0.2.1")
    async with await connect(database_url, guard=Guard(), run_id="r1") as connection:
        assert await ask(connection, "select 1") == 1
    with pytest.raises(SetupError, match="No such file"):
        await connect(
            with_parts(database_url, host="/nowhere"), guard=Guard(), run_id="r1", timeout=5
        )


@pytest.mark.parametrize(
    ("parts", "message", "hint"),
    [
        ({"port": "1"}, "Connection refused", "start the server"),
        ({"dbname": "nosuch"}, 'database "nosuch" does not exist', "create the database"),
        ({"password": "s3cret"}, "password authentication failed", "password"),
        ({"user": "nosuch", "password": "s3cret"}, "authentication failed", "user"),
        ({"user": "limited", "password": "known"}, "too many connections", "max_connections"),
    ],
)
async def test_a_refused_connection_says_why_and_what_to_do(
    database_url: str, limited_role: str, parts: dict[str, str], message: str, hint: str
) -> None:
    url = with_parts(database_url, **parts)
    with pytest.raises(SetupError) as caught:
        await connect(url, guard=Guard(), run_id="r1")
    place = str(DatabaseUrl.of(url))
    assert place in caught.value.message
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert "s3cret" not in caught.value.message + caught.value.hint
    assert "\n" not in caught.value.message


async def test_a_server_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u:s3cret@127.0.0.1:{silent.getsockname()[1]}/db"
        with pytest.raises(SetupError, match="did not answer within"):
            await connect(url, guard=Guard(), run_id="r1", timeout=0.1)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:s3/cret@localhost/db",
        "postgresql://user:s3cret@localhost:port/db",
        "postgresql://user:s3cret@localhost/db?nosuch=1",
        "mysql://user:s3cret@localhost/db",
    ],
)
def test_an_unreadable_url_is_told_without_what_it_holds(url: str) -> None:
    with pytest.raises(SetupError) as caught:
        DatabaseUrl.of(url)
    assert "s3" not in str(caught.value)
    assert "%40" in caught.value.hint


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:p@db.test:6543/shop", "db.test:6543/shop"),
        ("postgresql://u:p@[::1]/shop", "[::1]:5432/shop"),
        ("postgresql:///shop", "localhost:5432/shop"),
        ("host=/run/pg dbname=shop", "/run/pg:5432/shop"),
    ],
)
def test_a_url_is_shown_as_where_it_points(url: str, shown: str) -> None:
    assert str(DatabaseUrl.of(url)) == shown


async def test_leaving_a_block_closes_in_a_cancelled_scope_too(database_url: str) -> None:
    with trio.CancelScope() as scope:
        async with await connect(database_url, guard=Guard(), run_id="r1") as connection:
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert connection.closed
