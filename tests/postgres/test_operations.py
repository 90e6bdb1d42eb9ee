"""Each operation of a write mix, as sessions do it on a real table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import psycopg
import pytest
import trio
from postgres_samples import Connecting, ask, mix, operation_of, perform, ready, rows_of, table

from stressrun.data.feeders import SequentialRows
from stressrun.errors import SetupError
from stressrun.postgres import mix as preparing
from stressrun.postgres.connection import Connection
from stressrun.postgres.mix import Program, prepare
from stressrun.postgres.operations import NoRows
from stressrun.postgres.ownership import claim
from stressrun.postgres.session import Query, Session

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
NATURAL = table("items", {"sku": {"serial": "SKU-{:06d}"}, "note": {"text": "8B"}}, key="sku")
ROWS = 40
PROTOCOLS = ("prepared", "extended", "simple")
WEIGHTS = {
    "insert": 6,
    "update": 3,
    "delete": 2,
    "select": 1,
    "upsert": 4,
    "copy": 2,
    "own": 1,
    "move": 2,
}
OWN = {
    "own": "delete from items where id = ${key} or amount < ${integer(1, 1000)}",
    "move": (
        "insert into items (sku, amount) select ${text(5)}, n from generate_series(1, 3) n",
        "update items set amount = 2 where id = ${key}",
        "delete from items where id in (select max(id) from items)",
    ),
}


async def plans(connection: Connection, program: Program, indices: Iterable[int]) -> list[object]:
    """What each index is to do: its operation, its keys and its values."""
    found: list[object] = []
    for index in indices:
        operation = operation_of(program, index)
        if program.supply is not None:
            await program.supply.refill(connection, operation.keys_needed)
        found.append((operation.name, operation.text, operation.plan(index)))
    return found


async def schema(connection: Connection) -> str:
    return str(await ask(connection, "select current_schema()"))


# What they do, and what they say of it


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_what_operations_say_they_did_is_what_the_table_holds(
    connecting: Connecting, protocol: str
) -> None:
    connection = await connecting()
    writes = mix(ITEMS, WEIGHTS, rows=ROWS, operations=OWN, batch=7, updated_columns=("amount",))
    program = await ready(connection, writes)
    runs: Counter[str] = Counter()
    added: Counter[str] = Counter()

    async def write(first: int) -> None:
        session = Session(await connecting(), protocol)
        for index in range(first, first + 60):
            name = operation_of(program, index).name
            try:
                done = await perform(program, session, index)
            except NoRows:
                continue
            runs[name] += 1
            added[name] += done.added
            if name in ("insert", "copy"):
                assert (done.rows, done.added) == (7, 7)
            elif name not in OWN:
                assert done.rows <= 1
            assert done.sent > 0
            assert (done.received > 0) == (name == "select" and done.rows == 1)

    async with trio.open_nursery() as nursery:
        for first in range(0, 240, 60):
            nursery.start_soon(write, first)
    assert runs.keys() == WEIGHTS.keys()
    assert added["update"] == added["select"] == 0
    assert added["delete"] < 0 < added["upsert"] < runs["upsert"]
    assert await ask(connection, "select count(*) from items") == ROWS + added.total()


async def test_inserted_rows_are_numbered_on_from_the_seeded_ones(connection: Connection) -> None:
    program = await ready(connection, mix(ITEMS, {"insert": 1}, rows=ROWS, batch=3))
    session = Session(connection)
    for index in (0, 1, 5):
        await perform(program, session, index)
    found = await rows_of(connection, "select sku from items order by sku offset 40")
    numbers = [41, 42, 43, 44, 45, 46, 56, 57, 58]
    assert found == [(f"SKU-{number:06d}",) for number in numbers]


async def test_an_update_sets_other_values_each_time_and_an_upsert_too(
    connection: Connection,
) -> None:
    filled = table("items", {"a": {"integer": [1, 10**9]}, "b": {"integer": [1, 10**9]}})
    writes = mix(filled, {"update": 1, "upsert": 1}, rows=1, updated_columns=("a",))
    program = await ready(connection, writes)
    session = Session(connection)
    (before,) = await rows_of(connection, "select a, b from items where id = 1")
    seen = set()
    for index in range(40):
        await perform(program, session, index)
        ((a, b),) = await rows_of(connection, "select a, b from items where id = 1")
        assert b == before[1]
        seen.add(a)
    assert len(seen) > 20


async def test_inserts_copies_and_upserts_bring_different_rows(connection: Connection) -> None:
    weights = {"insert": 1, "copy": 1, "upsert": 2}
    program = await ready(connection, mix(NATURAL, weights, rows=5, batch=4))
    session = Session(connection)
    runs, added = Counter[str](), Counter[str]()
    for index in range(200):
        name = operation_of(program, index).name
        runs[name] += 1
        added[name] += (await perform(program, session, index)).added
    assert added["insert"] + added["copy"] == 4 * (runs["insert"] + runs["copy"])
    assert added["upsert"] == pytest.approx(runs["upsert"] / 2, abs=15)
    assert await ask(connection, "select count(*) from items") == 5 + added.total()


async def test_upserts_without_seeded_rows_meet_those_that_they_brought(
    connection: Connection,
) -> None:
    program = await ready(connection, mix(ITEMS, {"upsert": 1}))
    session = Session(connection)
    done = [await perform(program, session, index) for index in range(100)]
    assert sum(one.added for one in done) == pytest.approx(50, abs=5)
    assert {one.rows for one in done} == {1}


async def test_no_delete_meets_a_row_that_another_has_taken(connection: Connection) -> None:
    program = await ready(connection, mix(ITEMS, {"insert": 1, "delete": 3}, rows=10))
    session, deleted = Session(connection), list[object]()
    for index in range(80):
        operation = operation_of(program, index)
        try:
            plan = operation.plan(index)
        except NoRows:
            continue
        done = operation.done(await connection.wait(operation.start(session, plan)), plan)
        if operation.name == "delete":
            deleted += plan
            assert (done.rows, done.added) == (1, -1)
    assert len(deleted) == len(set(deleted)) > 20


async def test_a_row_is_there_again_after_its_delete_failed(connection: Connection) -> None:
    program = await ready(connection, mix(ITEMS, {"delete": 1}, rows=1))
    session = Session(connection)
    await connection.execute("create table refers (to_item bigint references items)")
    await connection.execute("insert into refers values (1)")
    for _ in range(2):
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            await perform(program, session, 0)
    await connection.execute("drop table refers")
    assert (await perform(program, session, 0)).added == -1
    with pytest.raises(NoRows):
        operation_of(program, 1).plan(1)


# One seed gives the same


async def test_one_seed_gives_the_same_operations_keys_and_values(connection: Connection) -> None:
    # Upserts draw keys from the database's sequence, and deletes take those that others meet.
    weights = {name: WEIGHTS[name] for name in WEIGHTS.keys() - {"upsert", "delete"}}
    timeless = table(
        "items", {"sku": {"serial": 1}, "amount": {"integer": [1, 9]}, "c": {"uuid": True}}
    )
    writes = mix(timeless, weights, rows=ROWS, operations=OWN, batch=2)
    found = []
    for _ in range(2):
        await connection.execute("drop table if exists items")
        program = await ready(connection, writes)
        found.append(await plans(connection, program, range(500)))
    assert found[0] == found[1]


async def test_operations_come_in_proportion_to_their_weights(connection: Connection) -> None:
    writes = mix(ITEMS, {"insert": 70, "update": 25, "select": 5}, rows=ROWS)
    program = await ready(connection, writes)
    shares = Counter(operation_of(program, index).name for index in range(16_000))
    for name, share in (("insert", 0.70), ("update", 0.25), ("select", 0.05)):
        assert shares[name] / 16_000 == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("name", ["insert", "update", "delete", "select", "upsert", "copy"])
async def test_an_operation_without_weight_never_comes(connection: Connection, name: str) -> None:
    program = await ready(connection, mix(ITEMS, {name: 1}, rows=ROWS))
    assert {operation_of(program, index).name for index in range(100)} == {name}


async def test_keys_are_evenly_spread_where_there_are_too_many(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "MOST_KEYS", 30)
    program = await ready(connection, mix(ITEMS, {"select": 1}, rows=100))
    chosen = {int(operation_of(program, index).plan(index)[0]) for index in range(1000)}
    assert chosen == set(range(1, 101, 4))


# Keys and names of other kinds


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "key",
    [{"uuid": True}, {"serial": "it's \\{:d}"}, {"timestamp": ["2020-01-01", "2024-01-01"]}],
)
async def test_keys_can_be_of_any_type(
    connection: Connection, key: dict[str, object], protocol: str
) -> None:
    filled = table("items", {"it": key, "n": {"integer": [1, 9]}}, key="it")
    weights = {"insert": 1, "update": 1, "delete": 1, "select": 1, "upsert": 1, "own": 1}
    operations = {"own": "update items set n = 0 where it = ${key}"}
    program = await ready(connection, mix(filled, weights, rows=20, operations=operations))
    session, added = Session(connection, protocol), 0
    for index in range(60):
        done = await perform(program, session, index)
        added += done.added
        assert done.rows <= 1
    assert await ask(connection, "select count(*) from items") == 20 + added


async def test_names_are_quoted_where_they_need_it(connection: Connection) -> None:
    columns = {"Order": {"integer": [1, 9]}, "user": {"text": "5B"}}
    filled = table(f"{await schema(connection)}.Group", columns, key="select")
    weights = {"insert": 1, "update": 1, "delete": 1, "select": 1, "upsert": 1, "copy": 1}
    program = await ready(connection, mix(filled, weights, rows=20, batch=2))
    session = Session(connection)
    added = 0
    for index in range(60):
        added += (await perform(program, session, index)).added
    assert await ask(connection, 'select count(*) from "Group"') == 20 + added


# Values


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_values_arrive_as_they_are(connection: Connection, protocol: str) -> None:
    values = ["it's", "a\\b", "E'\\n", "$1 $$ ${x}", '"', "line\nend", "\ttab", "ünï", "", None]
    filled = table("items", {"a": {"choice": values}, "n": {"serial": 1}})
    weights = {"insert": 1, "upsert": 1, "copy": 1, "own": 1}
    operations = {"own": "insert into items (a, n) values (${f.a}, ${f.n})"}
    rows = SequentialRows(("f.a", "f.n"), list(zip(values, [-1] * len(values), strict=True)), 0, 1)
    program = await ready(
        connection,
        mix(filled, weights, operations=operations, batch=40),
        feeding=lambda names: (rows,),
    )
    session = Session(connection, protocol)
    for index in range(60):
        await perform(program, session, index)
    for condition in ("n > 0", "n = -1"):
        found = await rows_of(connection, f"select distinct a from items where {condition}")
        assert {value for (value,) in found} == set(values)


async def test_values_of_json_are_parameters_as_json(connection: Connection) -> None:
    values = [{"a": [1, "x"]}, [1], True, 1.5, 7, "text", None]
    rows = SequentialRows(("f.v",), [(value,) for value in values], 0, 1)
    writes = mix(
        ITEMS, {"own": 1}, operations={"own": "insert into v values (${f.v}, to_jsonb(1))"}
    )
    await connection.execute("create table v (a text, b jsonb)")
    program = await ready(connection, writes, feeding=lambda names: (rows,))
    session = Session(connection)
    for index in range(len(values)):
        assert (await perform(program, session, index)).added == 1
    found = [value for (value,) in await rows_of(connection, "select a from v")]
    assert found == ['{"a":[1,"x"]}', "[1]", "true", "1.5", "7", "text", None]


async def test_a_value_that_would_be_cut_off_is_refused(connection: Connection) -> None:
    with pytest.raises(SetupError, match="NUL"):
        await ready(connection, mix(table("t", {"a": {"constant": "a\0b"}}), {"insert": 1}))


async def test_the_bytes_of_an_operation_are_those_of_its_values(connection: Connection) -> None:
    session = Session(connection)
    writes = mix(ITEMS, {"own": 1}, operations={"own": "select ${f.a}::text, ${f.b}::text, null"})
    rows = SequentialRows(("f.a", "f.b"), [("four", None)], 0, 1)
    program = await ready(connection, writes, feeding=lambda names: (rows,))
    assert await perform(program, session, 0) == (1, 0, 4, 4)


# How statements are sent


@pytest.mark.parametrize(("protocol", "prepared"), [("prepared", 1), ("extended", 0)])
async def test_a_statement_is_prepared_once_whatever_its_values_are(
    connection: Connection, protocol: str, prepared: int
) -> None:
    mixed = table("t", {"a": {"choice": [None, 1, 10**20]}})
    program = await ready(connection, mix(mixed, {"insert": 1}, batch=5))
    session = Session(connection, protocol)
    for index in range(20):
        await perform(program, session, index)
    assert await ask(connection, "select count(*) from pg_prepared_statements") == prepared
    found = await rows_of(connection, "select distinct a from t order by a")
    assert found == [(1,), (10**20,), (None,)]


async def test_behind_a_pooler_nothing_is_prepared_by_name(connection: Connection) -> None:
    program = await ready(connection, mix(ITEMS, {"insert": 1}))
    connection.pooled = True
    await perform(program, Session(connection), 0)
    assert await ask(connection, "select count(*) from pg_prepared_statements") == 0


async def test_a_session_goes_on_after_its_first_preparation_was_cancelled(
    connection: Connection,
) -> None:
    await connection.execute("create table t (n int)")
    session, query = Session(connection), Query(["insert into t values (", ")"])
    for deadline in (0.0, 0.0002, 0.0005, 0.001, 0.005):
        with trio.move_on_after(deadline):
            await connection.wait(session.run(query, [b"1"]))
    assert (await connection.wait(session.run(query, [b"1"]))).command_tuples == 1


async def test_a_transaction_has_its_isolation_level_and_is_done_whole_or_not_at_all(
    connection: Connection,
) -> None:
    await connection.execute("create table log (level text)")
    operations = {
        "own": (
            "insert into log values (current_setting('transaction_isolation'))",
            "insert into log select 1 / ${integer(0, 1)}",
        )
    }
    writes = mix(ITEMS, {"own": 1}, operations=operations, isolation="repeatable read")
    program = await ready(connection, writes)
    session, added = Session(connection), 0
    for index in range(20):
        try:
            added += (await perform(program, session, index)).added
        except psycopg.errors.DivisionByZero:
            assert connection.pgconn.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert added > 0
    found = await rows_of(connection, "select level, count(*) from log group by 1 order by 1")
    assert found == [("1", added // 2), ("repeatable read", added // 2)]


# What is told before the load


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("selec 1", 'syntax error at or near "selec"'),
        ("update items set nosuch = 1", 'column "nosuch" of relation "items" does not exist'),
        ("select 1; select 2", "cannot insert multiple commands"),
        ("select * from items where id = ${key} or id = $2", "$ with a number"),
        (["select 1", "select * from nosuch"], 'relation "nosuch" does not exist'),
    ],
)
async def test_a_wrong_statement_is_told_with_the_name_of_its_operation(
    connection: Connection, source: str | list[str], told: str
) -> None:
    writes = mix(ITEMS, {"mine": 1}, rows=1, operations={"mine": source})
    with pytest.raises(SetupError) as caught:
        await ready(connection, writes)
    assert "the operation mine of the writes mix" in caught.value.message
    assert told in caught.value.message
    assert "it reads: " in caught.value.hint


async def test_updates_without_a_seeded_row_are_a_mistake(connection: Connection) -> None:
    with pytest.raises(SetupError, match="holds no row of this run") as caught:
        await ready(connection, mix(ITEMS, {"update": 1}))
    assert "rows above 0" in caught.value.hint


async def test_a_batch_too_large_for_a_statement_says_how_large_it_may_be(
    connection: Connection,
) -> None:
    with pytest.raises(SetupError) as caught:
        await ready(connection, mix(ITEMS, {"insert": 1}, batch=20_000))
    assert caught.value.hint == "make its batch at most 13107, or use copy"
    program = await ready(connection, mix(ITEMS, {"insert": 1}, batch=13_107))
    assert (await perform(program, Session(connection), 0)).rows == 13_107


@pytest.mark.parametrize(
    ("definition", "message", "hint"),
    [
        ("id bigserial, n int", "no unique or exclusion constraint", "constraint of id alone"),
        ("id bigint primary key, n int", "have no keys for new rows", "a generator, such as"),
        ("id bigserial primary key, n int generated always as (1) stored", "column", "check items"),
    ],
)
async def test_a_table_that_an_operation_cannot_work_on_is_told(
    connection: Connection, definition: str, message: str, hint: str
) -> None:
    await connection.execute(f"create table items ({definition})")
    with pytest.raises(SetupError) as caught:
        await ready(connection, mix(table("items", {"n": {"integer": [1, 9]}}), {"upsert": 1}))
    assert message in caught.value.message
    assert hint in caught.value.hint


async def test_a_right_that_is_missing_is_told(connection: Connection) -> None:
    await ready(connection, mix(ITEMS, {"select": 1}, rows=1))
    await connection.execute("begin; create role reader; grant select on items to reader")
    await connection.execute(f"grant usage on schema {await schema(connection)} to reader")
    claimed = await claim(connection, ITEMS, ledger=None, run_id="r1", url="")
    await connection.execute("set role reader")
    writes = mix(ITEMS, {"select": 1, "update": 1}, rows=1)
    with pytest.raises(SetupError, match="the update of the writes mix cannot be done: permission"):
        await prepare(writes, connection=connection, random_seed=1, claim=claimed)
    await connection.execute("rollback")


async def test_upserts_into_a_partitioned_table_are_refused(connection: Connection) -> None:
    await connection.execute(
        "create table items (id bigserial primary key, n int) partition by range (id)"
    )
    await connection.execute("create table one partition of items default")
    filled = table("items", {"n": {"integer": [1, 9]}})
    program = await ready(connection, mix(filled, {"insert": 1, "delete": 1}, rows=10))
    session = Session(connection)
    for index in range(10):
        await perform(program, session, index)
    with pytest.raises(SetupError, match="items is partitioned"):
        await ready(connection, mix(filled, {"upsert": 1}))
