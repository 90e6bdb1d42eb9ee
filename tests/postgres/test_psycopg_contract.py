"""What stressrun takes from psycopg beyond its public interface, held to its meaning.

When one of these fails after an upgrade of psycopg, read what changed there before anything else.
"""

from __future__ import annotations

import inspect
import selectors

import psycopg
import pytest
import trio
from postgres_samples import ask
from psycopg.generators import execute
from psycopg.waiting import Ready, Wait

from stressrun.postgres.connection import Connection


def test_the_version_is_one_that_this_was_built_on() -> None:
    major, minor = psycopg.__version__.split(".")[:2]
    assert (major, minor) == ("3", "3")


def test_readiness_and_wishes_are_in_the_bits_of_selectors() -> None:
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
        (psycopg.AsyncConnection.__aexit__, ["self", "exc_type", "exc_val", "exc_tb"]),
        (psycopg.AsyncConnection.close, ["self"]),
        (psycopg.AsyncCursor.copy, ["self", "statement", "params", "writer"]),
    ],
)
def test_what_is_called_or_overridden_has_its_parameters(
    function: object, parameters: list[str]
) -> None:
    assert callable(function)
    assert list(inspect.signature(function).parameters) == parameters


async def test_a_connection_has_the_state_that_is_read(connection: Connection) -> None:
    assert connection._autocommit is True
    assert connection._num_transactions == 0
    assert connection._pipeline is None
    assert issubclass(psycopg.errors._WaitTimeout, psycopg.Error)
    async with connection.transaction():
        assert connection._num_transactions == 1


async def test_a_generator_that_was_left_waiting_goes_on_where_it_was(
    connection: Connection,
) -> None:
    connection.pgconn.send_query(b"select 7 from pg_sleep(0.05)")
    generator = execute(connection.pgconn)
    assert next(generator) == Wait.R
    assert generator.send(Ready.NONE) == Wait.R
    (result,) = await connection._drive(generator, resumed=True)
    assert result.get_value(0, 0) == b"7"


async def test_psycopg_prepares_no_statement_of_its_own(connection: Connection) -> None:
    for number in range(10):
        await connection.execute("select %s", (number,), prepare=True)
    assert await ask(connection, "select count(*) from pg_prepared_statements") == 0


async def test_waiting_for_notifications_ends_at_its_timeout(connection: Connection) -> None:
    await connection.execute("listen news")
    await connection.execute("notify news, 'first'")
    heard = [told.payload async for told in connection.notifies(timeout=0.05)]
    assert heard == ["first"]


async def test_a_free_lock_costs_no_turn_of_the_loop(connection: Connection) -> None:
    with trio.testing.assert_no_checkpoints():
        async with connection.lock:
            assert connection.lock.locked()
    assert not connection.lock.locked()


async def test_tasks_that_share_a_connection_take_turns(connection: Connection) -> None:
    answers: list[int] = []

    async def query(number: int) -> None:
        answers.append(await ask(connection, f"select {number} from pg_sleep(0.005)"))

    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(query, number)
    assert sorted(answers) == [0, 1, 2, 3, 4]


async def test_more_is_sent_and_received_than_the_sockets_hold(connection: Connection) -> None:
    text = "x" * 16_000_000
    cursor = await connection.execute("select %s::text", (text,))
    assert await cursor.fetchone() == (text,)


async def test_an_error_in_a_pipeline_leaves_the_connection_usable(connection: Connection) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        async with connection.pipeline():
            await connection.execute("select 1 / %s", (0,))
    assert await ask(connection, "select 1") == 1
