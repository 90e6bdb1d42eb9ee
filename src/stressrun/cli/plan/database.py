"""The database in a plan: its settings, its seeding, what is written, and what is removed."""

from __future__ import annotations

from collections.abc import Iterator

from stressrun.cli.plan.requests import Common, request_line
from stressrun.cli.plan.wording import duration, percent
from stressrun.data.composites import foreign_key
from stressrun.scenario.model import (
    Column,
    CommandSeeding,
    Database,
    OwnedRows,
    RequestSeeding,
    Seed,
    SeedingStep,
    SqlSeeding,
    SqlTeardown,
    Teardown,
    WriteMix,
)


def database_lines(database: Database) -> Iterator[str]:
    """What is not as it is by default."""
    defaults = Database(database.url)
    if database.min_free_connections != defaults.min_free_connections:
        yield f"connections that stay free: {database.min_free_connections}"
    for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_timeout"):
        seconds = getattr(database, name)
        if seconds != getattr(defaults, name):
            yield f"{name.replace('_', ' ')}: {duration(seconds) if seconds else 'none'}"
    if database.require_sentinel:
        yield "must carry a sentinel"
    if (every := database.sample_interval) != defaults.sample_interval:
        yield f"monitor: {'none' if every is None else f'every {duration(every)}'}"


def seeding_line(step: SeedingStep, common: Common) -> str:
    match step:
        case Seed(table, rows):
            return f"{rows:,} rows of {table.name} ({', '.join(map(_column, table.columns))})"
        case SqlSeeding(sql, file):
            return f"sql: {file or ' '.join(sql.split())}"
        case CommandSeeding():
            return f"command: {' '.join(step.command)}, within {duration(step.within)}"
        case RequestSeeding():
            return f"request: {request_line(step.request, common)}"


def _column(column: Column) -> str:
    reference = foreign_key(column.generator)
    kind = [column.type] if column.type is not None else []
    return " ".join([column.name, *kind, *([f"→ {reference.name}"] if reference else [])])


def write_lines(mix: WriteMix) -> Iterator[str]:
    total = sum(mix.weights.values())
    shares = [f"{percent(weight / total)} {name}" for name, weight in mix.weights.items()]
    parts = [", ".join(shares) + (f" on {mix.seed.table.name}" if mix.seed else "")]
    if mix.batch > 1 and not mix.weights.keys().isdisjoint(("insert", "copy")):
        parts.append(f"{mix.batch} rows an insert")
    if not mix.weights.keys().isdisjoint(("update", "upsert")):
        parts.append(f"updates set {', '.join(mix.updated_columns)}")
    parts += _exceptions(mix)
    yield f"{mix.name}: {', '.join(parts)}"
    for own in mix.named:
        statements = [" ".join(statement.source.split()) for statement in own.statements]
        if own.transaction:
            yield f"  {own.name}, a transaction:"
            yield from (f"    {statement}" for statement in statements)
        else:
            yield f"  {own.name}: {statements[0]}"


def _exceptions(mix: WriteMix) -> Iterator[str]:
    """Where a mix departs from what one is by default."""
    if mix.keys != "uniform":
        yield f"{mix.keys} keys"
    if mix.protocol != "prepared":
        yield f"{mix.protocol} protocol"
    if mix.isolation is not None:
        yield mix.isolation
    if mix.pipeline > 1:
        yield f"{mix.pipeline} in a pipeline"
    if mix.retries != WriteMix(mix.name, None, {}).retries:
        yield f"{mix.retries or 'no'} retries"


def teardown_line(teardown: Teardown) -> str:
    if isinstance(teardown, SqlTeardown):
        return f"sql: {' '.join(teardown.sql.split())}"
    if isinstance(teardown, OwnedRows):
        return f"rows of {teardown.table} whose {teardown.column} is the run's id"
    asked = f", then GET {teardown.gone} finds nothing" if teardown.gone else ""
    return f"request: {teardown.method} {teardown.path}{asked}"
