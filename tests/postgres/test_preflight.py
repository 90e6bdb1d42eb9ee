"""What is asked of a server before anything is written to it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import AsyncExitStack

import psycopg
import pytest
from postgres_samples import with_parts
from psycopg import sql

from stressrun.errors import SetupError
from stressrun.postgres.connection import Connection, connect
from stressrun.postgres.preflight import Limit, Slots, check_floor, examine, slots
from stressrun.postgres.url import DatabaseUrl
from stressrun.safety.guard import Guard
from stressrun.scenario.model import Database

SERVER = Slots(max_connections=100, reserved=3, clients=91)
LIMITS = (Limit("the role app", 10, 3), Limit("the database shop", 30, 20))


@pytest.fixture
def ordinary_url(postgres_url: str) -> Iterator[str]:
    """The URL of a role that is no superuser, and may have 7 connections."""
    name = f"ordinary_{secrets.token_hex(4)}"
    role = sql.Identifier(name)
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        create = "create role {} login password 'known' connection limit 7"
        admin.execute(sql.SQL(create).format(role))
        yield with_parts(postgres_url, user=name, password="known")
        admin.execute(sql.SQL("drop role {}").format(role))


@pytest.mark.parametrize(
    ("found", "needed", "free"),
    [
        (SERVER, 2, 6),
        (Slots(100, 3, 1), 92, 96),
        (Slots(100, 3, 10, LIMITS), 3, 7),
        (Slots(100, 3, 95, LIMITS), 1, 2),
    ],
)
def test_a_run_that_leaves_enough_connections_is_taken(
    found: Slots, needed: int, free: int
) -> None:
    assert found.free == free
    # The connection that has asked is the run's own.
    check_floor(found, needed, found.free + 1 - needed)
    with pytest.raises(SetupError):
        check_floor(found, needed, found.free + 2 - needed)


@pytest.mark.parametrize(
    ("found", "needed", "message", "hint"),
    [
        (
            SERVER,
            14,
            "the run needs 14 connections; the server has 100, 3 of them reserved, 90 in use by "
            "others: 7 are free, and 5 must stay free (database.min_free_connections)",
            "close other clients, give the stages fewer workers (max_workers beside a rate), "
            "or raise max_connections to 112",
        ),
        (
            Slots(100, 3, 98),
            1,
            "the run needs 1 connection; the server has 100, 3 of them reserved, 97 in use by "
            "others: 0 are free, and 5 must stay free (database.min_free_connections)",
            "max_connections to 106",
        ),
        (
            Slots(100, 3, 10, LIMITS),
            6,
            "the run needs 6 connections; the role app may have 10, 2 in use by others: 8 are free,"
            " and 5 must stay free (database.min_free_connections)",
            "or raise its connection limit to 13",
        ),
    ],
)
def test_a_refusal_spells_the_arithmetic_out(
    found: Slots, needed: int, message: str, hint: str
) -> None:
    with pytest.raises(SetupError) as caught:
        check_floor(found, needed, 5)
    assert caught.value.message == message
    assert hint in caught.value.hint


async def test_clients_are_counted_whoever_asks(postgres_url: str, ordinary_url: str) -> None:
    async with AsyncExitStack() as stack:

        async def opened(url: str) -> Connection:
            connection = await connect(url, guard=Guard(), run_id="r1")
            return await stack.enter_async_context(connection)

        superuser, ordinary = await opened(postgres_url), await opened(ordinary_url)
        for _ in range(3):
            await opened(ordinary_url)
        found = await slots(superuser)
        assert found == Slots(100, 3, found.clients)
        assert found.free == 97 - found.clients <= 97 - 5
        found = await slots(ordinary)
        assert found.clients >= 5
        assert (found.limits[0].most, found.limits[0].clients, found.free) == (7, 4, 3)


async def test_the_connection_limit_of_a_database_counts(
    postgres_url: str, ordinary_url: str
) -> None:
    name = f"limited_{secrets.token_hex(4)}"
    database = sql.Identifier(name)
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {} connection limit 4").format(database))
        url = with_parts(ordinary_url, dbname=name)
        async with await connect(url, guard=Guard(), run_id="r1") as connection:
            found = await slots(connection)
        admin.execute(sql.SQL("drop database {} with (force)").format(database))
    assert found.limits[1] == Limit(f"the database {name}", 4, 1)
    assert found.free == 3


async def test_what_was_found_is_told_in_a_line(connection: Connection, database_url: str) -> None:
    (line,) = await examine(connection, Database(database_url), needed=4, writes=True)
    version = connection.info.server_version
    server = f"PostgreSQL {version // 10_000}.{version % 10_000} at {DatabaseUrl.of(database_url)}"
    assert line.startswith(f"{server}: 97 connections for clients, ")
    assert line.endswith(" in use by others, the run needs up to 4")


async def test_a_read_only_database_is_told_before_it_is_written(database_url: str) -> None:
    url = with_parts(database_url, options="-c default_transaction_read_only=on")
    async with await connect(url, guard=Guard(), run_id="r1") as connection:
        with pytest.raises(SetupError, match="cannot be written: its transactions are read only"):
            await examine(connection, Database(url), needed=1, writes=True)
        assert len(await examine(connection, Database(url), needed=1, writes=False)) == 1


async def test_an_old_server_is_refused(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psycopg.ConnectionInfo, "server_version", 110022)
    with pytest.raises(SetupError, match="PostgreSQL 11, and the oldest that is supported is 12"):
        await examine(connection, Database("postgresql://"), needed=1, writes=False)
