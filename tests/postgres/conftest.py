"""Connections to a schema of the test's own, which is made faster than a database."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import psycopg
import pytest
from postgres_samples import Connecting
from psycopg import sql

from stressrun.postgres.connection import Connection, connect
from stressrun.safety.guard import Guard
from stressrun.safety.ledger import Ledger, open_ledger


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    """The URL of the server's database, with a fresh schema as the place of all names."""
    schema = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))
        yield f"{postgres_url}?options=-csearch_path%3D{schema}"
        admin.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(schema)))


@pytest.fixture
async def connecting(database_url: str) -> AsyncIterator[Connecting]:
    """Opens connections that are closed when the test has ended."""
    async with AsyncExitStack() as stack:

        async def open_one() -> Connection:
            connection = await connect(database_url, guard=Guard(), run_id="r1")
            stack.push_async_callback(connection.close)
            return connection

        yield open_one


@pytest.fixture
async def connection(connecting: Connecting) -> Connection:
    return await connecting()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path) as opened:
        yield opened
