"""A stage as its database saw it: lines for the console, and its part of `report.json`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from stressrun.postgres.findings import (
    Findings,
    LockPair,
    LockWaits,
    Party,
    SlowRequests,
    StatementCalls,
)
from stressrun.postgres.statistics import Statistics
from stressrun.units import format_duration

_PAIRS = 3
_STATEMENTS = 3
_TABLES = 3
_GAPS = 3
_LONGEST = 120
# From when on it is worth a line: seconds, rows read in order (all, each scan), dead rows, a share.
_LONG_TRANSACTION = 1.0
_MANY_ROWS = 100_000
_LARGE_TABLE = 1_000
_MANY_DEAD_ROWS = 10_000
_WORTH_NAMING = 0.01


def database_lines(findings: Findings, run_id: str) -> list[str]:
    """What of a stage is worth a line: of a quiet database two or three."""
    return [
        *_overview(findings),
        *_lock_lines(findings.lock_waits, run_id),
        *_slow_lines(findings.slow_requests),
        *_statistics_lines(findings.statistics),
        *_statement_lines(findings.statements or ()),
        *_gap_lines(findings),
    ]


def finding_lines(findings: Findings) -> list[str]:
    """What a stage's slowness may come from, in short: of a quiet database nothing."""
    deadlocks = 0 if findings.statistics is None else findings.statistics.deadlocks
    lines = [
        *list(_lock_lines(findings.lock_waits, ""))[:1],
        *_slow_lines(findings.slow_requests),
        *([f"deadlocks: {deadlocks:,}"] if deadlocks else []),
        *_statistics_lines(findings.statistics),
    ]
    return [line.strip() for line in lines]


def database_part(findings: Findings) -> dict[str, Any]:
    """The stage's `database` in `report.json`."""
    part = asdict(findings)
    part["gaps"] = [{"from": gap.begin, "to": gap.end, "why": gap.why} for gap in findings.gaps]
    part["waits"] = [
        {"class": wait.wait_class, "event": wait.event, "share": wait.share}
        for wait in findings.waits
    ]
    return part


def _overview(findings: Findings) -> Iterator[str]:
    parts = []
    connections, statistics = findings.connections, findings.statistics
    if connections is not None:
        parts.append(
            f"up to {connections.max} connections, at least {connections.least_free} "
            f"of {connections.limit} free"
        )
    if statistics is not None:
        parts += _counts(statistics)
    yield f"database: {' · '.join(parts)}".rstrip()
    states = findings.states
    if states is None or not states.active.max:
        return
    shares: defaultdict[str, float] = defaultdict(float)
    for wait in findings.waits:
        shares[wait.wait_class] += wait.share
    named = [
        f"{name} {_percent(share)}"
        for name, share in sorted(shares.items(), key=lambda item: -item[1])
        if share >= _WORTH_NAMING
    ]
    parts = [f"{states.active.mean:.1f} active on average ({', '.join(named)})"]
    if states.idle_in_transaction.max:
        parts.append(
            f"{states.idle_in_transaction.mean:.1f} idle in transaction "
            f"(up to {states.idle_in_transaction.max})"
        )
    if (longest := findings.longest_transaction or 0.0) >= _LONG_TRANSACTION:
        parts.append(f"longest transaction {format_duration(longest)}")
    yield f"  sessions: {' · '.join(parts)}"


def _counts(statistics: Statistics) -> Iterator[str]:
    yield f"{statistics.commits:,} commits, {statistics.rollbacks:,} rollbacks"
    if statistics.cache_hit_ratio is not None:
        yield f"cache hits {statistics.cache_hit_ratio * 100:.1f} %"
    if statistics.wal.bytes:
        yield f"{_megabytes(statistics.wal.bytes)} of WAL"
    if statistics.deadlocks:
        yield f"{statistics.deadlocks:,} deadlocks"
    if statistics.temp_files:
        yield f"{statistics.temp_files:,} temporary files, {_megabytes(statistics.temp_bytes)}"
    checkpoints = statistics.checkpoints.timed + statistics.checkpoints.requested
    if checkpoints:
        yield f"{checkpoints:,} checkpoints"


def _lock_lines(waits: LockWaits, run_id: str) -> Iterator[str]:
    if not waits.count:
        return
    yield (
        f"  lock waits: {waits.count:,} seen, longest {format_duration(waits.longest)}; "
        f"about {format_duration(waits.estimated)} of waiting in all"
    )
    for pair in waits.pairs[:_PAIRS]:
        yield from _pair_lines(pair, run_id)
    unnamed = waits.others + sum(pair.count for pair in waits.pairs[_PAIRS:])
    if unnamed:
        yield f"    {unnamed:,} more, between other statements"


def _pair_lines(pair: LockPair, run_id: str) -> Iterator[str]:
    times = f"{pair.count:,} × {pair.place}, longest {format_duration(pair.longest)}"
    yield f"    {times}: {_who(pair.waiter, run_id)} waited for {_who(pair.blocker, run_id)}"
    yield f"      waiting: {_cut(pair.waiter.statement) or '—'}"
    yield f"      holding: {_cut(pair.blocker.statement) or '—'}"


def _who(party: Party, run_id: str) -> str:
    """`pid 4711 (checkout-api, idle in transaction)`; a state only where it says something."""
    name = "this run" if party.application == f"stressrun/{run_id}" else party.application
    about = ", ".join(part for part in (name, party.state.replace("active", "")) if part)
    return f"pid {party.pid} ({about})" if about else f"pid {party.pid}"


def _slow_lines(slow: SlowRequests | None) -> Iterator[str]:
    if slow is None:
        return
    bound = f"{'the p99, ' if slow.is_p99 else ''}{format_duration(slow.over)}"
    for overlap in slow.overlaps:
        if overlap.share is not None:
            yield (
                f"  {_percent(overlap.share)} of the {slow.count:,} requests over {bound}, "
                f"overlapped a lock wait on {overlap.place} "
                f"({_percent(overlap.by_chance)} would by chance)"
            )
    if slow.unknown:
        yield f"  {slow.unknown:,} more such requests were under way while nothing was seen"


def _statistics_lines(statistics: Statistics | None) -> Iterator[str]:
    if statistics is None:
        return
    scanned = [
        table
        for table in statistics.tables
        if table.sequential_rows >= max(_MANY_ROWS, _LARGE_TABLE * table.sequential_scans)
    ]
    if scanned:
        shown = ", ".join(
            f"{table.name} {table.sequential_scans:,} ({table.sequential_rows:,} rows)"
            for table in scanned[:_TABLES]
        )
        yield f"  sequential scans: {shown}"
    dead = [table for table in statistics.tables if table.dead_rows >= _MANY_DEAD_ROWS]
    if dead:
        shown = ", ".join(f"{table.name} {table.dead_rows:,}" for table in dead[:_TABLES])
        yield f"  dead rows at the end: {shown}"


def _statement_lines(statements: tuple[StatementCalls, ...]) -> Iterator[str]:
    seconds = sum(calls.seconds for calls in statements)
    for calls in statements[:_STATEMENTS]:
        if calls.seconds < _WORTH_NAMING * seconds:
            return
        per_request = ""
        if calls.per_request is not None:
            per_request = f", {calls.per_request:.2f} per request"
        yield (
            f"  {format_duration(calls.seconds)} in {calls.calls:,} calls{per_request}: "
            f"{_cut(calls.statement)}"
        )


def _gap_lines(findings: Findings) -> Iterator[str]:
    for gap in findings.gaps[:_GAPS]:
        yield f"  not seen from {gap.begin:.1f} s to {gap.end:.1f} s: {gap.why}"
    others = len(findings.gaps) - _GAPS
    if others > 0:
        yield f"  not seen in {others} more gaps: see report.json"


def _cut(statement: str) -> str:
    return statement if len(statement) <= _LONGEST else f"{statement[: _LONGEST - 1]}…"


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
