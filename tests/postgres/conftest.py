"""Connections to a schema of the test's own, which is made faster than a database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from postgres_samples import Connecting

from stressrun.postgres.connection import Connection, connect
from stressrun.safety.guard import Guard
from stressrun.safety.ledger import Ledger, open_ledger


@pytest.fixture
def database_url(schema_url: str) -> str:
    return schema_url


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
