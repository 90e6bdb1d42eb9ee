"""The database load of one worker: its write mixes, their connections, and the server's floor."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import trio

from stressrun.errors import StressrunError
from stressrun.load.executors import most_users
from stressrun.load.pacing import Segment
from stressrun.load.rows import RowSources
from stressrun.load.stage import PoolReading
from stressrun.load.write_lane import WriteLane
from stressrun.load.writers import MixLoad, Writer
from stressrun.metrics.recorder import Recorder
from stressrun.postgres.connection import Connection, connect
from stressrun.postgres.keys import KeySupply
from stressrun.postgres.mix import prepare
from stressrun.postgres.ownership import Claim, claim
from stressrun.postgres.pool import Pool
from stressrun.postgres.preflight import slots
from stressrun.safety.guard import Guard
from stressrun.safety.ledger import Ledger, open_ledger
from stressrun.scenario.model import Scenario, Stage, WriteMix

_FLOOR_INTERVAL = 1.0
_RETRY_INTERVAL = 1.0
# For keys that are reserved ahead, for the floor, and the controller's for seeding or the monitor.
_CONNECTIONS_ASIDE = 2


def connections_needed(scenario: Scenario) -> int:
    """How many connections the write mixes of a scenario open at the most."""
    if not scenario.writes:
        return 0
    return len(scenario.writes) * _most_writers(scenario) + _CONNECTIONS_ASIDE


class WriteRunner:
    """Runs the write mixes of each stage; connections live for the whole run."""

    most_running = 0

    def __init__(
        self,
        scenario: Scenario,
        recorder: Recorder,
        *,
        run_id: str,
        ledger_directory: Path | None,
        rows: Mapping[str, Any],
    ) -> None:
        self._scenario = scenario
        self._recorder = recorder
        self._run_id = run_id
        self._ledger_directory = ledger_directory
        self._sources = RowSources(scenario, Segment(0, 1), rows)
        self._rows = rows
        self._stack = AsyncExitStack()
        self._mixes: list[MixLoad] = []
        self._pool = Pool(len(scenario.writes) * _most_writers(scenario))
        self._lane = WriteLane(self._pool, self._mixes, recorder)
        self._reconnecting = trio.Lock()
        self._watch = trio.CancelScope()
        self._watching = trio.Event()
        self._watching.set()
        self._stopped = False

    @property
    def pool(self) -> PoolReading:
        """How the connections are used now."""
        now = time.monotonic_ns()
        pool = self._pool
        return PoolReading(
            most=pool.most,
            allowed=pool.allowed,
            open=pool.open,
            active=self._lane.active,
            most_active=self._lane.most_active,
            waiting=sum(mix.waiting(now) for mix in self._mixes),
            # Superusers may have taken those that are reserved for them.
            server_free=None if pool.server_free is None else max(0, pool.server_free),
            lost=pool.refused and pool.allowed > 0 and not self._lane.connected,
        )

    async def prepare(self, guard: Guard) -> None:
        """Compile the mixes and open their connections.

        Raises RefusedError, SetupError.
        """
        self._guard = guard
        ledger: Ledger | None = None
        if self._ledger_directory is not None:
            ledger = self._stack.enter_context(open_ledger(self._ledger_directory))
        self._for_keys, self._for_floor = [
            await self._stack.enter_async_context(await self._connect_aside())
            for _ in range(_CONNECTIONS_ASIDE)
        ]
        self._for_floor.expendable = True
        async with await self._connect_aside() as connection:
            for mix in self._scenario.writes:
                program = await prepare(
                    mix,
                    connection=connection,
                    random_seed=self._scenario.random_seed,
                    claim=await self._claim(connection, mix, ledger),
                    feeding=self._sources.feeding,
                    referenced=self._rows,
                )
                self._mixes.append(MixLoad(program, self._recorder, partial(self._connect, mix)))
        for load in self._mixes:
            for _ in range(_most_writers(self._scenario)):
                writer = Writer(load)
                load.writers.append(writer)
                self._pool.reserve()
                await self._lane.connect(writer)
        await self._look_at_floor()

    async def run(self, stage: Stage, number: int, start: int) -> None:
        """Run all mixes of a stage that begins at an instant in nanoseconds."""
        if self._stopped:
            return
        for mix in self._mixes:
            site = f"stages.{number}.writes.{mix.name}"
            mix.begin(stage, start, self._scenario.random_seed, site)
        await self._lane.run()

    async def watch(self) -> None:
        """Keep the floor and the keys, in stages and between them, until cancelled."""
        self._watching = trio.Event()
        try:
            with self._watch:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._keep_floor)
                    for mix in self._mixes:
                        if mix.program.supply is not None:
                            nursery.start_soon(self._keep_keys, mix.program.supply)
        finally:
            self._watching.set()

    def stop(self) -> None:
        """End the stage's operations now; what runs may go on within its grace."""
        self._stopped = True
        for mix in self._mixes:
            mix.stop(time.monotonic_ns())
        self._lane.wake()

    async def close(self) -> None:
        """Close all connections."""
        self._watch.cancel()
        await self._watching.wait()
        self._lane.close()
        await self._stack.aclose()

    async def _keep_floor(self) -> None:
        """Give connections up before the server has too few left, and take them back after."""
        while True:
            await trio.sleep(_FLOOR_INTERVAL)
            await self._look_at_floor()
            self._lane.balance()
            self._lane.wake()

    async def _keep_keys(self, supply: KeySupply) -> None:
        """Reserve keys ahead; while that fails inserts reserve for themselves, and tell why."""
        while True:
            with suppress(psycopg.Error, StressrunError):
                async with self._reconnecting:
                    if self._for_keys.closed:
                        self._for_keys = await self._stack.enter_async_context(
                            await self._connect_aside()
                        )
                await supply.keep_ahead(self._for_keys)
            await trio.sleep(_RETRY_INTERVAL)

    async def _look_at_floor(self) -> None:
        database = self._scenario.database
        assert database is not None
        try:
            if self._for_floor.closed:
                self._for_floor = await self._stack.enter_async_context(await self._connect_aside())
                self._for_floor.expendable = True
            found = await slots(self._for_floor)
        except (psycopg.Error, StressrunError):
            # The server does not say: what is not known is kept as it was, and shown as unknown.
            self._pool.server_free = None
        else:
            self._pool.keep_free(found.free, database.min_free_connections)

    async def _claim(
        self, connection: Connection, mix: WriteMix, ledger: Ledger | None
    ) -> Claim | None:
        if mix.seed is None:
            return None
        return await claim(
            connection, mix.seed.table, ledger=ledger, run_id=self._run_id, url=self._url
        )

    async def _connect(self, mix: WriteMix) -> Connection:
        return await connect(
            self._url,
            guard=self._guard,
            run_id=self._run_id,
            settings=self._scenario.database,
            isolation=mix.isolation,
        )

    async def _connect_aside(self) -> Connection:
        return await connect(self._url, guard=self._guard, run_id=self._run_id)

    @property
    def _url(self) -> str:
        url = self._scenario.database_url
        assert url is not None
        return url


def _most_writers(scenario: Scenario) -> int:
    loads = [stage.writes for stage in scenario.stages if stage.writes is not None]
    return max(map(most_users, loads), default=0)
