"""The monitor on a real server: what it finds is what was done, and nothing ends it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import psycopg
import pytest
import trio
from looks import Connecting

from stressrun.metrics.histogram import Histogram
from stressrun.monitor.postgres import PostgresMonitor, watching
from stressrun.postgres.connection import Connection
from stressrun.safety.guard import Guard
from stressrun.scenario.model import Database

PATIENCE = 60


@asynccontextmanager
async def watched(url: str, mask: Callable[[str], str] = str) -> AsyncIterator[PostgresMonitor]:
    """A monitor in a stage that has begun."""
    async with watching(Database(url), Guard(), run_id="r1", mask=mask) as monitor:
        assert monitor is not None
        await monitor.prepare()
        monitor.start(time.monotonic_ns())
        yield monitor


async def until(connection: Connection, question: str) -> None:
    """Wait until a question to the server is answered by true."""
    with trio.fail_after(PATIENCE):
        while await (await connection.execute(question)).fetchone() != (True,):
            await trio.sleep(0.01)


async def flush(connection: Connection) -> None:
    """Have a session tell its statistics now, which takes one transaction."""
    await connection.execute("select pg_stat_force_next_flush()")


def is_waiting(connection: Connection) -> str:
    return (
        "select exists (select from pg_locks"
        f" where pid = {connection.info.backend_pid} and not granted)"
    )


async def test_a_lock_wait_names_blocker_waiter_and_relation(
    shop_url: str, connecting: Connecting
) -> None:
    holder, waiter, admin = [await connecting(name) for name in ("holder", "waiter", "admin")]
    async with watched(shop_url) as monitor:
        await holder.execute("begin")
        await holder.execute("update products set stock = 5 where id = 1")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(waiter.execute, "delete from products where id = 1")
            await until(admin, is_waiting(waiter))
            found = await monitor.finish(Histogram())
            nursery.cancel_scope.cancel()
    (pair,) = found.lock_waits.pairs
    assert (pair.place, pair.count) == ("products", 1)
    assert pair.blocker.pid == holder.info.backend_pid
    assert pair.blocker.application == "stressrun/holder"
    assert pair.blocker.state == "idle in transaction"
    assert pair.blocker.statement == "update products set stock = ? where id = ?"
    assert pair.waiter.pid == waiter.info.backend_pid
    assert pair.waiter.statement == "delete from products where id = ?"
    assert 0 < pair.longest == found.lock_waits.longest
    assert any((wait.wait_class, wait.event) == ("Lock", "transactionid") for wait in found.waits)


async def test_commits_and_rollbacks_are_those_that_were_made(
    shop_url: str, connecting: Connecting
) -> None:
    session = await connecting("session")
    await flush(session)
    async with watched(shop_url) as monitor:
        for _ in range(7):
            await session.execute("update products set stock = stock where id = 2")
        for _ in range(3):
            async with session.transaction(force_rollback=True):
                await session.execute("delete from products where id = 3")
        await flush(session)
        found = (await monitor.finish(Histogram())).statistics
        monitor.start(time.monotonic_ns())
        after = (await monitor.finish(Histogram())).statistics
    assert found is not None
    # The monitor's own looks do not count, and that the session told of them does.
    assert (found.commits, found.rollbacks) == (7 + 1, 3)
    (table,) = [table for table in found.tables if table.name == "products"]
    assert (table.updated, table.deleted) == (7, 3)
    assert found.wal.bytes
    assert found.cache_hit_ratio is not None
    assert after is not None
    assert (after.commits, after.rollbacks) == (0, 0)


async def test_a_deadlock_is_counted(shop_url: str, connecting: Connecting) -> None:
    sessions = [await connecting("one"), await connecting("other")]
    first, second = sessions
    async with watched(shop_url) as monitor:
        for number, session in enumerate(sessions, 1):
            await session.execute("set deadlock_timeout = '10ms'")
            await session.execute("begin")
            await session.execute(f"select from products where id = {number} for update")

        async def cross(session: Connection, number: int) -> None:
            with suppress(psycopg.errors.DeadlockDetected):
                await session.execute(f"select from products where id = {number} for update")
            await session.execute("rollback")
            await flush(session)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(cross, first, 2)
            nursery.start_soon(cross, second, 1)
        found = await monitor.finish(Histogram())
    assert found.statistics is not None
    assert found.statistics.deadlocks == 1


async def test_a_terminated_monitor_leaves_a_gap_and_goes_on(
    shop_url: str, connecting: Connecting
) -> None:
    admin = await connecting("admin")
    mine = "from pg_stat_activity where application_name = 'stressrun/r1'"
    async with watched(shop_url, lambda text: text.replace("connection", "***")) as monitor:
        (pid,) = await (await admin.execute(f"select pid {mine}")).fetchone() or (0,)
        await admin.execute("select pg_terminate_backend(%s, 5000)", [pid])
        await until(admin, f"select exists (select {mine} and pid <> {pid} and state = 'idle')")
        await flush(admin)
        found = await monitor.finish(Histogram())
    # A look that was under way is told why, one that came after finds the connection closed.
    reasons = ("57P01 admin_shutdown", "***_lost")
    # A machine that is too busy may have left other gaps.
    gap = next(gap for gap in found.gaps if gap.why.startswith(reasons))
    assert "connection" not in gap.why.partition(":")[2]
    assert 0 <= gap.begin < gap.end
    assert found.samples > 0
    assert found.statistics is not None


async def test_a_server_that_refuses_leaves_nothing_but_a_gap(shop_url: str) -> None:
    async with watched(shop_url + "_gone") as monitor:
        found = await monitor.finish(Histogram())
    assert (found.samples, found.connections, found.statistics) == (0, None, None)
    first, statistics = found.gaps
    assert "does not exist" in first.why
    assert statistics.why.startswith("statistics: ")


async def test_counters_that_were_set_back_are_a_gap(shop_url: str, connecting: Connecting) -> None:
    admin = await connecting("admin")
    async with watched(shop_url) as monitor:
        await admin.execute("select pg_stat_reset()")
        found = await monitor.finish(Histogram())
        monitor.start(time.monotonic_ns())
        after = await monitor.finish(Histogram())
    assert found.statistics is None
    assert "statistics: the server set them back to zero" in [gap.why for gap in found.gaps]
    assert after.statistics is not None


@pytest.mark.parametrize(
    "database", [None, replace(Database("postgresql://127.0.0.1/x"), sample_interval=None)]
)
async def test_without_a_database_or_where_it_is_not_wanted_there_is_none(
    database: Database | None,
) -> None:
    async with watching(database, Guard(), run_id="r1", mask=str) as monitor:
        assert monitor is None
