"""The lane of the write mixes on real connections: how operations are paced, counted and ended."""

from __future__ import annotations

import os
import random
import socket
import time
from functools import partial
from pathlib import Path

import pytest
import trio

from stressrun.postgres import keys
from stressrun.postgres.connection import connect
from stressrun.safety.guard import Guard
from writing import OURS, Writing, writing

TABLE = "table: t, columns: {a: {integer: [1, 1000]}, b: {text: 40B}}"
ROWS = 200
WEIGHTS = "insert: 5, update: 3, delete: 3, select: 2, upsert: 3, own: 1"
OWN = 'own: {sql: "update t set a = a + ${integer(1, 9)} where id = ${key}"}'
MOVE = (
    'move: {transaction: ["update t set a = a - 1 where id = ${key}",'
    ' "insert into t (a, b) values (${integer(1, 9)}, ${text(5)})",'
    ' "delete from t where id in (select max(id) from t)"]}'
)
# What runs until it is ended.
STUCK = 'stuck: {sql: "update t set a = a where pg_sleep(60) is not null and id = ${key}"}'


def writes(mix: str, operations: str = "", rest: str = "", rows: int = ROWS) -> str:
    own = f", operations: {{{operations}}}" if operations else ""
    return f"writes: [{{name: w, {TABLE}, rows: {rows}, mix: {{{mix}}}{own}{rest}}}]"


def stage(load: str, duration: str = "200ms") -> str:
    return f"[{{name: s, duration: {duration}, writes: {load}}}]"


def counts(writing: Writing, name: str) -> dict[str, int]:
    """How the operations of a name ended, without what is 0."""
    row = writing.rows[name]
    ends = ("planned", "succeeded", "failed", "dropped", "interrupted", "unknown", "retried")
    return {end: getattr(row, end) for end in ends if getattr(row, end)}


def has_counted(writing: Writing, name: str, *, succeeded: int = 0, failed: int = 0) -> bool:
    """Whether so many operations of a name, or more, have succeeded and failed."""
    row = writing.rows[name]
    return row.succeeded >= succeeded and row.failed >= failed


async def prepared(url: str, *statements: str) -> None:
    """Have a database that is as the statements leave it."""
    async with await connect(url, guard=Guard(), run_id="admin") as admin:
        for statement in statements:
            await admin.execute(statement)


@pytest.fixture
def database_url(schema_url: str) -> str:
    return schema_url


# Pacing


async def test_a_rate_does_every_operation_once(tmp_path: Path, database_url: str) -> None:
    source = writes("insert: 1")
    async with writing(tmp_path, database_url, source, stage("{rate: 100/s}")) as w:
        await w.run()
        assert counts(w, "insert") == {"planned": 20, "succeeded": 20}
        assert w.recorder.lag.count == 20
        await w.assert_exact("t", ROWS)


@pytest.mark.parametrize("load", ["{workers: {from: 0, to: 4}}", "{workers: {from: 4, to: 0}}"])
async def test_workers_do_one_after_the_other_and_measure_no_lag(
    tmp_path: Path, database_url: str, load: str
) -> None:
    async with writing(tmp_path, database_url, writes("insert: 1"), stage(load)) as w:
        await w.run()
        assert w.rows["insert"].succeeded > 4
        assert w.recorder.lag.count == 0
        await w.assert_exact("t", ROWS)


@pytest.mark.parametrize("load", ["{rate: 100/s}", "{workers: 2}"])
async def test_what_a_loop_that_was_stopped_adds_to_times_is_told_apart(
    tmp_path: Path, database_url: str, load: str
) -> None:
    async def stop() -> None:
        await trio.sleep(0.05)
        time.sleep(0.08)  # the lane stands as still as whoever runs here

    async with writing(tmp_path, database_url, writes("insert: 1"), stage(load)) as w:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop)
            await w.run()
        row = w.rows["insert"]
        assert row.lagged.count
        assert row.response_without_lag.total < row.response.total - 40_000_000
        assert w.recorder.loop_lag.maximum > 50_000_000


async def test_what_finds_no_free_worker_waits_and_is_dropped(
    tmp_path: Path, database_url: str
) -> None:
    load = stage("{rate: 100/s, max_workers: 4}")
    slow = 'slow: {sql: "select pg_sleep(0.08)"}'
    async with writing(tmp_path, database_url, writes("slow: 1", slow), load) as w:
        await w.run()
        found = counts(w, "slow")
        assert (found["planned"], found["dropped"] + found["succeeded"]) == (20, 20)
        assert found["dropped"] > 0
        row = w.rows["slow"]
        assert row.response.maximum > row.service.maximum, "waiting counts from when it was due"


async def test_what_runs_after_the_grace_is_interrupted(tmp_path: Path, database_url: str) -> None:
    load = stage("{rate: 100/s, max_workers: 4}")
    async with writing(tmp_path, database_url, writes("stuck: 1", STUCK), load) as w:
        await w.run(grace=0.0)
        assert counts(w, "stuck") == {"planned": 20, "interrupted": 4, "dropped": 16}
        assert (w.runner.pool.active, w.runner.pool.open) == (0, 4)
        await w.assert_exact("t", ROWS)


async def test_the_pool_says_how_it_is_used(tmp_path: Path, database_url: str) -> None:
    load = stage("{rate: 100/s, max_workers: 3}", "60s")
    source = writes("stuck: 1", STUCK)
    async with writing(tmp_path, database_url, source, load) as w, trio.open_nursery() as nursery:
        nursery.start_soon(w.run)
        await w.until_holds(lambda: w.runner.pool.waiting >= 5)
        pool = w.runner.pool
        assert (pool.most, pool.allowed, pool.open, pool.active) == (3, 3, 3, 3)
        nursery.cancel_scope.cancel()


async def test_a_stop_ends_the_stage_at_once(tmp_path: Path, database_url: str) -> None:
    load = stage("{rate: {from: 1/s, to: 1000/s}}", "60s")
    async with writing(tmp_path, database_url, writes("insert: 1"), load) as w:
        w.runner.stop()
        with trio.fail_after(30):
            await w.run()
        assert sum(row.planned for row in w.rows.values()) <= 1


@pytest.mark.parametrize(
    "load", ["{workers: {from: 0, to: 4}}", "{workers: {from: 4, to: 0}}", "{rate: 100/s}"]
)
async def test_a_stall_over_the_end_of_a_stage_does_not_keep_it_from_ending(
    tmp_path: Path, database_url: str, load: str
) -> None:
    async with writing(tmp_path, database_url, writes("insert: 1"), stage(load)) as w:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(w.run, grace=60))
            await w.until_holds(lambda: w.rows["insert"].planned > 0)
            time.sleep(0.4)  # the generator's own fault, so no trio.sleep
        await w.assert_exact("t", ROWS)


async def test_stages_follow_one_another_and_repeat_no_row(
    tmp_path: Path, database_url: str
) -> None:
    source = (
        "writes: [{name: w, table: t, key: sku, columns: {sku: {serial: 1}}, mix: {insert: 1}}]"
    )
    load = stage("{workers: 4}", "60s")
    async with writing(tmp_path, database_url, source, load) as w:
        for number in range(3):
            await w.run_until(partial(has_counted, w, "insert", succeeded=50 * number + 1))
        assert not w.rows["insert"].failed
        await w.assert_exact("t", 0)


async def test_two_mixes_run_beside_each_other(tmp_path: Path, database_url: str) -> None:
    source = (
        f"writes: [{{name: one, {TABLE}, mix: {{insert: 1}}}},"
        " {name: two, mix: {bare: 1}, operations: {bare: {sql: select 1}}}]"
    )
    async with writing(tmp_path, database_url, source, stage("{rate: 100/s}")) as w:
        await w.run()
        assert counts(w, "insert") == counts(w, "bare") == {"planned": 20, "succeeded": 20}
        await w.assert_exact("t", 0)


# Exactness


EVERY_WAY = [
    pytest.param(protocol, pipeline, choice, own_keys, id=f"{protocol}-{pipeline}-{choice}")
    for protocol, pipeline, choice, own_keys in (
        ("prepared", 1, "uniform", False),
        ("extended", 1, "zipfian", True),
        ("simple", 1, "sequential", False),
        ("prepared", 7, "latest", True),
        ("extended", 7, "uniform", False),
    )
]


@pytest.mark.parametrize(("protocol", "pipeline", "choice", "own_keys"), EVERY_WAY)
async def test_the_table_holds_what_was_reported_whenever_the_stage_is_cancelled(
    tmp_path: Path,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    protocol: str,
    pipeline: int,
    choice: str,
    own_keys: bool,
) -> None:
    monkeypatch.setattr(keys, "_FIRST_BLOCK", 40)
    monkeypatch.setattr(keys, "_LARGEST_BLOCK", 40)
    if own_keys:  # rows among those of others bear keys that are reserved block by block
        await prepared(database_url, "create table t (id serial primary key, a int, b text)")
    rest = f", batch: 3, protocol: {protocol}, pipeline: {pipeline}, keys: {choice}"
    apart = pipeline == 1
    mix = f"{WEIGHTS}, copy: 2, move: 2" if apart else WEIGHTS
    source = writes(mix, f"{OWN}, {MOVE}" if apart else OWN, rest)
    instants = random.Random(f"{protocol} {pipeline}")
    async with writing(tmp_path, database_url, source, ledger=own_keys) as w:
        for _ in range(20):
            with trio.move_on_after(instants.uniform(0, 0.03)):
                await w.run()
            await w.assert_exact("t", ROWS)
        unknown = sum(row.unknown for row in w.rows.values())
        assert unknown == 0, "the server always answers here"
        done = {name: row.succeeded for name, row in w.rows.items()}
        await w.run_until(lambda: all(row.succeeded > done[n] for n, row in w.rows.items()))
        await w.assert_exact("t", ROWS)


async def test_a_copy_that_is_cancelled_halfway_has_written_nothing(
    tmp_path: Path, database_url: str
) -> None:
    source = (
        "writes: [{name: w, table: t, columns: {data: {hex: 1KB}}, mix: {copy: 1}, batch: 3000}]"
    )
    instants = random.Random(1)
    async with writing(tmp_path, database_url, source) as w:
        for _ in range(8):
            with trio.move_on_after(instants.uniform(0.005, 0.06)):
                await w.run()
            await w.assert_exact("t", 0)
        assert w.rows["copy"].interrupted > 0
        await w.run_until(lambda: w.rows["copy"].succeeded > 0)
        await w.assert_exact("t", 0)


@pytest.mark.parametrize("pipeline", [1, 5])
async def test_a_commit_that_fails_is_a_failure(
    tmp_path: Path, database_url: str, pipeline: int
) -> None:
    unique = "unique (a) deferrable initially deferred"
    await prepared(database_url, f"create table t (id serial, a int, b text, {unique})")
    source = writes("insert: 1", rest=f", pipeline: {pipeline}", rows=0)
    async with writing(tmp_path, database_url, source) as w:
        await w.run_until(lambda: w.rows["insert"].failed > 100)
        assert w.rows["insert"].errors.keys() == {"23505 unique_violation"}
        await w.assert_exact("t", 0)


# Failures


@pytest.mark.parametrize("pipeline", [1, 4])
async def test_failures_are_counted_by_kind_with_a_sample(
    pipeline: int, tmp_path: Path, database_url: str
) -> None:
    wrong = 'wrong: {sql: "select 1 / ${integer(0, 1)}::int"}'
    source = writes("wrong: 1", wrong, f", pipeline: {pipeline}")
    async with writing(tmp_path, database_url, source) as w:
        await w.run_until(partial(has_counted, w, "wrong", succeeded=6, failed=6))
        row = w.rows["wrong"]
        assert row.errors == {"22012 division_by_zero": row.failed}
        sample = row.samples["22012 division_by_zero"][0]
        assert sample.detail.startswith("division by zero")
        assert sample.request == "select 1 / $1::int"


FLAKY = (
    "create sequence tries",
    "create function flaky(code text) returns int language plpgsql as $$ begin"
    " if nextval('tries') % 3 > 0 then raise 'again' using errcode = code; end if;"
    " return 1; end $$",
)


@pytest.mark.parametrize("code", ["40001 serialization_failure", "40P01 deadlock_detected"])
@pytest.mark.parametrize("transaction", [False, True])
async def test_conflicts_are_tried_again_and_counted(
    tmp_path: Path, database_url: str, code: str, transaction: bool
) -> None:
    await prepared(database_url, *FLAKY)
    sql = f"insert into t (a) select flaky('{code[:5]}')"
    flaky = f'flaky: {{transaction: ["{sql}"]}}' if transaction else f'flaky: {{sql: "{sql}"}}'
    load = stage("{workers: 1}", "60s")
    async with writing(tmp_path, database_url, writes("flaky: 1", flaky), load) as w:
        await w.run_until(lambda: w.rows["flaky"].succeeded >= 10)
        row = w.rows["flaky"]
        assert (row.failed, row.retried) == (0, 2 * row.succeeded)
        await w.assert_exact("t", ROWS)


@pytest.mark.parametrize(
    ("retries", "rest"), [(0, "retries: 0"), (1, "retries: 1"), (0, "pipeline: 3")]
)
async def test_a_conflict_that_goes_on_is_a_failure(
    tmp_path: Path, database_url: str, retries: int, rest: str
) -> None:
    await prepared(database_url, *FLAKY)
    flaky = "flaky: {sql: \"insert into t (a) select flaky('40001') where ${integer(1, 1)} = 1\"}"
    load = stage("{workers: 1}", "60s")
    source = writes("flaky: 1", flaky, f", {rest}")
    async with writing(tmp_path, database_url, source, load) as w:
        await w.run_until(lambda: w.rows["flaky"].failed >= 5 and w.rows["flaky"].succeeded >= 3)
        row = w.rows["flaky"]
        assert row.errors == {"40001 serialization_failure": row.failed}
        assert (row.retried > 0) == (retries > 0)
        await w.assert_exact("t", ROWS)


async def test_without_a_row_left_an_operation_fails_and_its_worker_rests(
    tmp_path: Path, database_url: str
) -> None:
    async with writing(tmp_path, database_url, writes("delete: 1", rows=3)) as w:
        await w.run_until(lambda: w.rows["delete"].failed > 4)
        assert w.rows["delete"].succeeded == 3
        assert w.rows["delete"].errors.keys() == {"no_rows"}
        # One that rests can lose its connection, too.
        await w.terminate()
        await w.run_until(lambda: w.rows["delete"].failed > 12)
        await w.assert_exact("t", 3)


async def test_feeders_give_operations_their_rows(tmp_path: Path, database_url: str) -> None:
    (tmp_path / "people.csv").write_text("name\nann\nbob\ncid\n")
    (tmp_path / "bad.jsonl").write_text('{"v": "a\\u0000b"}\n')
    feeders = "feeders: {p: {csv: people.csv, order: unique}, bad: {json_lines: bad.jsonl}}\n"
    own = (
        'own: {sql: "insert into t (b) values (${p.name})"},'
        ' nul: {sql: "insert into t (b) values (${bad.v})"}'
    )
    source = feeders + writes("own: 1, nul: 1", own, rows=0)
    async with writing(tmp_path, database_url, source) as w:
        await w.run_until(lambda: all(row.failed > 3 for row in w.rows.values()))
        assert w.rows["own"].errors.keys() == {"no row left in p"}
        assert w.rows["nul"].errors.keys() == {"bad_value"}
        assert "NUL character" in w.rows["nul"].samples["bad_value"][0].detail
        assert await w.ask("select array_agg(b order by b) from t") == ["ann", "bob", "cid"]
        await w.assert_exact("t", 0)


async def test_operations_name_rows_of_seeded_tables(tmp_path: Path, database_url: str) -> None:
    seeding = "seeding: [{table: p, rows: 30, columns: {sku: {serial: 'SKU-{:d}'}}}]\n"
    own = (
        'buy: {transaction: ["insert into t (a, b) select id, sku from p where id = ${p.id}'
        ' and sku = ${p.sku}", "update t set a = a + 0 where id = ${t.id}"]}'
    )
    source = seeding + writes("buy: 1", own)
    async with writing(tmp_path, database_url, source) as w:
        await w.run_until(lambda: w.rows["buy"].succeeded > 100)
        assert w.rows["buy"].rows == 2 * w.rows["buy"].succeeded
        assert await w.ask("select count(distinct b) > 20 from t where b like 'SKU-%'")
        await w.assert_exact("t", ROWS)


async def test_a_mix_needs_no_table(tmp_path: Path, database_url: str) -> None:
    source = 'writes: [{name: w, mix: {own: 1}, operations: {own: {sql: "select ${uuid}"}}}]'
    async with writing(tmp_path, database_url, source, stage("{rate: 100/s}")) as w:
        await w.run()
        assert counts(w, "own") == {"planned": 20, "succeeded": 20}
        assert (w.rows["own"].rows, w.rows["own"].rows_added) == (20, 0)
        assert w.rows["own"].bytes_received == 20 * 36


# Lost connections


async def test_connections_that_are_lost_between_stages_cost_no_operation(
    tmp_path: Path, database_url: str
) -> None:
    async with writing(tmp_path, database_url, writes("insert: 1")) as w:
        for stage in range(1, 4):
            await w.run_until(partial(has_counted, w, "insert", succeeded=20 * stage + 1))
            await w.terminate()
        assert counts(w, "insert").keys() == {"planned", "succeeded"}
        await w.assert_exact("t", ROWS)


FOUR_STUCK = f"select count(*) = 4 from pg_stat_activity where {OURS} and wait_event = 'PgSleep'"
STUCK_MOVE = (
    'stuck: {transaction: ["insert into t (a) values (1)",'
    ' "update t set a = 0 where id = ${key}", "select pg_sleep(60)"]}'
)


@pytest.mark.parametrize(
    ("operations", "rest"), [(STUCK, ""), (STUCK_MOVE, ""), (STUCK, ", pipeline: 3")]
)
async def test_what_a_terminated_session_did_is_undone_and_failed(
    tmp_path: Path, database_url: str, operations: str, rest: str
) -> None:
    source = writes("insert: 1, stuck: 1", operations, rest)
    async with writing(tmp_path, database_url, source) as w:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(w.run)
            for ended in (4, 8):
                await w.until(FOUR_STUCK)
                await w.terminate()
                await w.until_holds(partial(has_counted, w, "stuck", failed=ended))
            nursery.cancel_scope.cancel()
        assert w.rows["stuck"].errors.keys() == {"57P01 admin_shutdown"}
        assert w.rows["stuck"].unknown == w.rows["insert"].unknown == 0
        await w.assert_exact("t", ROWS)


async def test_what_a_broken_network_leaves_open_is_unknown(
    tmp_path: Path, database_url: str
) -> None:
    async with writing(tmp_path, database_url, writes("stuck: 1", STUCK)) as w:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(w.run)
            await w.until(
                f"select count(*) = 4 from pg_stat_activity where {OURS} and wait_event = 'PgSleep'"
            )
            for descriptor in w.descriptors:
                with socket.socket(fileno=os.dup(descriptor)) as duplicate:
                    duplicate.shutdown(socket.SHUT_RDWR)
            await w.until_holds(lambda: w.rows["stuck"].unknown == 4)
            nursery.cancel_scope.cancel()
        (sample,) = w.rows["stuck"].samples["connection_lost"][:1]
        assert "pg_sleep" in sample.request
        await w.assert_exact("t", ROWS)


# Rows of others


OTHERS = "create table o (id int {}, v text, made_by text)"
HERS = "insert into o select n, 'hers', 'alice' from generate_series(1, 300) n"
TAGGED = "table: o, columns: {id: {serial: 1}, v: {text: 9B}, made_by: {constant: '${run.id}'}}"


@pytest.mark.parametrize(
    ("key", "mix"),
    [
        ("primary key", "rows: 0, mix: {upsert: 1}"),
        ("primary key", "rows: 0, mix: {upsert: 1}, update: [v, made_by]"),
        ("primary key", "rows: 0, mix: {upsert: 1}, pipeline: 5"),
        ("", "rows: 200, mix: {update: 2, delete: 1, select: 1}"),
    ],
)
async def test_rows_of_others_stay_whatever_keys_they_have(
    key: str, mix: str, tmp_path: Path, database_url: str
) -> None:
    await prepared(database_url, OTHERS.format(key), HERS)
    source = f"writes: [{{name: w, {TAGGED}, {mix}}}]"
    load = stage("{rate: 1000/s, max_workers: 4}", "400ms")
    async with writing(tmp_path, database_url, source, load, ledger=True) as w:
        await w.run()
        assert await w.ask("select count(*) from o where v = 'hers' and made_by = 'alice'") == 300
        own = 200 if "rows: 200" in mix else 0
        assert await w.ask("select count(*) from o where made_by = 'r1'") == own + sum(
            row.rows_added for row in w.rows.values()
        )
        if "upsert" in w.rows:
            assert w.rows["upsert"].errors["foreign_row"] > 0
            assert w.rows["upsert"].succeeded > 0
        else:
            assert all(row.succeeded > 0 == row.failed for row in w.rows.values())


# The floor


@pytest.mark.parametrize("connections", [6, 3, 1])
async def test_connections_that_a_stage_does_not_use_are_given_up_first(
    connections: int, tmp_path: Path, database_url: str
) -> None:
    load = (
        "[{name: few, duration: 200ms, writes: {rate: 100/s, max_workers: 2}},"
        " {name: many, duration: 200ms, writes: {rate: 100/s, max_workers: 6}}]"
    )
    async with writing(tmp_path, database_url, writes("insert: 1"), load) as w:
        pool = w.runner._pool
        pool.keep_free(0, pool.open - connections)
        w.runner._lane.balance()
        assert (pool.open, w.runner._lane.connected) == (connections, connections)
        await w.run(0)
        assert counts(w, "insert") == {"planned": 20, "succeeded": 20}


async def test_of_several_mixes_the_one_with_the_most_connections_gives(
    tmp_path: Path, database_url: str
) -> None:
    own = "operations: {own: {sql: select 1}}, mix: {own: 1}"
    source = f"writes: [{{name: a, {own}}}, {{name: b, {own}}}]"
    load = stage("{rate: 50/s, max_workers: 5}", "400ms")
    async with writing(tmp_path, database_url, source, load) as w:
        pool, lane = w.runner._pool, w.runner._lane
        pool.keep_free(0, 7)
        lane.balance()
        mixes = [writer.mix.name for writer in lane._by_descriptor.values()]
        assert sorted((mixes.count("a"), mixes.count("b"))) == [1, 2]
        await w.run()
        ended = [(row.planned, row.succeeded) for row in w.recorder.rows.values()]
        assert ended == [(20, 20), (20, 20)]


async def test_keys_are_reserved_ahead_again_after_their_connection_was_lost(
    tmp_path: Path, database_url: str
) -> None:
    await prepared(database_url, "create table t (id bigserial primary key, a int, b text)")
    load = stage("{rate: 1000/s, max_workers: 4}", "400ms")
    async with writing(tmp_path, database_url, writes("insert: 1"), load, ledger=True) as w:
        lost = w.runner._for_keys
        pid = lost.info.backend_pid
        await w.admin.execute(f"select pg_terminate_backend({pid}, 5000)")
        (mix,) = w.runner._mixes
        supply = mix.supply
        assert supply is not None
        # All but a few are taken: whoever reserves ahead has to, and finds itself disconnected.
        supply.take(supply._left - 1)
        await w.until_holds(lambda: supply.has(5000))
        assert w.runner._for_keys is not lost
        await w.run()
        await w.assert_exact("t", ROWS)
