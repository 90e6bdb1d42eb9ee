"""Connections to a database of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from stressrun.postgres.connection import Connection, connect
from stressrun.safety.guard import Guard
from stressrun.safety.ledger import Ledger, open_ledger

Connecting = Callable[[], Awaitable[Connection]]


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
