"""PostgreSQL's cumulative statistics: read at a stage's boundaries, and what came in between.

Versions differ in the columns of the views, so that whole rows are read, and what a version does
not have is None. Sessions tell of their work once a second, at the end of a transaction; what was
not told yet counts in the next reading.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MARK = "stressrun monitor"
"""In a comment of every statement of the monitor, so that it can leave itself out."""

MOST_NAMED = 10
"""Tables and statements of a stage that are named."""

FLUSH = f"select /* {MARK} */ pg_stat_force_next_flush()"

_SUMS = ("reads", "writes", "extends", "evictions", "fsyncs")
_VIEWS = {
    "wal": ("pg_stat_wal", "(select to_json(w) from pg_stat_wal w)"),
    "bgwriter": ("pg_stat_bgwriter", "(select to_json(b) from pg_stat_bgwriter b)"),
    "checkpointer": ("pg_stat_checkpointer", "(select to_json(c) from pg_stat_checkpointer c)"),
    "io": (
        "pg_stat_io",
        "(select json_object_agg(backend_type, to_json(sums)) from (select backend_type, "
        + ", ".join(f"coalesce(sum({name}), 0) as {name}" for name in _SUMS)
        + " from pg_stat_io group by 1) sums)",
    ),
}


def statistics_query(views: Collection[str]) -> str:
    """Gives all statistics that a server with these views has, as one JSON value."""
    parts = [f"'{key}', {query}" for key, (view, query) in _VIEWS.items() if view in views]
    return f"""
select /* {MARK} */ json_build_object(
  'wal_position', case when not pg_is_in_recovery()
    then pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') end,
  'database', (select to_json(d) from pg_stat_database d where datname = current_database()),
  'tables', (select coalesce(json_object_agg(relid::regclass, to_json(t)), '{{}}')
    from pg_stat_user_tables t),
  {", ".join(parts)}
)
"""


def statements_query(schema: str, time_column: str) -> str:
    """Gives calls, seconds and rows of each statement of the database by its id."""
    return f"""
select /* {MARK} */ json_object_agg(queryid, json_build_array(calls, seconds, rows))
from (
  select queryid, sum(calls) as calls, sum({time_column}) / 1000 as seconds, sum(rows) as rows
  from {schema}.pg_stat_statements(false)
  where dbid = (select oid from pg_database where datname = current_database())
    and queryid is not null
  group by 1
) statements
"""


def texts_query(schema: str) -> tuple[str, str]:
    """Gives the texts of statements by their ids, which stand between the two pieces."""
    return (
        f"select /* {MARK} */ json_object_agg(queryid, left(query, 2000))"
        f" from {schema}.pg_stat_statements(true) where queryid = any (",
        "::bigint[])",
    )


@dataclass(frozen=True, slots=True)
class Reading:
    """All counters at one instant; of the commits so many are the monitor's own."""

    own_commits: int
    counters: Mapping[str, Any]
    statements: Mapping[str, Sequence[float]] | None


@dataclass(frozen=True, slots=True)
class Wal:
    """What was written ahead, by the whole server; `bytes` None on a standby."""

    bytes: int | None
    records: int | None
    full_page_images: int | None
    buffers_full: int | None


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Checkpoints of the server by cause, and what they wrote; times in seconds."""

    timed: int
    requested: int
    buffers_written: int
    write_time: float
    sync_time: float


@dataclass(frozen=True, slots=True)
class Io:
    """Operations on files of one type of the server's processes."""

    backend_type: str
    reads: int
    writes: int
    extends: int
    evictions: int
    fsyncs: int


@dataclass(frozen=True, slots=True)
class TableActivity:
    """What happened in a table, and how many dead rows it has at the end (an estimate)."""

    name: str
    sequential_scans: int
    sequential_rows: int
    index_scans: int
    inserted: int
    updated: int
    deleted: int
    hot_updated: int
    dead_rows: int
    autovacuums: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """What came in between two readings; `other_tables` have changed too and are not named."""

    commits: int
    rollbacks: int
    deadlocks: int
    temp_files: int
    temp_bytes: int
    blocks_hit: int
    blocks_read: int
    cache_hit_ratio: float | None
    wal: Wal
    checkpoints: Checkpoints
    io: tuple[Io, ...] | None
    tables: tuple[TableActivity, ...]
    other_tables: int


def between(before: Reading, after: Reading) -> Statistics | None:
    """The difference of two readings; None where the counters were set back in between."""
    old, new = before.counters, after.counters
    database = _Difference(old["database"], new["database"])
    if database.was_reset:
        return None
    hit, read = database.count("blks_hit"), database.count("blks_read")
    tables = _tables(old["tables"], new["tables"])
    return Statistics(
        commits=max(0, database.count("xact_commit") - (after.own_commits - before.own_commits)),
        rollbacks=database.count("xact_rollback"),
        deadlocks=database.count("deadlocks"),
        temp_files=database.count("temp_files"),
        temp_bytes=database.count("temp_bytes"),
        blocks_hit=hit,
        blocks_read=read,
        cache_hit_ratio=hit / (hit + read) if hit + read else None,
        wal=_wal(old, new),
        checkpoints=_checkpoints(old, new),
        io=_io(old, new),
        tables=tuple(tables[:MOST_NAMED]),
        other_tables=len(tables[MOST_NAMED:]),
    )


def busiest(before: Reading, after: Reading) -> list[tuple[str, int, float, int]] | None:
    """Id, calls, seconds and rows of the statements between two readings, the longest first."""
    if before.statements is None or after.statements is None:
        return None
    found = []
    for key, (calls, seconds, rows) in after.statements.items():
        old_calls, old_seconds, old_rows = before.statements.get(key, (0, 0.0, 0))
        if calls < old_calls:  # forgotten in between, and begun anew
            old_calls, old_seconds, old_rows = 0, 0.0, 0
        if calls > old_calls:
            found.append((key, int(calls - old_calls), seconds - old_seconds, int(rows - old_rows)))
    return sorted(found, key=lambda each: -each[2])


class _Difference:
    """Of two rows of a view; what is missing in one of them is 0."""

    def __init__(self, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> None:
        self._old = old or {}
        self._new = new or {}

    @property
    def was_reset(self) -> bool:
        fell = any(
            self.count(key) < 0 for key in ("xact_commit", "xact_rollback", "blks_hit", "blks_read")
        )
        return fell or self._old.get("stats_reset") != self._new.get("stats_reset")

    def count(self, *names: str) -> int:
        """The difference of the first of some columns that the version has."""
        return int(self.number(*names))

    def number(self, *names: str) -> float:
        name = next((name for name in names if name in self._new), names[0])
        return (self._new.get(name) or 0) - (self._old.get(name) or 0)


def _wal(old: Mapping[str, Any], new: Mapping[str, Any]) -> Wal:
    begin, end = old["wal_position"], new["wal_position"]
    written = None if begin is None or end is None else int(end - begin)
    if "wal" not in new:
        return Wal(written, None, None, None)
    wal = _Difference(old.get("wal"), new["wal"])
    return Wal(
        written, wal.count("wal_records"), wal.count("wal_fpi"), wal.count("wal_buffers_full")
    )


def _checkpoints(old: Mapping[str, Any], new: Mapping[str, Any]) -> Checkpoints:
    # From PostgreSQL 17 on the checkpointer has a view of its own, and shorter names in it.
    view = "checkpointer" if "checkpointer" in new else "bgwriter"
    difference = _Difference(old.get(view), new.get(view))
    return Checkpoints(
        timed=difference.count("num_timed", "checkpoints_timed"),
        requested=difference.count("num_requested", "checkpoints_req"),
        buffers_written=difference.count("buffers_written", "buffers_checkpoint"),
        write_time=difference.number("write_time", "checkpoint_write_time") / 1000,
        sync_time=difference.number("sync_time", "checkpoint_sync_time") / 1000,
    )


def _io(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Io, ...] | None:
    if "io" not in new:
        return None
    before, after = old.get("io") or {}, new["io"] or {}
    found = []
    for kind in sorted(after):
        sums = _Difference(before.get(kind), after[kind])
        counts = {name: sums.count(name) for name in _SUMS}
        if any(counts.values()):
            found.append(Io(kind, **counts))
    return tuple(found)


def _tables(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[TableActivity]:
    """The tables that were used or have dead rows, those with the most work first."""
    found = []
    for name, row in new.items():
        difference = _Difference(old.get(name), row)
        table = TableActivity(
            name=name,
            sequential_scans=difference.count("seq_scan"),
            sequential_rows=difference.count("seq_tup_read"),
            index_scans=difference.count("idx_scan"),
            inserted=difference.count("n_tup_ins"),
            updated=difference.count("n_tup_upd"),
            deleted=difference.count("n_tup_del"),
            hot_updated=difference.count("n_tup_hot_upd"),
            dead_rows=int(row.get("n_dead_tup") or 0),
            autovacuums=difference.count("autovacuum_count"),
        )
        if _work(table) or table.autovacuums:
            found.append(table)
    return sorted(found, key=lambda table: (-_work(table), table.name))


def _work(table: TableActivity) -> int:
    return (
        table.sequential_scans
        + table.sequential_rows
        + table.index_scans
        + table.inserted
        + table.updated
        + table.deleted
        + table.dead_rows
    )
