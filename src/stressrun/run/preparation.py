"""The database before the first stage: tables that are there, rows that are in them."""

from __future__ import annotations

import time
from collections.abc import Callable

from stressrun.postgres.connection import connect
from stressrun.postgres.ownership import claim
from stressrun.postgres.seeding import seed_table
from stressrun.safety.guard import Guard
from stressrun.safety.ledger import Ledger
from stressrun.scenario.model import Scenario
from stressrun.units import format_duration


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
            claimed = await claim(
                connection, each.table, ledger=ledger, run_id=run_id, url=url
            )
            await seed_table(connection, each, claim=claimed, random_seed=scenario.random_seed)
            took = format_duration(time.monotonic() - begin)
            told(f"table {each.table.name}: {each.rows:,} rows seeded ({took})")
