"""Differences of the server's counters, as several versions name them."""

from __future__ import annotations

from typing import Any

from stressrun.postgres.statistics import MOST_NAMED, Io, Reading, between, busiest


def database(**counters: Any) -> dict[str, Any]:
    zero = dict.fromkeys(
        ("xact_commit", "xact_rollback", "deadlocks", "temp_files", "temp_bytes"), 0
    )
    return {"blks_hit": 0, "blks_read": 0, "stats_reset": None, **zero, **counters}


def reading(own: int = 0, **views: Any) -> Reading:
    counters = {"wal_position": 0, "database": database(), "tables": {}, **views}
    statements = counters.pop("statements", None)
    return Reading(own, counters, statements)


def test_commits_are_counted_without_the_monitor_s_own() -> None:
    found = between(
        reading(5, database=database(xact_commit=10, xact_rollback=1, blks_hit=10)),
        reading(
            25,
            database=database(
                xact_commit=130, xact_rollback=3, deadlocks=1, blks_hit=40, blks_read=10
            ),
        ),
    )
    assert found is not None
    assert (found.commits, found.rollbacks, found.deadlocks) == (100, 2, 1)
    assert found.cache_hit_ratio == 0.75


def test_counters_that_fell_were_set_back() -> None:
    full, empty = database(xact_commit=100, blks_hit=7), database(xact_commit=3)
    assert between(reading(database=full), reading(database=empty)) is None
    again = database(xact_commit=200, stats_reset="2026-01-01")
    assert between(reading(database=full), reading(database=again)) is None


def test_what_a_version_does_not_have_is_none() -> None:
    found = between(reading(wal_position=None), reading(wal_position=None))
    assert found is not None
    assert (found.wal.bytes, found.wal.records, found.io) == (None, None, None)
    assert found.cache_hit_ratio is None


def test_checkpoints_have_other_names_since_version_17() -> None:
    old = between(
        reading(bgwriter={"checkpoints_timed": 1, "checkpoint_write_time": 500.0}),
        reading(
            bgwriter={
                "checkpoints_timed": 3,
                "checkpoints_req": 4,
                "buffers_checkpoint": 5,
                "checkpoint_write_time": 2500.0,
                "checkpoint_sync_time": 1.0,
            }
        ),
    )
    new = between(
        reading(bgwriter={}, checkpointer={"num_timed": 1, "write_time": 500.0}),
        reading(
            bgwriter={},
            checkpointer={
                "num_timed": 3,
                "num_requested": 4,
                "buffers_written": 5,
                "write_time": 2500.0,
                "sync_time": 1.0,
            },
        ),
    )
    assert old is not None
    assert new is not None
    assert old.checkpoints == new.checkpoints
    assert (new.checkpoints.timed, new.checkpoints.write_time) == (2, 2.0)


def test_processes_that_did_nothing_are_not_named() -> None:
    sums = dict.fromkeys(("reads", "writes", "extends", "evictions", "fsyncs"), 1)
    found = between(
        reading(io={"client backend": sums, "walwriter": sums}),
        reading(io={"client backend": sums, "walwriter": {**sums, "writes": 4}}),
    )
    assert found is not None
    assert found.io == (Io("walwriter", 0, 3, 0, 0, 0),)


def test_tables_with_the_most_work_are_named() -> None:
    before = {f"t{n}": {"seq_scan": 1, "n_tup_ins": 5} for n in range(20)}
    after = {f"t{n}": {"seq_scan": 1, "n_tup_ins": 5 + n, "n_dead_tup": 0} for n in range(20)}
    after["new"] = {"seq_scan": 2, "seq_tup_read": 1000, "n_dead_tup": 3, "idx_scan": None}
    found = between(reading(tables=before), reading(tables=after))
    assert found is not None
    assert [table.name for table in found.tables[:2]] == ["new", "t19"]
    assert (found.tables[0].sequential_scans, found.tables[0].dead_rows) == (2, 3)
    assert found.tables[1].inserted == 19
    assert len(found.tables) == MOST_NAMED
    assert found.other_tables == 20 - MOST_NAMED


def test_statements_are_ranked_by_their_time() -> None:
    before = reading(statements={"1": [10, 1.0, 10], "2": [5, 5.0, 5], "3": [100, 9.0, 100]})
    after = reading(
        # The third was forgotten and begun anew, the fourth is new, the second was not called.
        statements={"1": [30, 3.0, 50], "2": [5, 5.0, 5], "3": [2, 0.5, 2], "4": [1, 7.0, 0]}
    )
    assert busiest(before, after) == [("4", 1, 7.0, 0), ("1", 20, 2.0, 40), ("3", 2, 0.5, 2)]
    assert busiest(reading(), after) is None
