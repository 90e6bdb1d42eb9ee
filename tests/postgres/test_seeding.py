from __future__ import annotations

import pytest
import trio
from postgres_samples import Connecting, ask, rows_of, table

from stressrun.data.composites import with_values
from stressrun.data.kinds import Constant
from stressrun.errors import SetupError
from stressrun.postgres.connection import Connection
from stressrun.postgres.feeding import referenced_values
from stressrun.postgres.ownership import claim
from stressrun.postgres.seeding import seed_table
from stressrun.postgres.tables import describe
from stressrun.postgres.values import NOTHING, Referenced
from stressrun.safety.ledger import Ledger
from stressrun.scenario.model import Column, Seed, Table

EVERYTHING = {
    "sku": {"serial": "SKU-{:08d}"},
    "number": {"integer": [-5, 3_000_000_000]},
    "price": {"decimal": [1, 500], "places": 2},
    "name": {"faker": "name"},
    "data": {"hex": "1KB"},
    "words": {"text": "40B"},
    "kind": {"choice": {"a": 3, "b": 1}},
    "code": {"uuid": True},
    "at": {"timestamp": ["2024-01-01", "2024-12-31"]},
    "made": {"timestamp": "now"},
    "live": {"constant": True},
    "nothing": {"constant": None},
    "maybe": {"integer": [1, 9], "null_share": "30%"},
    "document": {
        "json": {  # in the order that jsonb keeps
            "n": [{"integer": [1, 9]}],
            "id": {"uuid": True},
            "text": {"constant": 'a"b\\c\td'},
        }
    },
}


async def fill(
    connection: Connection,
    filled: Table,
    rows: int,
    random_seed: int = 1,
    referenced: Referenced = NOTHING,
) -> None:
    claimed = await claim(connection, filled, ledger=None, run_id="r1", url="")
    await seed_table(
        connection,
        Seed(filled, rows),
        claim=claimed,
        random_seed=random_seed,
        referenced=referenced,
    )


async def test_the_database_holds_what_the_generators_give(connection: Connection) -> None:
    filled = table("t", EVERYTHING)
    await fill(connection, filled, 500)
    exact = [column for column in filled.columns if column.name != "made"]
    values = [column.generator.compile(1, f"t.{column.name}") for column in exact]
    names = ", ".join(f"{column.name}" for column in exact)
    found = await rows_of(connection, f"select {names}, id from t order by id")
    assert len(found) == 500
    for number, row in enumerate(found):
        wanted = [value(number) for value in values]
        assert [str(value) for value in row] == [*map(str, wanted), str(number + 1)]
    assert 100 < [row[-3] for row in found].count(None) < 200
    assert (
        await ask(
            connection,
            "select count(*) from t where made between now() - interval '1 minute' and now()",
        )
        == 500
    )


async def test_the_same_seed_gives_the_same_rows_and_another_others(
    connection: Connection,
) -> None:
    digests = []
    columns = {name: spec for name, spec in EVERYTHING.items() if name != "made"}
    for name, random_seed in (("a.t", 1), ("b.t", 1), ("c.t", 2)):
        schema = await ask(connection, "select current_schema()")
        place = f"{schema}_{name[0]}"
        await connection.execute(f"create schema {place}; set search_path = {place}")
        await fill(connection, table("t", columns), 300, random_seed)
        digests.append(
            await ask(connection, "select md5(string_agg(t::text, ',' order by id)) from t")
        )
        await connection.execute(f"drop schema {place} cascade; set search_path = {schema}")
    assert digests[0] == digests[1] != digests[2]


async def test_text_comes_through_whatever_it_holds(connection: Connection) -> None:
    awkward = ["a\tb", "c\\d\\n", "line\nline\r", "\\N", "\\.", "", "ünï💥", "\x01\x0b\x1f"]
    columns = tuple(
        Column(f"c{place}", Constant(text), "text") for place, text in enumerate(awkward)
    )
    await fill(connection, Table("t", "id", columns, ()), 2)
    names = ", ".join(column.name for column in columns)
    assert await rows_of(connection, f"select {names} from t") == [tuple(awkward)] * 2


async def test_references_have_the_values_of_the_rows_that_were_seeded(
    connection: Connection,
) -> None:
    customers = table("customers", {"name": {"serial": "C{}"}})
    await fill(connection, customers, 50)
    claimed = await claim(connection, customers, ledger=None, run_id="r1", url="")
    keys = await referenced_values(connection, Seed(customers, 50), claimed, "id")
    assert keys == [*range(1, 51)]
    orders = table(
        "orders",
        {
            "customer": {"reference": "customers.id"},
            "seller": {"reference": "customers.id", "null_share": "50%"},
            "data": {"json": {"customer": {"reference": "customers.id"}}},
        },
    )
    referenced = {"customers.id": keys}
    await fill(connection, orders, 2000, referenced=referenced)
    found = await rows_of(connection, "select customer, seller, data from orders order by id")
    values = [
        with_values(column.generator, referenced).compile(1, f"orders.{column.name}")
        for column in orders.columns
    ]
    assert found == [tuple(value(number) for value in values) for number in range(2000)]
    assert {row[0] for row in found} == {*keys}


async def test_values_to_refer_to_are_few_spread_out_and_the_run_s_own(
    connection: Connection, ledger: Ledger
) -> None:
    await connection.execute(
        "create table t (id bigserial primary key, code int unique, run text); "
        "insert into t (code, run) select n, 'other' from generate_series(1, 100) n"
    )
    filled = table("t", {"code": {"serial": 1000}, "run": {"constant": "r1"}})
    claimed = await claim(connection, filled, ledger=ledger, run_id="r1", url="")
    await seed_table(connection, Seed(filled, 110_000), claim=claimed, random_seed=1)
    values = await referenced_values(connection, Seed(filled, 110_000), claimed, "code")
    assert values == [*range(1000, 111_000, 2)]


async def test_a_column_without_values_cannot_be_referred_to(connection: Connection) -> None:
    filled = table("t", {"code": {"integer": [1, 9], "null_share": "100%"}})
    await fill(connection, filled, 5)
    claimed = await claim(connection, filled, ledger=None, run_id="r1", url="")
    with pytest.raises(SetupError, match=r"no value of t\.code to refer to"):
        await referenced_values(connection, Seed(filled, 5), claimed, "code")


async def test_progress_is_told_in_rows_up_to_the_last(connection: Connection) -> None:
    told: list[int] = []
    filled = table("t", {"data": {"hex": "1KB"}})
    claimed = await claim(connection, filled, ledger=None, run_id="r1", url="")
    await seed_table(
        connection, Seed(filled, 4000), claim=claimed, random_seed=1, progress=told.append
    )
    assert told == sorted(told)
    assert len(told) > 10
    assert told[-1] == 4000


@pytest.mark.parametrize("rows", [0, 1, 2, 10_000])
async def test_exactly_so_many_rows_are_there_and_the_planner_knows(
    connection: Connection, rows: int
) -> None:
    await fill(connection, table("t", {"n": {"serial": 1}}), rows)
    numbers = await rows_of(connection, "select count(distinct n), min(n), max(n) from t")
    assert numbers == [(rows, 1 if rows else None, rows or None)]
    known = await ask(
        connection, "select reltuples::bigint from pg_class where oid = 't'::regclass"
    )
    assert known == (rows or -1)


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ("n bigint check (n < 900)", "check constraint"),
        ("n smallint unique, m int not null", "null value in column"),
        ("n date", r"invalid input syntax for type date.*COPY t, line 1, column n"),
    ],
)
async def test_a_row_that_the_table_refuses_undoes_all_of_them(
    connection: Connection, definition: str, message: str
) -> None:
    await connection.execute(f"create table t (id bigserial, {definition})")
    with pytest.raises(SetupError, match=message) as caught:
        await fill(connection, table("t", {"n": {"serial": 1}}), 1000)
    assert caught.value.hint
    assert await ask(connection, "select count(*) from t") == 0
    assert await ask(connection, "select 1") == 1


async def test_seeding_that_is_cancelled_leaves_no_row(connecting: Connecting) -> None:
    writer, observer = await connecting(), await connecting()
    filled = table("t", {"data": {"hex": "1KB"}})
    await claim(writer, filled, ledger=None, run_id="r1", url="")
    with trio.fail_after(20), trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            async def cancel_when_under_way() -> None:
                while not await ask(
                    observer, "select sum(tuples_processed) from pg_stat_progress_copy"
                ):
                    await trio.sleep(0.005)
                scope.cancel()

            nursery.start_soon(cancel_when_under_way)
            await fill(writer, filled, 10_000_000)
    assert scope.cancelled_caught
    assert await ask(observer, "select count(*) from t") == 0
    assert await describe(writer, "t") is not None
