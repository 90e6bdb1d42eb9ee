from __future__ import annotations

from collections.abc import Sequence

import pytest
from postgres_samples import rows_of, table

from stressrun.errors import SetupError
from stressrun.postgres import feeding
from stressrun.postgres.connection import Connection
from stressrun.postgres.feeding import query_rows, seeded_keys
from stressrun.postgres.ownership import Claim, claim
from stressrun.postgres.seeding import seed_table
from stressrun.safety.ledger import Ledger
from stressrun.scenario.model import Seed, Table

COLUMNS = {"sku": {"serial": "S{}"}}


async def fill(
    connection: Connection, filled: Table, rows: int, ledger: Ledger | None = None
) -> tuple[Seed, Claim]:
    seed = Seed(filled, rows)
    claimed = await claim(connection, filled, ledger=ledger, run_id="r1", url="")
    await seed_table(connection, seed, claim=claimed, random_seed=1)
    return seed, claimed


def keys_of(ranges: Sequence[Sequence[int]]) -> list[int]:
    return [key for first, end, step in ranges for key in range(first, end, step)]


@pytest.mark.parametrize(
    ("value", "given"),
    [
        ("5", 5),
        ("9223372036854775807::bigint", 2**63 - 1),
        ("1.5::float8", 1.5),
        ("'NaN'::float8", "NaN"),
        ("true", True),
        ("false", False),
        ("null", None),
        ("null::int", None),
        ("'ü%s $${a}'", "ü%s $${a}"),
        ("1.50::numeric", "1.50"),
        ("'00000000-0000-4000-a000-000000000000'::uuid", "00000000-0000-4000-a000-000000000000"),
        ("'2024-01-31 12:00:00+00'::timestamptz at time zone 'utc'", "2024-01-31 12:00:00"),
        ("'infinity'::date", "infinity"),
        ("'20000-01-01'::date", "20000-01-01"),
        ("array[1, 2]", "{1,2}"),
        ("""'{"a": [1, null]}'::jsonb""", {"a": [1, None]}),
        ("'[1.5]'::json", [1.5]),
    ],
)
async def test_values_are_as_json_has_them_else_text_of_postgresql(
    connection: Connection, value: str, given: object
) -> None:
    query = f"select 1 as other, {value} as it -- a comment"
    rows = await query_rows(connection, "f", query, ["it"])
    assert rows == [[given]]
    assert type(rows[0][0]) is type(given)


async def test_rows_come_in_their_order_and_columns_as_asked_for(connection: Connection) -> None:
    query = "select n, n * 2 as double from generate_series(1, 3) n order by n desc;"
    assert await query_rows(connection, "f", query, ["double", "n"]) == [[6, 3], [4, 2], [2, 1]]
    assert await query_rows(connection, "f", "values ('a%')", ["column1"]) == [["a%"]]


@pytest.mark.parametrize(
    ("query", "told", "hint"),
    [
        ("select id frm users", "failed: syntax error", "write one query"),
        ("select n from t where false", "gives no rows", "asked after seeding"),
        ("select m from t", 'failed: column "m" does not exist', "write one query"),
        ("select 1 as nn", "gives no column 'n'", "did you mean 'nn'?"),
        ("select 1 as other", "gives no column 'n'", "it gives other"),
        ("select 1 as n, 2 as n", "gives two columns 'n'", "by `as`"),
        ("insert into t values (2) returning n", "failed: syntax error", "write one query"),
        ("select n from t; delete from t", "failed: cannot insert multiple", "write one query"),
        (
            "select nextval('s') as n",
            "failed: cannot execute nextval()",
            "one query that only reads",
        ),
        ("select '\"\\ud800\"'::json as n", "half of a surrogate pair", "leave it out"),
        ("select n from t, generate_series(1, 6)", "gives more than 5 rows", "add a limit"),
    ],
)
async def test_what_is_wrong_with_a_statement_is_told(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, query: str, told: str, hint: str
) -> None:
    monkeypatch.setattr(feeding, "_MOST_ROWS", 5)
    await connection.execute("create table t as select 1 as n; create sequence s")
    with pytest.raises(SetupError) as caught:
        await query_rows(connection, "users", query, ["n"])
    assert "feeder users" in caught.value.message
    assert told in caught.value.message
    assert hint in caught.value.hint
    assert await rows_of(connection, "select n from t") == [(1,)]


async def test_the_most_rows_that_are_allowed_are_given(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "_MOST_ROWS", 5)
    query = "select n from generate_series(1, 5) n"
    assert len(await query_rows(connection, "f", query, ["n"])) == 5


async def assert_keys(connection: Connection, seed: Seed, claimed: Claim) -> int:
    """See that each row has the key of its number; gives how many ranges the keys are."""
    ranges = await seeded_keys(connection, seed, claimed)
    name, key = seed.table.name, seed.table.key
    found = await rows_of(connection, f"select {key}, sku from {name} where sku like 'S%'")
    skus = [f"S{number + 1}" for number in range(seed.rows)]
    assert dict(zip(keys_of(ranges), skus, strict=True)) == dict(found)
    return len(ranges)


async def test_the_keys_of_a_table_of_the_run_are_one_range(connection: Connection) -> None:
    seed, claimed = await fill(connection, table("t", COLUMNS), 1000)
    assert await seeded_keys(connection, seed, claimed) == [[1, 1001, 1]]


@pytest.mark.parametrize("step", [1, 10, -3])
@pytest.mark.parametrize("tagged", [True, False])
async def test_the_keys_of_an_existing_table_are_those_that_its_rows_have(
    connection: Connection, ledger: Ledger, step: int, tagged: bool
) -> None:
    await connection.execute(
        f"create table t (id bigint generated by default as identity (increment {step} "
        f"minvalue -10000 maxvalue 10000 start 50 cache 3), sku text, run text)"
    )
    await connection.execute("insert into t (sku) values ('old'), ('older')")
    columns = {**COLUMNS, "run": {"constant": "r1"}} if tagged else COLUMNS
    seed, claimed = await fill(connection, table("t", columns), 100, ledger)
    assert (claimed.sequence is None) == tagged
    assert await assert_keys(connection, seed, claimed) == 1


async def test_keys_with_gaps_are_several_ranges(connection: Connection, ledger: Ledger) -> None:
    await connection.execute(
        "create table t (id bigserial, sku text, run text);"
        "create function skip() returns trigger language plpgsql as $$ begin "
        "if new.sku like '%7' then perform nextval('t_id_seq'); end if; return new; end $$;"
        "create trigger skip before insert on t for each row execute function skip()"
    )
    tagged = table("t", {**COLUMNS, "run": {"constant": "r1"}})
    await connection.execute("insert into t (sku, run) values ('old', 'r0')")
    seed, claimed = await fill(connection, tagged, 100, ledger)
    assert claimed.tag == "run"
    assert await assert_keys(connection, seed, claimed) == 11


@pytest.mark.parametrize(
    ("definition", "told"),
    [
        ("id uuid default gen_random_uuid(), sku text", "no sequence counts them"),
        ("id bigint default 1, sku text", "no sequence counts them"),
        ("id bigserial, sku text", "it holds other rows, too"),
    ],
)
async def test_keys_that_cannot_be_told_are_refused(
    connection: Connection, definition: str, told: str
) -> None:
    await connection.execute(f"create table t ({definition})")
    await connection.execute("insert into t (sku) values ('old')")
    seed, claimed = await fill(connection, table("t", COLUMNS), 10)
    with pytest.raises(SetupError, match=told) as caught:
        await seeded_keys(connection, seed, claimed)
    assert "sql: select id from t" in caught.value.hint


async def test_keys_with_very_many_gaps_are_refused(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "_MOST_RANGES", 2)
    seed, claimed = await fill(connection, table("t", COLUMNS), 9)
    await connection.execute("update t set id = id * 10 + 100")
    with pytest.raises(SetupError, match="too many gaps"):
        await seeded_keys(connection, seed, claimed)
