"""The driver's contract in nine points, and what it takes from psycopg beyond its public interface.

1. The exits of transactions, pipelines, COPY and connections reach the server in a cancelled scope.
2. A cancelled scope ends what it ran at the server too; a frozen server is given up.
3. Cancelled before COMMIT nothing is applied; cancelled during it, the truth is known.
4. Cancelled while it is entered, a COPY costs the connection; no stale statement is ever named.
5. One task waits for both directions of a socket, without a nursery.
6. Work that never blocks gives the loop its turns.
7. Taking a free lock costs no turn of the loop.
8. Names are resolved by the loop, and what they resolve to is what is connected to.
9. psycopg's private names mean what they meant in the version that this was built on.

When one of these fails after an upgrade of psycopg, read what changed there before anything else.
"""

from __future__ import annotations

import inspect
import os
import selectors
import signal
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import psycopg
import pytest
import trio
from postgres_samples import WITHIN, Connecting, ask, wait_until_busy, wait_until_idle, with_parts
from psycopg.generators import execute
from psycopg.waiting import Ready, Wait

from stressrun.postgres import connection as connection_module
from stressrun.postgres.connection import Connection, connect
from stressrun.postgres.session import Query, Session
from stressrun.safety.guard import Guard


@pytest.mark.parametrize(
    ("enter", "statement"),
    [
        (Connection.transaction, "insert into t values (1)"),
        (Connection.pipeline, "insert into t values (1)"),
        (lambda connection: connection.cursor().copy("copy t from stdin"), None),
        (lambda connection: connection, "begin; insert into t values (1)"),
    ],
    ids=["transaction", "pipeline", "copy", "connection"],
)
async def test_point_1_an_exit_in_a_cancelled_scope_reaches_the_server(
    enter: Callable[[Connection], AbstractAsyncContextManager[object]],
    statement: str | None,
    connecting: Connecting,
) -> None:
    leaving, observer = await connecting(), await connecting()
    await observer.execute("create table t (n int)")
    with trio.fail_after(WITHIN), trio.CancelScope() as scope:
        async with enter(leaving):
            if statement is not None:
                await leaving.execute(statement)
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    await wait_until_idle(observer)
    assert await ask(observer, "select count(*) from pg_locks where relation = 't'::regclass") == 0


async def test_point_2_a_cancelled_statement_ends_at_the_server_too(connection: Connection) -> None:
    with trio.fail_after(WITHIN), trio.move_on_after(0.05) as scope:
        await connection.execute("select pg_sleep(3600)")
    assert scope.cancelled_caught
    assert connection.cancelled_outcome == "not_applied"
    assert await ask(connection, "select 1") == 1


async def test_point_2_a_frozen_server_is_given_up(
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


async def test_point_3_cancelled_before_commit_nothing_is_committed(connection: Connection) -> None:
    await connection.execute("create table t (n int)")
    with trio.CancelScope() as scope:
        async with connection.transaction():
            await connection.execute("insert into t values (1)")
            scope.cancel()
    assert scope.cancelled_caught
    assert await ask(connection, "select count(*) from t") == 0


async def test_point_3_cancelled_during_commit_the_truth_is_known(connection: Connection) -> None:
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


async def test_point_4_a_copy_cancelled_while_it_is_entered_costs_the_connection(
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


async def test_point_4_no_statement_is_taken_for_prepared_that_is_not(
    connecting: Connecting,
) -> None:
    connection, holder = await connecting(), await connecting()
    await holder.execute("create table t (n int)")
    session, query = Session(connection), Query(["insert into t values (", ")"])
    async with holder.transaction():
        await holder.execute("lock table t")
        with trio.fail_after(WITHIN), trio.move_on_after(0.05) as scope:
            # It is being prepared: that waits for the lock, too.
            await connection.wait(session.run(query, [b"1"]))
    assert scope.cancelled_caught
    assert not connection.closed
    await connection.wait(session.run(query, [b"2"]))
    assert await ask(holder, "select sum(n) from t") == 2


async def test_point_5_waiting_for_either_direction_is_cancelled_plainly(
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


async def test_point_5_more_is_sent_and_received_than_the_sockets_hold(
    connection: Connection,
) -> None:
    text = "x" * 16_000_000
    cursor = await connection.execute("select %s::text", (text,))
    assert await cursor.fetchone() == (text,)


async def test_point_6_a_copy_that_never_blocks_gives_the_loop_its_turns(
    connection: Connection,
) -> None:
    await connection.execute("create table t (n int)")
    with trio.move_on_after(0.05) as scope:
        async with connection.cursor().copy("copy t from stdin") as copy:
            for _ in range(2_000_000):
                await copy.write("1\n")
    assert scope.cancelled_caught


async def test_point_7_a_free_lock_costs_no_turn_of_the_loop(connection: Connection) -> None:
    with trio.testing.assert_no_checkpoints():
        async with connection.lock:
            assert connection.lock.locked()
    assert not connection.lock.locked()


async def test_point_7_tasks_that_share_a_connection_take_turns(connection: Connection) -> None:
    answers: list[int] = []

    async def query(number: int) -> None:
        answers.append(await ask(connection, f"select {number} from pg_sleep(0.005)"))

    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(query, number)
    assert sorted(answers) == [0, 1, 2, 3, 4]


async def test_point_8_a_name_is_resolved_by_the_loop_and_its_addresses_tried_in_turn(
    database_url: str,
) -> None:
    class Resolver(trio.abc.HostnameResolver):
        async def getaddrinfo(self, host, port, family=0, type=0, proto=0, flags=0):  # noqa: A002
            assert host == b"db.test"
            found = ("127.0.0.2", "127.0.0.1")
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in found]

        async def getnameinfo(self, sockaddr, flags):
            raise NotImplementedError

    trio.socket.set_custom_hostname_resolver(Resolver())
    url = with_parts(database_url, host="db.test")
    async with await connect(url, guard=Guard(), run_id="r1") as connection:
        assert await ask(connection, "select 1") == 1


def test_point_9_the_version_is_one_that_this_was_built_on() -> None:
    major, minor = psycopg.__version__.split(".")[:2]
    assert (major, minor) == ("3", "3")


def test_point_9_readiness_and_wishes_are_in_the_bits_of_selectors() -> None:
    assert (Wait.R, Wait.W, Wait.RW) == (1, 2, 3)
    assert (Ready.R, Ready.W) == (selectors.EVENT_READ, selectors.EVENT_WRITE) == (1, 2)


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (psycopg.AsyncConnection.wait, ["self", "gen", "interval", "timeout"]),
        (psycopg.AsyncConnection.cancel_safe, ["self", "timeout"]),
        (psycopg.AsyncConnection._connect_gen, ["conninfo"]),
        (psycopg.AsyncConnection._cancel_gen, ["self"]),
        (psycopg.AsyncConnection._should_cancel, ["self"]),
        (psycopg.AsyncConnection.transaction, ["self", "savepoint_name", "force_rollback"]),
        (psycopg.AsyncConnection.pipeline, ["self"]),
        (psycopg.AsyncConnection.__aexit__, ["self", "exc_type", "exc_val", "exc_tb"]),
        (psycopg.AsyncConnection.close, ["self"]),
        (psycopg.AsyncCursor.copy, ["self", "statement", "params", "writer"]),
    ],
)
def test_point_9_what_is_called_or_overridden_has_its_parameters(
    function: object, parameters: list[str]
) -> None:
    assert callable(function)
    assert list(inspect.signature(function).parameters) == parameters


async def test_point_9_a_connection_has_the_state_that_is_read(connection: Connection) -> None:
    assert connection._autocommit is True
    assert connection._num_transactions == 0
    assert connection._pipeline is None
    assert issubclass(psycopg.errors._WaitTimeout, psycopg.Error)
    async with connection.transaction():
        assert connection._num_transactions == 1


async def test_point_9_a_generator_that_was_left_waiting_goes_on_where_it_was(
    connection: Connection,
) -> None:
    connection.pgconn.send_query(b"select 7 from pg_sleep(0.05)")
    generator = execute(connection.pgconn)
    assert next(generator) == Wait.R
    assert generator.send(Ready.NONE) == Wait.R
    (result,) = await connection._drive(generator, resumed=True)
    assert result.get_value(0, 0) == b"7"


async def test_point_9_psycopg_prepares_no_statement_of_its_own(connection: Connection) -> None:
    for number in range(10):
        await connection.execute("select %s", (number,), prepare=True)
    assert await ask(connection, "select count(*) from pg_prepared_statements") == 0


async def test_point_9_waiting_for_notifications_ends_at_its_timeout(
    connection: Connection,
) -> None:
    await connection.execute("listen news")
    await connection.execute("notify news, 'first'")
    heard = [told.payload async for told in connection.notifies(timeout=0.05)]
    assert heard == ["first"]


async def test_point_9_an_error_in_a_pipeline_leaves_the_connection_usable(
    connection: Connection,
) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        async with connection.pipeline():
            await connection.execute("select 1 / %s", (0,))
    assert await ask(connection, "select 1") == 1
