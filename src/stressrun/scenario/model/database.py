"""The database of a scenario: its tables, their rows, and what is written beside the requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stressrun.data.expressions import Template
from stressrun.data.generators import Generator


@dataclass(frozen=True, slots=True)
class Column:
    """A column and what fills it.

    `type` is SQL's, given or inferred from the generator; None: that of the column referred to.
    """

    name: str
    generator: Generator
    type: str | None


@dataclass(frozen=True, slots=True)
class Index:
    columns: tuple[str, ...]
    unique: bool


@dataclass(frozen=True, slots=True)
class Table:
    """A table that is filled, and how to create it where it does not exist."""

    name: str
    key: str
    columns: tuple[Column, ...]
    indexes: tuple[Index, ...]


@dataclass(frozen=True, slots=True)
class Seed:
    """Rows that are there before the first stage."""

    table: Table
    rows: int


@dataclass(frozen=True, slots=True)
class NamedOperation:
    """An operation of the scenario's own SQL: one statement, or a transaction of several."""

    name: str
    statements: tuple[Template, ...]
    transaction: bool


@dataclass(frozen=True, slots=True)
class WriteMix:
    """Operations in proportion to their `weights`, all above 0, on connections of their own.

    Without a `seed` it has operations of the scenario's own only. An insert or COPY writes
    `batch` rows, an update sets the `updated_columns`; `keys` is how rows are chosen: uniform,
    zipfian, latest or sequential. `protocol` is prepared, extended or simple; of `pipeline`
    operations that are sent together each is a transaction.
    """

    name: str
    seed: Seed | None
    weights: Mapping[str, float]
    named: tuple[NamedOperation, ...] = ()
    batch: int = 1
    updated_columns: tuple[str, ...] = ()
    keys: str = "uniform"
    protocol: str = "prepared"
    isolation: str | None = None
    retries: int = 3
    pipeline: int = 1


@dataclass(frozen=True, slots=True)
class Database:
    """The database of a scenario, and how the sessions of the load treat it.

    `min_free_connections` stay free on the server. Timeouts are in seconds: 0 is none, and with
    `statement_timeout` None the server's own holds. `sample_interval` is the monitor's; None: it
    does not run. `require_sentinel`: without one it is refused.
    """

    url: str
    min_free_connections: int = 5
    statement_timeout: float | None = None
    lock_timeout: float = 30.0
    idle_in_transaction_timeout: float = 60.0
    sample_interval: float | None = 0.1
    require_sentinel: bool = False
