"""Write mixes run in this process against a real PostgreSQL, without a controller."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from stressrun.load.rows import needs_keys, seeds_of
from stressrun.load.writes import WriteRunner
from stressrun.metrics.recorder import Recorder, Row
from stressrun.postgres.connection import Connection, connect
from stressrun.postgres.feeding import seeded_keys
from stressrun.postgres.ownership import claim
from stressrun.postgres.seeding import seed_table
from stressrun.safety.guard import Guard
from stressrun.safety.ledger import open_ledger
from stressrun.scenario.load import load
from stressrun.scenario.model import Stage

RUN_ID = "r1"
OURS = f"application_name = 'stressrun/{RUN_ID}'"
FOUR_WORKERS = "[{name: load, duration: 1000s, writes: {workers: 4}}]"
WITHIN = 30
"""Seconds in which what must come has come, on any machine."""


@dataclass
class Writing:
    """A scenario's write mixes, ready to run; `admin` is a connection of the test's own."""

    runner: WriteRunner
    recorder: Recorder
    stages: tuple[Stage, ...]
    admin: Connection

    @property
    def rows(self) -> dict[str, Row]:
        """What each operation did, by its name."""
        return {name.partition(".")[2]: row for (_, name), row in self.recorder.rows.items()}

    async def run(self, number: int = 0, *, grace: float = 5.0) -> None:
        """One whole stage."""
        stage = self.stages[number]
        with trio.move_on_after(stage.duration + grace):
            await self.runner.run(stage, number, time.monotonic_ns())

    async def run_until(self, holds: Callable[[], bool], number: int = 0) -> None:
        """A stage until something holds, and until what runs then has ended."""
        mixes = self.runner._mixes
        before = {mix.executor for mix in mixes}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.run, number)
            await self.until_holds(lambda: before.isdisjoint(mix.executor for mix in mixes))
            await self.until_holds(holds)
            for mix in mixes:
                mix.stop(time.monotonic_ns())
            self.runner._lane.wake()

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The sockets of the load."""
        return tuple(self.runner._lane._by_descriptor)

    async def terminate(self) -> None:
        """Have the server end all sessions of the load, and wait until they are no more."""
        sessions = f"from pg_stat_activity where {OURS}"
        ended = await self.admin.execute(f"select pid, pg_terminate_backend(pid) {sessions}")
        pids = ", ".join(str(pid) for pid, _ in await ended.fetchall())
        await self.until(f"select count(*) = 0 from pg_stat_activity where pid in (0, {pids})")

    async def until_holds(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds."""
        with trio.fail_after(WITHIN):
            while not holds():
                await trio.sleep(0.001)

    async def ask(self, query: str) -> object:
        """The one value that a query gives."""
        row = await (await self.admin.execute(query)).fetchone()
        assert row is not None
        return row[0]

    async def until(self, query: str) -> None:
        """Wait until a query gives true."""
        with trio.fail_after(WITHIN):
            while not await self.ask(query):
                await trio.sleep(0.002)

    async def assert_exact(self, table: str, seeded: int) -> None:
        """The table holds what the books say, the books balance, and no session is at work."""
        for row in self.rows.values():
            ended = row.succeeded + row.failed + row.dropped + row.interrupted + row.unknown
            assert row.planned == ended
        added = sum(row.rows_added for row in self.rows.values())
        assert await self.ask(f"select count(*) from {table}") == seeded + added
        await self.until(
            f"select count(*) = 0 from pg_stat_activity where {OURS} and state <> 'idle'"
            " and pid <> pg_backend_pid()"
        )


@asynccontextmanager
async def writing(
    folder: Path, url: str, source: str, stages: str = FOUR_WORKERS, *, ledger: bool = False
) -> AsyncIterator[Writing]:
    """The `writes:` of a scenario, claimed, seeded and connected; by default for four workers.

    Without a ledger the database counts as thrown away with the run.
    """
    path = folder / "scenario.yaml"
    path.write_text(f"version: 1\nname: written\ndatabase: '{url}'\nstages: {stages}\n{source}\n")
    scenario = load(path, environ={}).resolve({"run.id": RUN_ID})[1]
    recorder, guard = Recorder(), Guard()
    rows = {}
    async with await connect(url, guard=guard, run_id="admin") as admin:
        with open_ledger(folder) as opened:
            own = opened if ledger else None
            for seed in seeds_of(scenario):
                owned = await claim(admin, seed.table, ledger=own, run_id=RUN_ID, url=url)
                await seed_table(admin, seed, claim=owned, random_seed=scenario.random_seed)
                if needs_keys(scenario, seed):
                    rows[seed.table.name] = await seeded_keys(admin, seed, owned)
        runner = WriteRunner(
            scenario,
            recorder,
            run_id=RUN_ID,
            ledger_directory=folder if ledger else None,
            rows=rows,
        )
        async with trio.open_nursery() as nursery:
            try:
                await runner.prepare(guard)
                nursery.start_soon(runner.watch)
                yield Writing(runner, recorder, scenario.stages, admin)
            finally:
                await runner.close()
