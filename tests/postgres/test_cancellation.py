"""A cancelled scope ends what it ran at the server too, and the truth about it is known."""

from __future__ import annotations

import os
import signal
from collections import Counter
from random import Random

import psycopg
import pytest
import trio
from postgres_samples import Connecting, ask, rows_of

from stressrun.postgres import connection as connection_module
from stressrun.postgres.connection import Connection

WITHIN = 20
"""Seconds in which what must end at once has ended, on any machine."""


async def wait_until_idle(connection: Connection) -> None:
    with trio.fail_after(WITHIN):
        while await ask(
            connection,
            "select count(*) from pg_stat_activity where datname = current_database()"
            " and pid <> pg_backend_pid() and state <> 'idle'",
        ):
            await trio.sleep(0.01)


async def wait_until_busy(connection: Connection, pid: int) -> None:
    with trio.fail_after(WITHIN):
        while (
            await ask(
                connection,
                f"select count(*) from pg_stat_activity where pid = {pid} and state = 'active'"
                " and wait_event_type is not null",
            )
            != 1
        ):
            await trio.sleep(0.005)


async def test_a_cancelled_statement_ends_at_the_server(connection: Connection) -> None:
    with trio.fail_after(WITHIN), trio.move_on_after(0.05) as scope:
        await connection.execute("select pg_sleep(3600)")
    assert scope.cancelled_caught
    assert connection.cancelled_outcome == "not_applied"
    assert await ask(connection, "select 1") == 1


async def test_nothing_is_sent_in_a_cancelled_scope(connection: Connection) -> None:
    await connection.execute("create table t (n int)")
    with trio.CancelScope() as scope:
        scope.cancel()
        await connection.execute("insert into t values (1)")
    assert scope.cancelled_caught
    assert connection.cancelled_outcome == "not_applied"
    assert await ask(connection, "select count(*) from t") == 0


async def test_a_statement_that_had_ended_before_its_cancellation_is_applied(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await connection.execute("create table t (n int)")

    async def too_late() -> None:
        await trio.sleep(0)

    monkeypatch.setattr(connection, "_request_cancel", too_late)
    with trio.move_on_after(0.02) as scope:
        await connection.execute("insert into t select 1 from pg_sleep(0.1)")
    assert scope.cancelled_caught
    assert connection.cancelled_outcome == "applied"
    assert await ask(connection, "select count(*) from t") == 1


async def test_a_request_to_cancel_that_came_too_early_is_repeated(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = []
    request = connection._request_cancel

    async def lost_at_first() -> None:
        requests.append(None)
        if len(requests) > 2:
            await request()

    monkeypatch.setattr(connection, "_request_cancel", lost_at_first)
    with trio.fail_after(WITHIN), trio.move_on_after(0.02) as scope:
        await connection.execute("select pg_sleep(3600)")
    assert scope.cancelled_caught
    assert len(requests) == 3
    assert connection.cancelled_outcome == "not_applied"
    assert not connection.closed


async def test_a_transaction_is_rolled_back_in_a_cancelled_scope(connecting: Connecting) -> None:
    writer, observer = await connecting(), await connecting()
    await writer.execute("create table t (n int)")
    with trio.CancelScope() as scope:
        async with writer.transaction():
            await writer.execute("insert into t values (1)")
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert await ask(observer, "select count(*) from t") == 0
    assert await ask(writer, "select count(*) from pg_locks where locktype = 'relation'") == 1
    async with writer.transaction():
        await writer.execute("insert into t values (2)")
    assert await ask(observer, "select sum(n) from t") == 2


async def test_a_scope_cancelled_before_commit_commits_nothing(connection: Connection) -> None:
    await connection.execute("create table t (n int)")
    with trio.CancelScope() as scope:
        async with connection.transaction():
            await connection.execute("insert into t values (1)")
            scope.cancel()
    assert scope.cancelled_caught
    assert await ask(connection, "select count(*) from t") == 0


async def test_a_commit_cancelled_on_its_way_is_undone(connection: Connection) -> None:
    await connection.execute("""
        create table t (n int);
        create function dawdle() returns trigger language plpgsql as
          $$ begin perform pg_sleep(3600); return null; end $$;
        create constraint trigger slow after insert on t
          deferrable initially deferred for each row execute function dawdle()
    """)
    with trio.fail_after(WITHIN), trio.move_on_after(0.1) as scope:
        async with connection.transaction():
            await connection.execute("insert into t values (1)")
    assert scope.cancelled_caught
    assert connection.cancelled_outcome == "not_applied"
    assert await ask(connection, "select count(*) from t") == 0


async def test_a_copy_cancelled_in_its_block_copies_nothing(connection: Connection) -> None:
    await connection.execute("create table t (n int)")
    with trio.CancelScope() as scope:
        async with connection.cursor().copy("copy t from stdin") as copy:
            await copy.write("1\n" * 1000)
            scope.cancel()
            await copy.write("2\n")
    assert scope.cancelled_caught
    assert connection.cancelled_outcome == "not_applied"
    assert await ask(connection, "select count(*) from t") == 0


async def test_a_copy_out_cancelled_in_its_block_leaves_the_connection_usable(
    connection: Connection,
) -> None:
    with trio.fail_after(WITHIN), trio.CancelScope() as scope:
        statement = "copy (select generate_series(1, 1000000000)) to stdout"
        async with connection.cursor().copy(statement) as copy:
            await copy.read()
            scope.cancel()
            await copy.read()
    assert scope.cancelled_caught
    assert await ask(connection, "select 1") == 1


async def test_a_copy_that_waits_for_a_lock_is_cancelled(connecting: Connecting) -> None:
    writer, holder = await connecting(), await connecting()
    await writer.execute("create table t (n int)")
    async with holder.transaction():
        await holder.execute("lock table t")
        with trio.fail_after(WITHIN), trio.move_on_after(0.05) as scope:
            async with writer.cursor().copy("copy t from stdin"):
                pytest.fail("the table is locked")
    assert scope.cancelled_caught
    assert await ask(writer, "select count(*) from t") == 0


async def test_a_copy_entered_in_spite_of_its_cancellation_costs_the_connection(
    connecting: Connecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, holder = await connecting(), await connecting()
    await writer.execute("create table t (n int)")
    await holder.execute("begin; lock table t")

    async def unlock_instead() -> None:
        await holder.execute("rollback")

    monkeypatch.setattr(writer, "_request_cancel", unlock_instead)
    with trio.move_on_after(0.05) as scope:
        async with writer.cursor().copy("copy t from stdin"):
            pytest.fail("the scope is cancelled")
    assert scope.cancelled_caught
    assert writer.closed
    assert writer.cancelled_outcome == "unknown"
    await wait_until_idle(holder)
    assert await ask(holder, "select count(*) from t") == 0


async def test_a_pipeline_that_is_cancelled_costs_the_connection(connecting: Connecting) -> None:
    writer, observer = await connecting(), await connecting()
    with trio.fail_after(WITHIN), trio.move_on_after(0.05) as scope:
        await writer.cursor().executemany("select pg_sleep(%s)", [(3600,), (3600,)])
    assert scope.cancelled_caught
    assert writer.closed
    assert writer.cancelled_outcome == "unknown"
    await wait_until_idle(observer)


async def test_a_frozen_server_is_given_up(
    connecting: Connecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "GRACE", 0.2)
    frozen, observer = await connecting(), await connecting()
    pid = frozen.info.backend_pid
    try:
        with trio.fail_after(WITHIN), trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:

                async def freeze() -> None:
                    await wait_until_busy(observer, pid)
                    os.kill(pid, signal.SIGSTOP)
                    scope.cancel()

                nursery.start_soon(freeze)
                async with frozen.transaction():
                    await frozen.execute("select pg_sleep(3600)")
        assert scope.cancelled_caught
        assert frozen.closed
        assert frozen.cancelled_outcome == "unknown"
    finally:
        os.kill(pid, signal.SIGCONT)
    await wait_until_idle(observer)


async def test_a_lost_connection_is_an_error_and_no_cancellation(connecting: Connecting) -> None:
    lost, observer = await connecting(), await connecting()
    async with trio.open_nursery() as nursery:

        async def end() -> None:
            await wait_until_busy(observer, lost.info.backend_pid)
            await observer.execute("select pg_terminate_backend(%s)", (lost.info.backend_pid,))

        nursery.start_soon(end)
        with pytest.raises(psycopg.errors.AdminShutdown):
            await lost.execute("select pg_sleep(3600)")
    assert lost.closed


async def test_a_copy_that_never_blocks_gives_the_loop_its_turns(connection: Connection) -> None:
    await connection.execute("create table t (n int)")
    with trio.move_on_after(0.05) as scope:
        async with connection.cursor().copy("copy t from stdin") as copy:
            for _ in range(2_000_000):
                await copy.write("1\n")
    assert scope.cancelled_caught


async def test_a_socket_that_waits_for_either_direction_is_cancelled_plainly(
    connecting: Connecting,
) -> None:
    """No nursery is involved, which would wrap what is raised in a group."""
    frozen, observer = await connecting(), await connecting()
    pid = frozen.info.backend_pid
    os.kill(pid, signal.SIGSTOP)
    try:
        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()

            async def thaw() -> None:
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
                os.kill(pid, signal.SIGCONT)

            nursery.start_soon(thaw)
            with scope, pytest.raises(trio.Cancelled):
                await frozen.execute("select %s::text", ("x" * 16_000_000,))
    finally:
        os.kill(pid, signal.SIGCONT)
    await wait_until_idle(observer)


class Client:
    """Writes numbers in several ways, each cut off at a random moment, and keeps the truth."""

    def __init__(self, connecting: Connecting, random: Random) -> None:
        self._connecting = connecting
        self._random = random
        self._connection: Connection | None = None
        self.told: dict[int, str] = {}
        self.opened = 0

    async def run(self, numbers: range) -> None:
        ways = [self._execute, self._statement, self._transaction, self._copy, self._slow]
        for number in numbers:
            if self._connection is None or self._connection.closed:
                self._connection = await self._connecting()
                self.opened += 1
            patience = self._random.choice([self._random.random() * 0.004, 10])
            with trio.move_on_after(patience) as scope:
                await self._random.choice(ways)(self._connection, number)
            outcome = self._connection.cancelled_outcome
            self.told[number] = outcome if scope.cancelled_caught else "applied"

    async def _execute(self, connection: Connection, number: int) -> None:
        await connection.execute("insert into t values (%s), (%s)", (number, number))

    async def _statement(self, connection: Connection, number: int) -> None:
        await connection.statement(b"insert into t values ($1), ($1)").run([b"%d" % number])

    async def _transaction(self, connection: Connection, number: int) -> None:
        async with connection.transaction():
            await connection.execute("insert into t values (%s)", (number,))
            await connection.execute("insert into t values (%s)", (number,))

    async def _copy(self, connection: Connection, number: int) -> None:
        async with connection.cursor().copy("copy t from stdin") as copy:
            await copy.write(f"{number}\n")
            await copy.write(f"{number}\n")

    async def _slow(self, connection: Connection, number: int) -> None:
        slow = b"insert into t select $1::bigint from generate_series(1, 2), pg_sleep(0.01)"
        await connection.statement(slow).run([b"%d" % number])


async def test_after_hundreds_of_random_cancellations_the_table_holds_what_was_told(
    connecting: Connecting,
) -> None:
    observer = await connecting()
    await observer.execute("create table t (n bigint)")
    clients = [Client(connecting, Random(seed)) for seed in range(6)]
    with trio.fail_after(3 * WITHIN):
        async with trio.open_nursery() as nursery:
            for place, client in enumerate(clients):
                nursery.start_soon(client.run, range(place * 1000, place * 1000 + 250))
        await wait_until_idle(observer)
    found = dict(await rows_of(observer, "select n, count(*) from t group by n"))
    told = {number: outcome for client in clients for number, outcome in client.told.items()}
    assert set(found.values()) == {2}
    assert {number for number, outcome in told.items() if outcome == "applied"} <= set(found)
    assert set(found) <= {number for number, outcome in told.items() if outcome != "not_applied"}
    counted = Counter(told.values())
    assert counted["applied"] > 90
    assert counted["not_applied"] > 90
    # Only a COPY or a transaction that was cut off while it was entered costs its connection.
    assert counted["unknown"] <= sum(client.opened for client in clients) < len(told) / 4
