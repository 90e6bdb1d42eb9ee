"""A cancelled scope ends what it ran at the server too, and the truth about it is known."""

from __future__ import annotations

import os
import signal
from collections import Counter

import psycopg
import pytest
import trio
from cancellation_fuzz import fuzz
from postgres_samples import WITHIN, Connecting, ask, wait_until_busy, wait_until_idle
from psycopg import pq
from psycopg.abc import PQGen

from stressrun.postgres import connection as connection_module
from stressrun.postgres.connection import Connection
from stressrun.postgres.session import SIMPLE, Query, Session
from stressrun.postgres.waiting import wait_for_either

SLEEP = Query(["select pg_sleep(", ")"])


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


async def test_a_pipeline_that_is_cancelled_costs_the_connection(connecting: Connecting) -> None:
    writer, observer = await connecting(), await connecting()
    with trio.fail_after(WITHIN), trio.move_on_after(0.05) as scope:
        await writer.cursor().executemany("select pg_sleep(%s)", [(3600,), (3600,)])
    assert scope.cancelled_caught
    assert writer.closed
    assert writer.cancelled_outcome == "unknown"
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


async def wait_until_waiting(
    connection: Connection, steps: PQGen[object], observer: Connection
) -> None:
    """Bring a generator on until the server is busy with its last statement."""

    async def drive() -> None:
        wanted = next(steps)
        while True:
            ready, _ = await wait_for_either(connection.pgconn.socket, wanted)
            wanted = steps.send(ready)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(drive)
        await wait_until_busy(observer, connection.info.backend_pid)
        nursery.cancel_scope.cancel()


async def test_what_waits_is_aborted(connecting: Connecting) -> None:
    connection, observer = await connecting(), await connecting()
    steps = Session(connection).run(SLEEP, [b"3600"])
    await wait_until_waiting(connection, steps, observer)
    with trio.fail_after(WITHIN):
        assert await connection.abort(steps) == ("not_applied", None)
    assert await ask(connection, "select 1") == 1


async def test_an_error_that_is_a_result_is_not_taken_for_success(connecting: Connecting) -> None:
    connection, observer = await connecting(), await connecting()
    steps = Session(connection, SIMPLE).start(SLEEP, [b"3600"])
    await wait_until_waiting(connection, steps, observer)
    with trio.fail_after(WITHIN):
        outcome, results = await connection.abort(steps)
    assert outcome == "not_applied"
    assert results is not None
    assert results[0].error_field(pq.DiagnosticField.SQLSTATE) == b"57014"


async def test_what_had_ended_before_it_was_aborted_is_applied_and_gives_its_result(
    connecting: Connecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, observer, holder = await connecting(), await connecting(), await connecting()
    await observer.execute("create table t (n int)")
    await holder.execute("begin; lock table t")

    async def unlock_instead() -> None:
        await holder.execute("commit")

    monkeypatch.setattr(connection, "_request_cancel", unlock_instead)
    steps = Session(connection, SIMPLE).run(Query(["insert into t values (1)"]), [])
    await wait_until_waiting(connection, steps, observer)
    outcome, result = await connection.abort(steps)
    assert outcome == "applied"
    assert result is not None
    assert result.command_tuples == 1
    assert await ask(observer, "select count(*) from t") == 1


async def test_a_transaction_that_is_aborted_is_rolled_back(connecting: Connecting) -> None:
    connection, observer = await connecting(), await connecting()
    await observer.execute("create table t (n int)")
    session = Session(connection)

    def left_open() -> PQGen[None]:
        yield from session.command(b"begin; insert into t values (1)")
        yield from session.run(SLEEP, [b"3600"])

    steps = left_open()
    await wait_until_waiting(connection, steps, observer)
    assert await connection.abort(steps) == ("not_applied", None)
    assert connection.closed
    await wait_until_idle(observer)
    assert await ask(observer, "select count(*) from t") == 0


async def test_an_expendable_connection_goes_with_its_statement(
    connecting: Connecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, observer = await connecting(), await connecting()
    connection.expendable = True
    asked: list[None] = []

    async def request_cancel() -> None:
        asked.append(None)

    monkeypatch.setattr(connection, "_request_cancel", request_cancel)
    with trio.move_on_after(0.02) as scope:
        await connection.execute("select pg_sleep(3600)")
    assert scope.cancelled_caught
    assert (connection.closed, connection.cancelled_outcome, asked) == (True, "unknown", [])
    # The server looks for its client.
    await wait_until_idle(observer)


async def test_what_a_frozen_server_made_of_an_aborted_statement_is_unknown(
    connecting: Connecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "GRACE", 0.2)
    frozen, observer = await connecting(), await connecting()
    pid = frozen.info.backend_pid
    steps = Session(frozen).run(SLEEP, [b"3600"])
    await wait_until_waiting(frozen, steps, observer)
    os.kill(pid, signal.SIGSTOP)
    try:
        with trio.fail_after(WITHIN):
            assert await frozen.abort(steps) == ("unknown", None)
        assert frozen.closed
    finally:
        os.kill(pid, signal.SIGCONT)
    await wait_until_idle(observer)


async def test_after_hundreds_of_random_cancellations_the_table_holds_what_was_told(
    connecting: Connecting,
) -> None:
    with trio.fail_after(3 * WITHIN):
        findings = await fuzz(connecting, 1500, seed=1)
    assert findings.wrong() == []
    counted = Counter(findings.told.values())
    assert counted["applied"] > 90
    assert counted["not_applied"] > 90
    # Only a COPY or a transaction that was cut off while it was entered costs its connection.
    assert counted["unknown"] <= findings.opened < len(findings.told) / 4
