"""Questions to the database: one value each, all of one instant, nothing changed."""

from __future__ import annotations

import psycopg
import pytest
import trio
from postgres_samples import Connecting

from stressrun.postgres.connection import Connection
from stressrun.postgres.querying import NoSingleValueError, ask


@pytest.mark.parametrize(
    ("value", "given"),
    [
        ("count(*)", 1),
        ("sum(1.5)", 1.5),
        ("10.00::numeric", 10),
        ("'NaN'::numeric", "NaN"),
        ("'infinity'::numeric", "Infinity"),
        ("null::int", None),
        ("true", True),
        ("'{\"a\": [1]}'::jsonb", {"a": [1]}),
        ("'a ☞ b'", "a ☞ b"),
        ("date '2026-01-31'", "2026-01-31"),
    ],
)
async def test_a_value_is_what_json_has_for_it(
    value: str, given: object, connection: Connection
) -> None:
    assert await ask(connection, [f"select {value}"]) == [given]


@pytest.mark.parametrize(
    ("statement", "gives"),
    [
        ("select 1 where false", "no row of 1 column"),
        ("select 1, 2", "one row of 2 columns"),
        ("select generate_series(1, 3)", "several rows of 1 column"),
    ],
)
async def test_more_or_less_than_one_value_is_no_answer(
    statement: str, gives: str, connection: Connection
) -> None:
    with pytest.raises(NoSingleValueError, match=gives):
        await ask(connection, [statement])
    assert await ask(connection, ["select 1"]) == [1]


@pytest.mark.parametrize(
    "statement",
    [
        "select 1; drop table kept",
        "delete from kept returning id",
        "select nextval('kept_id_seq')",
        "with gone as (delete from kept returning id) select count(*) from gone",
        "selec 1",
    ],
)
async def test_a_question_changes_nothing(statement: str, connection: Connection) -> None:
    await connection.execute("create table kept (id serial primary key)")
    await connection.execute("insert into kept default values")
    with pytest.raises(psycopg.Error):
        await ask(connection, [statement])
    assert await ask(connection, ["select count(*) from kept"]) == [1]


async def test_several_questions_are_asked_of_one_instant(connecting: Connecting) -> None:
    asking, writing = await connecting(), await connecting()
    await writing.execute("create table rows (id int)")
    await writing.execute("select pg_advisory_lock(7)")
    count, wait = "select count(*) from rows", "select count(*) from pg_advisory_xact_lock(7)"
    is_waiting = "select count(*) > 0 from pg_locks where not granted and objid = 7"
    answers: list[object] = []

    async def ask_all() -> None:
        answers.extend(await ask(asking, [count, wait, count]))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask_all)
        while await ask(writing, [is_waiting]) != [True]:
            await trio.sleep(0)
        await writing.execute("insert into rows values (1)")
        await writing.execute("select pg_advisory_unlock(7)")
    assert answers == [0, 1, 0]
    assert await ask(asking, [count]) == [1]
