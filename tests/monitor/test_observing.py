"""What a look at a real server shows of its sessions, and who of them waits for whom."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
import trio
from looks import Connecting

from pgbouncer import needs_pgbouncer, pgbouncer
from stressrun.postgres.connection import connect
from stressrun.postgres.observation import Sample
from stressrun.postgres.observing import NotSeen, Observer
from stressrun.safety.guard import Guard
from stressrun.scenario.model import Database


@pytest.fixture
async def observer(shop_url: str) -> AsyncIterator[Observer]:
    observer = Observer(Database(shop_url), Guard(), run_id="r1")
    await observer.connect()
    yield observer
    observer.close()


async def look_at(observer: Observer, waiting: int) -> Sample:
    """The first sample that shows so many waiting sessions."""
    while True:
        sample = (await observer.look()).sample()
        if len(sample.waiters) == waiting:
            return sample


@pytest.mark.parametrize(
    ("hold", "wait", "lock", "relation"),
    [
        ("update products set stock = 2 where id = 1",) * 2 + ("row", "products"),
        ("select from products where id = 2 for update", "delete from products", "row", "products"),
        (
            "update products set id = 9 where id = 1",
            "insert into orders values (1, 1)",
            "row",
            "products",
        ),
        (
            "insert into orders values (1, 1, 'x')",
            "insert into orders values (2, 2, 'x')",
            "row",
            "orders",
        ),
        ("lock table products", "select from products", "table", "products"),
        ('lock table "Odd name"', 'select from "Odd name"', "table", '"Odd name"'),
        ("select pg_advisory_xact_lock(42)",) * 2 + ("advisory", None),
    ],
)
async def test_who_waits_for_whom_and_for_what(
    connecting: Connecting,
    observer: Observer,
    hold: str,
    wait: str,
    lock: str,
    relation: str | None,
) -> None:
    holder, waiter = await connecting("holder"), await connecting("waiter")
    await holder.execute("begin")
    await holder.execute(hold)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiter.execute, wait)
        sample = await look_at(observer, waiting=1)
        nursery.cancel_scope.cancel()
    (found,) = sample.waiters
    holding = sample.holders()[found.pid]
    blocker = sample.backends[holding]
    assert (found.pid, found.lock, found.relation) == (waiter.info.backend_pid, lock, relation)
    assert holding == holder.info.backend_pid
    assert (blocker.application, blocker.state) == ("stressrun/holder", "idle in transaction")
    assert sample.backends[found.pid].application == "stressrun/waiter"
    assert found.waited is not None
    assert found.waited >= 0


async def test_a_queue_for_one_row_waits_for_the_one_that_holds_it(
    connecting: Connecting, observer: Observer
) -> None:
    update = "update products set stock = stock + 1 where id = 1"
    holder = await connecting("holder")
    await holder.execute("begin")
    await holder.execute(update)
    async with trio.open_nursery() as nursery:
        for number in range(4):
            waiter = await connecting(f"waiter {number}")
            nursery.start_soon(waiter.execute, update)
        sample = await look_at(observer, waiting=4)
        nursery.cancel_scope.cancel()
    assert set(sample.holders().values()) == {holder.info.backend_pid}
    assert {each.relation for each in sample.waiters} == {"products"}
    statements = {sample.backends[each.pid].statement for each in sample.waiters}
    assert statements == {update}


async def test_sessions_are_those_of_the_database_and_clients_those_of_the_server(
    postgres_url: str, connecting: Connecting, observer: Observer
) -> None:
    here = await connecting("here")
    await here.execute("begin")
    async with await connect(postgres_url, guard=Guard(), run_id="there"):
        both = (await observer.look()).sample()
    assert [(each.state, each.wait_event, each.number) for each in both.sessions] == [
        ("idle in transaction", "ClientRead", 1)
    ]
    assert both.longest_transaction is not None
    await here.rollback()
    assert observer.limit == 97


async def test_clients_are_counted_on_the_whole_server(
    postgres_url: str, observer: Observer
) -> None:
    with trio.fail_after(30):
        added = 0
        # Sessions of tests before this one may end between the two looks.
        while added != 2:
            before = (await observer.look()).sample()
            async with (
                await connect(postgres_url, guard=Guard(), run_id="one"),
                await connect(postgres_url, guard=Guard(), run_id="two"),
            ):
                added = (await observer.look()).sample().clients - before.clients


async def test_a_role_that_may_not_sees_how_many_are_hidden(
    shop_url: str, observer: Observer, connecting: Connecting
) -> None:
    admin = await connecting("admin")
    await admin.execute("create role stranger login password 'known'")
    parts = urlsplit(shop_url)
    url = parts._replace(netloc=f"stranger:known@{parts.hostname}:{parts.port}").geturl()
    stranger = Observer(Database(url), Guard(), run_id="r2")
    try:
        await stranger.connect()
        seen = (await stranger.look()).sample()
        all_of_it = (await observer.look()).sample()
        assert (await stranger.read()).counters["database"]["datname"] == "shop"
    finally:
        stranger.close()
        await admin.execute("drop role stranger")
    assert (seen.clients, all_of_it.hidden) == (0, 0)
    # Neither sees itself; both others are hidden from the stranger.
    assert seen.hidden == all_of_it.clients >= 2


@needs_pgbouncer
async def test_it_sees_as_much_through_a_pooler(shop_url: str, connecting: Connecting) -> None:
    holder, waiter = await connecting("holder"), await connecting("waiter")
    await holder.execute("begin")
    await holder.execute("lock table orders")
    with pgbouncer(shop_url) as url:
        observer = Observer(Database(url), Guard(), run_id="r1")
        await observer.connect()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(waiter.execute, "select from orders")
            sample = await look_at(observer, waiting=1)
            nursery.cancel_scope.cancel()
        assert sample.holders() == {waiter.info.backend_pid: holder.info.backend_pid}
        assert (await observer.read()).counters["database"]["datname"] == "shop"
        observer.close()


async def test_a_look_that_the_server_ends_says_why_and_the_next_goes_on(
    observer: Observer, connecting: Connecting
) -> None:
    admin = await connecting("admin")
    await admin.execute(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
        " where application_name = 'stressrun/r1'"
    )
    with pytest.raises(NotSeen, match="57P01 admin_shutdown: terminating connection"):
        await observer.look()
    assert not observer.connected
    await observer.connect()
    assert (await observer.look()).sample().clients >= 1


async def test_a_look_does_not_wait_for_a_lock(observer: Observer, connecting: Connecting) -> None:
    admin = await connecting("admin")
    async with admin.transaction(force_rollback=True):
        await admin.execute("lock table pg_catalog.pg_database")
        with pytest.raises(NotSeen, match="55P03 lock_not_available"):
            await observer.look()
    await observer.look()


async def test_a_server_that_is_not_there_is_not_seen(shop_url: str) -> None:
    observer = Observer(Database(shop_url + "_gone"), Guard(), run_id="r1")
    with pytest.raises(NotSeen, match="does not exist"):
        await observer.connect()
    assert not observer.connected
    assert observer.limit == 0
