from __future__ import annotations

from collections import Counter

import psycopg
import pytest
import trio
from postgres_samples import Connecting, ask, mix, rows_of, table

from stressrun.errors import SetupError
from stressrun.postgres import operations
from stressrun.postgres.connection import Connection
from stressrun.postgres.operations import Program, error_kind, prepare
from stressrun.postgres.ownership import claim
from stressrun.postgres.seeding import seed_table
from stressrun.scenario.model import WriteMix

ITEMS = table(
    "items",
    {
        "sku": {"serial": "SKU-{:06d}"},
        "amount": {"integer": [1, 3_000_000_000]},
        "huge": {"choice": [1, 100_000_000_000_000_000_000]},
        "code": {"uuid": True},
        "made": {"timestamp": "now"},
    },
)
ROWS = 40


async def ready(connection: Connection, writes: WriteMix) -> Program:
    claimed = await claim(connection, writes.seed.table, ledger=None, run_id="r1", url="")
    await seed_table(connection, writes.seed, claim=claimed, random_seed=1)
    return await prepare(writes, connection=connection, random_seed=1, claim=claimed)


async def test_what_operations_say_they_did_is_what_the_database_counted(
    connecting: Connecting,
) -> None:
    connection = await connecting()
    writes = mix(
        ITEMS, rows=ROWS, insert=6, update=3, select=1, batch=7, updated_columns=("amount", "code")
    )
    program = await ready(connection, writes)
    before = dict(await rows_of(connection, "select id, (amount, code)::text from items"))
    rows: Counter[str] = Counter()
    runs: Counter[str] = Counter()
    updated = set()

    async def write(first: int) -> None:
        own = await connecting()
        for index in range(first, first + 100):
            operation = program.choose(index)
            done = await operation.run(own, index)
            runs[operation.name] += 1
            rows[operation.name] += done.rows
            assert (done.bytes_received > 0) == (operation.name == "select")
            assert done.bytes_sent > 0

    async with trio.open_nursery() as nursery:
        for first in range(0, 400, 100):
            nursery.start_soon(write, first)
    assert rows == {
        "insert": 7 * runs["insert"],
        "update": runs["update"],
        "select": runs["select"],
    }
    assert await ask(connection, "select count(*) from items") == ROWS + rows["insert"]
    assert (
        await ask(connection, "select count(distinct (sku, code)) from items")
        == ROWS + rows["insert"]
    )
    after = dict(await rows_of(connection, "select id, (amount, code)::text from items"))
    updated = {key for key, values in before.items() if after[key] != values}
    assert 0 < len(updated) <= rows["update"]


async def test_inserted_rows_are_numbered_on_from_the_seeded_ones(connection: Connection) -> None:
    program = await ready(connection, mix(ITEMS, rows=ROWS, insert=1, batch=3))
    for index in (0, 1, 5):
        await program.choose(index).run(connection, index)
    found = await rows_of(connection, "select sku from items order by sku offset 40")
    numbers = [41, 42, 43, 44, 45, 46, 56, 57, 58]
    assert found == [(f"SKU-{number:06d}",) for number in numbers]


async def test_an_index_always_has_the_same_operation_in_proportion_to_the_weights(
    connection: Connection,
) -> None:
    writes = mix(ITEMS, rows=ROWS, insert=70, update=25, select=5)
    names = []
    for _ in range(2):
        program = await ready(connection, writes)
        names.append([program.choose(index).name for index in range(16_000)])
    assert names[0] == names[1]
    shares = Counter(names[0])
    for name, share in (("insert", 0.70), ("update", 0.25), ("select", 0.05)):
        assert shares[name] / 16_000 == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("weights", [{"insert": 1}, {"update": 1}, {"select": 1}])
async def test_an_operation_without_weight_never_comes(
    connection: Connection, weights: dict[str, int]
) -> None:
    program = await ready(connection, mix(ITEMS, rows=ROWS, **weights))
    assert {program.choose(index).name for index in range(100)} == set(weights)


async def test_keys_are_evenly_spread_where_there_are_too_many(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "_MOST_KEYS", 30)
    writes = mix(ITEMS, rows=100, select=1)
    claimed = await claim(connection, ITEMS, ledger=None, run_id="r1", url="")
    await seed_table(connection, writes.seed, claim=claimed, random_seed=1)
    keys = [await operations._seeded_keys(writes, connection, seed, claimed) for seed in (1, 1, 2)]
    assert keys[0] == keys[1] != keys[2]
    # Every fourth of a hundred rows, and of these 25 a prime number.
    assert set(map(int, keys[0])) < set(range(1, 101, 4))
    assert len(keys[0]) == 23


async def test_updates_without_a_seeded_row_are_a_mistake(connection: Connection) -> None:
    with pytest.raises(SetupError, match="holds no row of this run") as caught:
        await ready(connection, mix(ITEMS, update=1))
    assert "rows above 0" in caught.value.hint


async def test_a_batch_too_large_for_a_statement_says_how_large_it_may_be(
    connection: Connection,
) -> None:
    with pytest.raises(SetupError) as caught:
        await ready(connection, mix(ITEMS, insert=1, batch=20_000))
    assert caught.value.hint == "make its batch at most 13107"
    program = await ready(connection, mix(ITEMS, insert=1, batch=13_107))
    assert (await program.choose(0).run(connection, 0)).rows == 13_107


async def test_a_statement_is_prepared_once_whatever_its_values_are(connection: Connection) -> None:
    mixed = table("t", {"a": {"choice": [None, 1, 10**20]}})
    program = await ready(connection, mix(mixed, insert=1, batch=5))
    for index in range(20):
        await program.choose(index).run(connection, index)
    assert await ask(connection, "select count(*) from pg_prepared_statements") == 1
    found = await rows_of(connection, "select distinct a from t order by a")
    assert found == [(1,), (10**20,), (None,)]


async def test_a_value_that_would_be_cut_off_is_refused(connection: Connection) -> None:
    with pytest.raises(SetupError, match="NUL"):
        await ready(connection, mix(table("t", {"a": {"constant": "a\0b"}}), insert=1))


async def test_a_statement_goes_on_after_its_first_preparation_was_cancelled(
    connection: Connection,
) -> None:
    await connection.execute("create table t (n int)")
    for deadline in (0.0, 0.0002, 0.0005, 0.001, 0.005):
        with trio.move_on_after(deadline):
            await connection.statement(b"insert into t values ($1)").run([b"1"])
    assert (await connection.statement(b"insert into t values ($1)").run([b"1"])).rows == 1


async def test_the_bytes_of_a_statement_are_those_of_its_values(connection: Connection) -> None:
    done = await connection.statement(b"select $1::text, $2::text, null").run([b"four", None])
    assert done == (1, 4, 4)


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("select 1 / 0", "22012 division_by_zero"),
        ("insert into t values (1), (1)", "23505 unique_violation"),
        ("select * from nosuch", "42P01 undefined_table"),
        ("do $$ begin raise sqlstate 'ZX123'; end $$", "ZX123"),
        ("select pg_terminate_backend(pg_backend_pid())", "57P01 admin_shutdown"),
    ],
)
async def test_an_error_is_counted_under_its_sqlstate_and_name(
    connection: Connection, query: str, kind: str
) -> None:
    await connection.execute("create table t (n int unique)")
    with pytest.raises(psycopg.Error) as caught:
        await connection.execute(query)
    assert error_kind(caught.value) == kind


async def test_an_error_without_a_sqlstate_is_a_lost_connection_or_named_by_itself(
    connection: Connection,
) -> None:
    with pytest.raises(psycopg.DataError) as refused:
        await connection.execute("select %s", ("\0",))
    assert error_kind(refused.value) == "data_error"
    await connection.close()
    with pytest.raises(psycopg.OperationalError) as lost:
        await connection.statement(b"select 1").run([])
    assert error_kind(lost.value) == "connection_lost"
