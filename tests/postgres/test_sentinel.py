"""The sentinel stands for the database that it was made in, and for no other."""

from __future__ import annotations

import pytest
from postgres_samples import ask

from stressrun.errors import RefusedError, SetupError
from stressrun.postgres.connection import Connection
from stressrun.postgres.sentinel import remove_sentinel, require_sentinel, set_sentinel
from stressrun.safety.guard import Guard


async def required(url: str) -> None:
    await require_sentinel(url, guard=Guard(), run_id="r1")


async def test_a_database_without_one_is_refused_and_nothing_is_made(
    connection: Connection, database_url: str
) -> None:
    with pytest.raises(RefusedError, match="carries no sentinel") as refused:
        await required(database_url)
    assert "stressrun sentinel" in refused.value.hint
    assert await ask(connection, "select to_regclass('stressrun_sentinel') is null")


async def test_it_can_be_made_twice_and_is_removed_without_a_trace(
    connection: Connection, database_url: str
) -> None:
    for _ in range(2):
        await set_sentinel(database_url, guard=Guard())
        await required(database_url)
    await remove_sentinel(database_url, guard=Guard())
    assert await ask(connection, "select to_regclass('stressrun_sentinel') is null")
    with pytest.raises(RefusedError):
        await required(database_url)


@pytest.mark.parametrize(
    "change", ["database = 'app'", "number = number::int8 + 1", "server = server + 1"]
)
async def test_that_of_a_copied_database_stands_for_nothing(
    connection: Connection, database_url: str, change: str
) -> None:
    await set_sentinel(database_url, guard=Guard())
    await connection.execute(f"update stressrun_sentinel set {change}")
    with pytest.raises(RefusedError):
        await required(database_url)


async def test_a_table_of_the_name_that_is_none_is_told(
    connection: Connection, database_url: str
) -> None:
    await connection.execute("create table stressrun_sentinel (other int)")
    with pytest.raises(SetupError, match="could not be read"):
        await required(database_url)
    with pytest.raises(SetupError, match="could not be made"):
        await set_sentinel(database_url, guard=Guard())


async def test_the_guard_judges_its_host(database_url: str) -> None:
    with pytest.raises(RefusedError, match="not under allow_hosts"):
        await set_sentinel("postgresql://192.0.2.7/app", guard=Guard())
