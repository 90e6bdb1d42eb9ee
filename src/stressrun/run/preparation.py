"""Before the first stage: the targets judged by the guard, the database filled."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import urlsplit

from stressrun.errors import RefusedError
from stressrun.postgres.connection import connect
from stressrun.postgres.ownership import claim
from stressrun.postgres.seeding import seed_table
from stressrun.safety.guard import Guard
from stressrun.safety.ledger import Ledger
from stressrun.scenario.model import ExistingPostgres, ExistingService, Scenario
from stressrun.units import format_duration


async def check_targets(scenario: Scenario, guard: Guard) -> None:
    """See that the run may touch everything that it names, before it touches anything.

    Raises RefusedError, and SetupError for a host that has no address.
    """
    if scenario.environment == "production":
        raise RefusedError(
            "the guard refused the scenario: its environment is production",
            hint="stressrun is for development, test and staging, never for production",
        )
    urls = {s.url for s in scenario.services if isinstance(s, ExistingPostgres | ExistingService)}
    urls |= {url for url in (scenario.base_url, scenario.database_url) if url is not None}
    for url in sorted(urls):
        host = urlsplit(url).hostname
        if host:
            await guard.resolve(host, 0)


async def prepare_database(
    scenario: Scenario,
    ledger: Ledger | None,
    guard: Guard,
    *,
    run_id: str,
    told: Callable[[str], None],
) -> None:
    """Claim and seed every table of the scenario; without a ledger the database is disposable.

    Raises SetupError, RefusedError.
    """
    seeds = [*scenario.seeding, *(mix.seed for mix in scenario.writes)]
    if not seeds:
        return
    url = scenario.database_url
    assert url is not None
    async with await connect(url, guard=guard, run_id=run_id) as connection:
        for each in seeds:
            begin = time.monotonic()
            claimed = await claim(connection, each.table, ledger=ledger, run_id=run_id, url=url)
            await seed_table(connection, each, claim=claimed, random_seed=scenario.random_seed)
            took = format_duration(time.monotonic() - begin)
            told(f"table {each.table.name}: {each.rows:,} rows seeded ({took})")
