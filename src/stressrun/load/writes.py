"""The database load of one worker: write mixes, each on connections of its own.

A connection has a task, which takes the next operation when it is free. Free ones are parked, and
a dispatcher unparks one when an operation becomes due.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import psycopg
import trio

from stressrun.errors import StressrunError
from stressrun.load.executors import Executor, executor, most_users
from stressrun.load.pacing import Segment
from stressrun.load.poller import Timer
from stressrun.metrics.recorder import Recorder, Row
from stressrun.postgres.connection import Connection, connect
from stressrun.postgres.operations import Operation, Program, error_kind, prepare
from stressrun.postgres.ownership import claim
from stressrun.safety.guard import Guard
from stressrun.safety.ledger import Ledger, open_ledger
from stressrun.scenario.model import Load, Scenario, Stage

_RECONNECT_PAUSE = 0.25


Reconnect = Callable[[], Awaitable[Connection]]


class MixRunner:
    """One write mix and its connections."""

    def __init__(
        self, name: str, program: Program, recorder: Recorder, reconnect: Reconnect
    ) -> None:
        self.name = name
        self._program = program
        self._recorder = recorder
        self._reconnect = reconnect
        self._rows: dict[str, Row] = {}
        self._connections: list[Connection | None] = []
        self._for_keys: Connection | None = None
        self._executor: Executor | None = None
        self._timer = Timer()
        self._stopped = False
        self._parked = trio.lowlevel.ParkingLot()
        self._all_busy = False
        self._running = 0
        self._places = 0
        self._free_since = 0
        self._first_index = 0
        self._next_index = 0

    async def connect(self, count: int) -> None:
        """Open the connections. Raises SetupError, RefusedError."""
        for _ in range(count):
            self._connections.append(await self._reconnect())
        if self._program.reserves_keys:
            self._for_keys = await self._reconnect()

    async def run(self, load: Load, duration: float, start: int, *, seed: int, site: str) -> None:
        """Run a stage that begins at an instant in nanoseconds until its operations have ended."""
        if self._stopped:
            return
        work = self._executor = executor(load, duration, Segment(0, 1), start, seed, site)
        self._first_index = self._next_index
        self._places = most_users(load)
        try:
            async with trio.open_nursery() as keeping:
                if self._for_keys is not None:
                    keeping.start_soon(self._program.keep_keys_ahead, self._for_keys)
                async with trio.open_nursery() as working:
                    for place in range(self._places):
                        working.start_soon(self._work, place, work)
                    await self._dispatch(work)
                keeping.cancel_scope.cancel()
        finally:
            for number in work.drop(min(time.monotonic_ns(), work.end)):
                row = self._row(self._program.choose(self._first_index + number))
                row.planned += 1
                row.dropped += 1

    def stop(self) -> None:
        """Start no more operations; what runs may go on within its stage's grace."""
        self._stopped = True
        if self._executor is not None:
            self._executor.end = min(self._executor.end, time.monotonic_ns())
            self._timer.wake()

    async def close(self) -> None:
        self._timer.close()
        for connection in (*self._connections, self._for_keys):
            if connection is not None:
                await connection.close()

    async def _dispatch(self, work: Executor) -> None:
        """Unpark a connection's task whenever an operation becomes due, and all at the end."""
        while True:
            now = time.monotonic_ns()
            wake = work.wake(now)
            if wake is not None and wake <= now and self._parked:
                self._parked.unpark()
                await trio.lowlevel.checkpoint()
            elif now >= work.end:
                break
            elif wake is None or wake > now:
                await self._timer.wait_until(min(wake or work.end, work.end))
            else:
                # Each takes what is due when it is free, and tells when there is no more.
                self._all_busy = True
                await self._timer.wait_until(work.end)
                self._all_busy = False
        work.close()
        self._parked.unpark_all()

    async def _work(self, place: int, work: Executor) -> None:
        while True:
            now = time.monotonic_ns()
            taken = work.take(now, self._running)
            if taken is None:
                if work.closed:
                    return
                if self._all_busy:
                    self._timer.wake()
                await self._parked.park()
                continue
            # Several may be due at once: the next parked task looks, too.
            self._parked.unpark()
            number, due = taken
            if work.keeps_time and due >= self._free_since:
                self._recorder.lag.record(now - due)
            self._next_index = max(self._next_index, self._first_index + number + 1)
            self._running += 1
            try:
                await self._perform(place, self._first_index + number, due)
            finally:
                if self._running >= self._places:
                    self._free_since = time.monotonic_ns()
                self._running -= 1

    async def _perform(self, place: int, index: int, due: int) -> None:
        operation = self._program.choose(index)
        row = self._row(operation)
        row.planned += 1
        begin = time.monotonic_ns()
        connection = None
        try:
            connection = await self._connection(place)
            done = await operation.run(connection, index)
        except (psycopg.Error, StressrunError) as error:
            end = time.monotonic_ns()
            row.fail(_kind(error, connection), end - begin, end - due, 0, 0)
            if connection is None:
                await trio.sleep(_RECONNECT_PAUSE)
        except trio.Cancelled:
            self._book_cancelled(operation, connection, begin, due)
            raise
        else:
            end = time.monotonic_ns()
            row.succeed(end - begin, end - due, done.bytes_sent, done.bytes_received)

    def _book_cancelled(
        self, operation: Operation, connection: Connection | None, begin: int, due: int
    ) -> None:
        row = self._row(operation)
        match connection.cancelled_outcome if connection is not None else "not_applied":
            case "applied":
                end = time.monotonic_ns()
                row.succeed(end - begin, end - due, 0, 0)
            case "unknown":
                row.unknown += 1
            case _:
                row.interrupted += 1

    async def _connection(self, place: int) -> Connection:
        connection = self._connections[place]
        if connection is None or connection.closed:
            self._connections[place] = None
            connection = self._connections[place] = await self._reconnect()
        return connection

    def _row(self, operation: Operation) -> Row:
        row = self._rows.get(operation.name)
        if row is None:
            row = self._recorder.row("operation", f"{self.name}.{operation.name}")
            self._rows[operation.name] = row
        return row


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
    ) -> None:
        self._scenario = scenario
        self._recorder = recorder
        self._run_id = run_id
        self._ledger_directory = ledger_directory
        self._stack = AsyncExitStack()
        self._mixes: list[MixRunner] = []

    async def prepare(self, guard: Guard) -> None:
        """Compile the mixes and open their connections.

        Raises RefusedError, SetupError.
        """
        ledger: Ledger | None = None
        if self._ledger_directory is not None:
            ledger = self._stack.enter_context(open_ledger(self._ledger_directory))
        url = self._scenario.database_url
        assert url is not None

        async def reconnect() -> Connection:
            return await connect(url, guard=guard, run_id=self._run_id)

        async with await reconnect() as connection:
            for mix in self._scenario.writes:
                claimed = await claim(
                    connection, mix.seed.table, ledger=ledger, run_id=self._run_id, url=url
                )
                program = await prepare(
                    mix,
                    connection=connection,
                    random_seed=self._scenario.random_seed,
                    claim=claimed,
                )
                runner = MixRunner(mix.name, program, self._recorder, reconnect)
                await runner.connect(_most_connections(self._scenario))
                self._mixes.append(runner)

    async def run(self, stage: Stage, number: int, start: int) -> None:
        """Run all mixes of a stage that begins at an instant in nanoseconds."""
        assert stage.writes is not None
        async with trio.open_nursery() as nursery:
            for mix in self._mixes:
                run = partial(
                    mix.run,
                    seed=self._scenario.random_seed,
                    site=f"stages.{number}.writes.{mix.name}",
                )
                nursery.start_soon(run, stage.writes, stage.duration, start)

    def stop(self) -> None:
        """End the stage's operations now; what runs may go on within its grace."""
        for mix in self._mixes:
            mix.stop()

    async def close(self) -> None:
        """Close all connections."""
        for mix in self._mixes:
            await mix.close()
        await self._stack.aclose()


def _kind(error: psycopg.Error | StressrunError, connection: Connection | None) -> str:
    if isinstance(error, psycopg.Error):
        return error_kind(error)
    return "no_connection" if connection is None else "no_keys"


def _most_connections(scenario: Scenario) -> int:
    return max(most_users(stage.writes) for stage in scenario.stages if stage.writes is not None)
