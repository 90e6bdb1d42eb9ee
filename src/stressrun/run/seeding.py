"""The steps of `seeding`: what is done before the first stage, one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from stressrun.data.composites import row_references
from stressrun.errors import SetupError
from stressrun.load.once import run_once
from stressrun.load.rows import needs_keys, seeds_of
from stressrun.postgres.connection import Connection, connect
from stressrun.postgres.feeding import referenced_values, seeded_keys
from stressrun.postgres.ownership import claim
from stressrun.postgres.script import name_of, run_script
from stressrun.postgres.seeding import seed_table
from stressrun.postgres.url import completed
from stressrun.run.resources import Resources
from stressrun.safety.guard import Guard
from stressrun.safety.ledger import Ledger
from stressrun.safety.masking import Mask
from stressrun.scenario.model import (
    CommandSeeding,
    Endpoint,
    RequestSeeding,
    Scenario,
    Seed,
    SqlSeeding,
)
from stressrun.services.command import run_to_end, shown
from stressrun.services.launching import Launcher
from stressrun.units import format_duration, format_rate

_TOLD_EVERY = 5.0

Told = Callable[[str], None]


class Seeding:
    """Does the steps of one run; `known` is what its load needs to know of the rows, as JSON.

    Without a ledger the database is disposable.
    """

    def __init__(
        self,
        scenario: Scenario,
        ledger: Ledger | None,
        guard: Guard,
        launcher: Launcher,
        resources: Resources,
        *,
        run_id: str,
        told: Told,
    ) -> None:
        self.known: dict[str, Any] = {}
        self._scenario = scenario
        self._ledger = ledger
        self._guard = guard
        self._launcher = launcher
        self._resources = resources
        self._run_id = run_id
        self._told = told
        self._referenced = {
            (reference.table, reference.column)
            for seed in seeds_of(scenario)
            for column in seed.table.columns
            for reference in row_references(column.generator)
        }

    async def run(self) -> None:
        """Do all steps; the first that fails ends it. Raises SetupError, RefusedError."""
        for number, step in enumerate(self._scenario.seeding, 1):
            begin = time.monotonic()
            match step:
                case Seed():
                    await self._fill(step)
                    done = f"table {step.table.name}: {step.rows:,} rows seeded"
                case SqlSeeding():
                    async with await self._connect() as connection:
                        await run_script(connection, step)
                    done = f"sql {name_of(step)}: done"
                case CommandSeeding():
                    await run_to_end(f"seeding-{number}", self._with_database(step), self._launcher)
                    done = f"command {shown(step)}: done"
                case RequestSeeding():
                    await self._send(step)
                    done = f"request {step.request.name}: done"
            self._told(f"{done} ({format_duration(time.monotonic() - begin)})")

    async def _fill(self, seed: Seed) -> None:
        name = seed.table.name
        async with await self._connect() as connection:
            claimed = await claim(
                connection, seed.table, ledger=self._ledger, run_id=self._run_id, url=self._url
            )
            await seed_table(
                connection,
                seed,
                claim=claimed,
                random_seed=self._scenario.random_seed,
                referenced=self.known,
                progress=Progress(seed, self._told),
            )
            if needs_keys(self._scenario, seed):
                self.known[name] = await seeded_keys(connection, seed, claimed)
            for table, column in sorted(self._referenced):
                if table == name:
                    values = await referenced_values(connection, seed, claimed, column)
                    self.known[f"{name}.{column}"] = values

    async def _send(self, step: RequestSeeding) -> None:
        """Send a request as an iteration of its own, with what is expected of its answer."""
        name = step.request.name
        alone = replace(
            self._scenario,
            endpoints=(Endpoint(name, 1, (step.request,)),),
            login=None,
            feeders=(),
            seeding=(),
            writes=(),
        )
        with self._resources.of(alone) as recorder:
            errors = await run_once(
                alone,
                (name,),
                self._guard,
                run_id=self._run_id,
                rows={},
                mask=Mask(),
                told=lambda event: None,
                recorder=recorder,
            )
        if errors:
            raise SetupError(
                f"the seeding request {errors[0]}",
                hint="see the service's log; `expect` says what its answer has to be",
            )

    def _with_database(self, step: CommandSeeding) -> CommandSeeding:
        """The command with the URL of the database, unless it says that itself."""
        database = self._scenario.database
        if database is None:
            return step
        return replace(step, env={"DATABASE_URL": completed(database.url), **step.env})

    async def _connect(self) -> Connection:
        return await connect(self._url, guard=self._guard, run_id=self._run_id)

    @property
    def _url(self) -> str:
        database = self._scenario.database
        assert database is not None
        return database.url


class Progress:
    """Tells how far the rows of a table have come, every five seconds."""

    def __init__(self, seed: Seed, told: Told, clock: Callable[[], float] = time.monotonic) -> None:
        self._seed = seed
        self._told = told
        self._clock = clock
        self._since = clock()
        self._rows = 0

    def __call__(self, rows: int) -> None:
        """Take note that so many rows have been sent."""
        now = self._clock()
        if now - self._since < _TOLD_EVERY:
            return
        rate = format_rate((rows - self._rows) / (now - self._since))
        self._told(f"table {self._seed.table.name}: {rows:,} of {self._seed.rows:,} rows ({rate})")
        self._since, self._rows = now, rows
