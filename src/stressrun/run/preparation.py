"""Before the first stage: the targets judged by the guard, the database filled and asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast
from urllib.parse import urlsplit

from stressrun.errors import RefusedError
from stressrun.http.origin import origin_of
from stressrun.load.endpoints import check_http2
from stressrun.load.rows import columns_used
from stressrun.load.writes import connections_needed
from stressrun.postgres.connection import Connection, connect
from stressrun.postgres.feeding import query_rows
from stressrun.postgres.preflight import examine, server_version
from stressrun.postgres.url import DatabaseUrl, completed
from stressrun.run.budget import changes_rows, check_budget
from stressrun.run.resources import Resources
from stressrun.run.seeding import Seeding
from stressrun.safety.guard import Guard
from stressrun.safety.ledger import Ledger
from stressrun.scenario.load import Document
from stressrun.scenario.model import (
    ExistingPostgres,
    ExistingService,
    Invariant,
    Query,
    Scenario,
    Seed,
    SqlQuestion,
    SqlSeeding,
    WriteMix,
)
from stressrun.services.launching import Launcher


def with_completed_database(document: Document, scenario: Scenario) -> tuple[Document, Scenario]:
    """The same with a database URL that no variable of the environment can lead elsewhere.

    Raises SetupError.
    """
    database = scenario.database
    if database is None:
        return document, scenario
    url = completed(database.url)
    settings = cast(Document, document["database"])
    document = {**document, "database": {**settings, "url": url}}
    return document, replace(scenario, database=replace(database, url=url))


def refuse_production(scenario: Scenario) -> None:
    """Raises RefusedError for a scenario that is meant for production."""
    if scenario.environment == "production":
        raise RefusedError(
            "the guard refused the scenario: its environment is production",
            hint="stressrun is for development, test and staging, never for production",
        )


async def check_targets(scenario: Scenario, guard: Guard) -> None:
    """See that the run can speak to all that it names, and may, before it touches anything.

    Raises RefusedError, and SetupError for a missing extra or a host that has no address.
    """
    refuse_production(scenario)
    check_budget(scenario)
    if scenario.http.protocol == "http2":
        check_http2()
    for database in sorted(_databases(scenario)):
        await DatabaseUrl.of(database).addresses(guard)
    for url in sorted(_targets(scenario)):
        host = urlsplit(url).hostname
        if host:
            await guard.resolve(host, 0)


def _databases(scenario: Scenario) -> set[str]:
    databases = {s.url for s in scenario.services if isinstance(s, ExistingPostgres)}
    return databases | {url for url in (scenario.database_url,) if url is not None}


def _targets(scenario: Scenario) -> set[str]:
    """The URLs of all HTTP servers whose hosts are connected to."""
    services = {s.url for s in scenario.services if isinstance(s, ExistingService)}
    if scenario.monitoring is not None:
        services |= {source.url for source in scenario.monitoring.prometheus}
    base_url = scenario.base_url
    if base_url is not None and scenario.http.unix_socket is None:
        services.add(base_url)
    elif base_url is not None:
        # What a Unix socket leads to has a name for the Host header, and no host.
        services = {url for url in services if origin_of(url) != origin_of(base_url)}
    return services


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is known of a database that is ready for the load; nothing where there is none.

    `rows` are what workers need to know: the rows of feeders and the keys of tables by their names,
    as JSON. `postgres` is the server's version, such as 18.4.
    """

    rows: Mapping[str, Any] = field(default_factory=dict)
    postgres: str | None = None


async def prepare_database(
    scenario: Scenario,
    ledger: Ledger | None,
    guard: Guard,
    launcher: Launcher,
    resources: Resources,
    *,
    run_id: str,
    writes: bool,
    told: Callable[[str], None],
) -> Prepared:
    """See that the database can take the run, then do the steps of the scenario's seeding.

    Without a ledger the database is disposable; `writes` says whether the write mixes will run.
    Raises SetupError, RefusedError. Call it on the main thread.
    """
    database = scenario.database
    seeding = Seeding(scenario, ledger, guard, launcher, resources, run_id=run_id, told=told)
    if database is None:
        await seeding.run()
        return Prepared()
    needed = 1 + (connections_needed(scenario) if writes else 0)
    if any(_asks_database(invariant) for invariant in scenario.invariants):
        needed += 1
    changes = any(isinstance(step, Seed | SqlSeeding) for step in scenario.seeding) or (
        writes and any(_changes(mix) for mix in scenario.writes)
    )
    async with await connect(database.url, guard=guard, run_id=run_id) as connection:
        for line in await examine(connection, database, needed=needed, writes=changes):
            told(line)
    await seeding.run()
    async with await connect(database.url, guard=guard, run_id=run_id) as connection:
        rows = seeding.known | await _fed(scenario, connection)
        return Prepared(rows, server_version(connection))


def _asks_database(invariant: Invariant) -> bool:
    return SqlQuestion in map(type, (invariant.question, invariant.expected))


def _changes(mix: WriteMix) -> bool:
    """Whether a mix has statements of its own that change rows."""
    return any(changes_rows(mix, named.name) for named in mix.named)


async def _fed(scenario: Scenario, connection: Connection) -> dict[str, Any]:
    """The rows of the feeders that ask the database, and that the scenario uses."""
    return {
        feeder.name: await query_rows(connection, feeder.name, feeder.source.sql, columns)
        for feeder in scenario.feeders
        if isinstance(feeder.source, Query) and (columns := columns_used(scenario, feeder.name))
    }
