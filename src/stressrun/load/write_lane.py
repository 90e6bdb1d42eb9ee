"""The lane of the database load: one trio task that drives the writers of all mixes.

What an operation says to the server is a generator that yields what it waits for. The lane waits
for all of them at once, on an epoll of its own, as the lane of the endpoints does for its users.
Instants are nanoseconds of the monotonic clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import trio
from psycopg.waiting import Ready, Wait

from stressrun.data.feeders import Exhausted
from stressrun.errors import StressrunError
from stressrun.http.poller import READ, WRITE, Poller
from stressrun.load.assignment import REST
from stressrun.load.executors import Executor
from stressrun.load.pipeline import send_all
from stressrun.load.ticks import Ticks
from stressrun.load.writers import MixLoad, Task, Writer, gives, spare
from stressrun.metrics.recorder import LEAST_LAG, Recorder
from stressrun.postgres.connection import Aborted
from stressrun.postgres.failure import is_lost_word
from stressrun.postgres.keys import KeySupply
from stressrun.postgres.operations import NoRows
from stressrun.postgres.pool import Pool
from stressrun.postgres.session import Session

_TURN = 5_000_000
_TURN_SECONDS = _TURN / 1e9
_RETRIED = frozenset({"40001", "40P01"})
_NEVER = 1 << 62
_READ = int(Wait.R)
# What is ready, by the events told of it; an error is read, which tells what it is.
_READY = {0: Ready.R, READ: Ready.R, WRITE: Ready.W, READ | WRITE: Ready.RW}


class WriteLane:
    """Drives the operations of a stage.

    `active` is how many writers are at work now, `most_active` how many were at once in a stage.
    """

    def __init__(
        self,
        pool: Pool,
        mixes: Sequence[MixLoad],
        recorder: Recorder,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """`mixes` may be filled later, until the first stage."""
        self._pool = pool
        self._mixes = mixes
        self._clock = clock
        self._lag = recorder.lag
        self._ticks = Ticks(recorder.loop_lag)
        self._poller = Poller()
        self._busy: set[Writer] = set()
        self._by_descriptor: dict[int, Writer] = {}
        self.most_active = 0

    @property
    def active(self) -> int:
        return len(self._busy)

    @property
    def connected(self) -> int:
        """How many writers have a connection."""
        return len(self._by_descriptor)

    async def run(self) -> None:
        """Run a stage until its executors' ends and until its operations have ended.

        Cancelled, it has the server end those that are left. What did not start by the end is
        dropped.
        """
        self.most_active = 0
        try:
            async with trio.open_nursery() as self._nursery:
                await self._drive()
                # Writers that rest have nothing to wait for any more.
                self._nursery.cancel_scope.cancel()
        finally:
            self._ticks.stop()
            with trio.CancelScope(shield=True):
                async with trio.open_nursery() as nursery:
                    for writer in list(self._busy):
                        nursery.start_soon(self._abort, writer)
            for mix in self._mixes:
                assert mix.executor is not None
                mix.drop(min(self._clock(), mix.executor.end))

    async def connect(self, writer: Writer) -> Session:
        """Give a writer a connection in a place of the pool. Raises SetupError, RefusedError."""
        connection = await self._pool.connect(writer.mix.connect)
        session = writer.session = Session(connection, writer.mix.program.mix.protocol)
        writer.descriptor = connection.pgconn.socket
        self._by_descriptor[writer.descriptor] = writer
        self._poller.register(writer.descriptor, READ)
        return session

    def wake(self) -> None:
        """Look at once at executors whose end was moved, or at a pool that may use more or less."""
        self._poller.wake()

    def close(self) -> None:
        """Close all connections."""
        for writer in list(self._by_descriptor.values()):
            self._disconnect(writer)
        self._poller.close()

    async def _drive(self) -> None:
        clock, poller, ticks = self._clock, self._poller, self._ticks
        last_turn = clock()
        ticks.start(last_turn)
        quiet = False
        # Connections may have been lost since the last stage.
        self._heed(poller.poll(0))
        while True:
            now = clock()
            if self._pool.open > self._pool.allowed:
                self.balance()
            next_instant = self._start_all(now)
            if next_instant == _NEVER and not self._busy:
                return
            if now - last_turn > _TURN:
                await trio.lowlevel.checkpoint()
                last_turn = clock()
            poller.arm(min(next_instant, ticks.next))
            if quiet:
                await poller.wait()
                last_turn, quiet = clock(), False
                events = poller.poll(0)
            else:
                # Cheaper than a turn of trio's for each event, as long as events keep coming.
                events = poller.poll(_TURN_SECONDS)
                quiet = not events
            now = clock()
            if now >= ticks.next and (late := ticks.passed(now)):
                self._stalled(events, late, now)
            self._heed(events)

    def _stalled(self, events: Sequence[tuple[int, int]], late: int, now: int) -> None:
        """The answers that are to be read now have waited for so long at the most."""
        for descriptor, _ in events:
            writer = self._by_descriptor.get(descriptor)
            for task in writer.tasks if writer is not None else ():
                if task.begin and not task.settled:
                    task.lag += min(late, now - task.begin)

    def _heed(self, events: Sequence[tuple[int, int]]) -> None:
        """Go on with the writers whose sockets are ready."""
        for descriptor, event in events:
            writer = self._by_descriptor.get(descriptor)
            if writer is None:
                self._poller.timer_fired()
            elif writer.steps is not None:
                self._step(writer, _READY[event & (READ | WRITE)])
            elif writer not in self._busy:
                self._look_at_idle(writer)

    # Starting.

    def _start_all(self, now: int) -> int:
        """Start what is due in all mixes; when there may be more, at the latest at a mix's end."""
        instant = _NEVER
        for mix in self._mixes:
            executor = mix.executor
            assert executor is not None
            if mix.idle:
                self._start_due(mix, executor)
            if executor.closed:
                continue
            if now >= executor.end:
                executor.close()
                continue
            instant = min(instant, executor.end)
            if mix.idle and (wake := executor.wake(now)) is not None:
                instant = min(instant, wake)
        return instant

    def _start_due(self, mix: MixLoad, executor: Executor) -> None:
        while mix.idle:
            writer = mix.idle[-1]
            if writer.session is None and self._pool.full:
                mix.resting.append(mix.idle.pop())
                continue
            now = self._clock()
            taken = executor.take(now, mix.running)
            if taken is None:
                return
            mix.idle.pop()
            if writer.session is None:
                self._pool.reserve()
            mix.running += 1
            self._busy.add(writer)
            self.most_active = max(self.most_active, len(self._busy))
            self._begin(writer, executor, taken, now)

    def _renew(self, writer: Writer, now: int) -> None:
        """Give a writer that has come to an end its next operation, if there is one for it."""
        mix, executor = writer.mix, writer.mix.executor
        assert executor is not None
        if not mix.idle:
            mix.free_since = now
        over = self._pool.open > self._pool.allowed and gives(mix, self._by_descriptor.values())
        taken = None if over else executor.take(now, mix.running - 1)
        if taken is None:
            self._finish(writer)
        else:
            writer.tasks.clear()
            self._begin(writer, executor, taken, now)

    def _begin(self, writer: Writer, executor: Executor, taken: tuple[int, int], now: int) -> None:
        """Have a writer begin what its executor gave, and in a pipeline more of what is due."""
        mix = writer.mix
        more: tuple[int, int] | None = taken
        while more is not None:
            number, due = more
            if executor.keeps_time:
                # Late because every writer was busy is the database's doing, not the generator's.
                lag = now - due if due >= mix.free_since else -1
            else:
                due, lag = 0, -1
            task = mix.task(number, due)
            if lag >= 0:
                self._lag.record(lag)
                task.lag = lag if lag > LEAST_LAG else 0
            writer.tasks.append(task)
            full = len(writer.tasks) >= mix.depth
            more = None if full else executor.take(now, mix.running - 1)
        needed = 0
        if mix.supply is not None:
            needed = sum(task.operation.keys_needed for task in writer.tasks)
        if writer.session is None or (mix.supply is not None and not mix.supply.has(needed)):
            writer.steps = None
            self._nursery.start_soon(self._make_ready, writer, needed)
        else:
            self._launch(writer, writer.session)

    async def _make_ready(self, writer: Writer, keys_needed: int) -> None:
        """Connect, or reserve keys, before the operation can begin."""
        try:
            session = writer.session or await self.connect(writer)
            if writer.mix.supply is not None:
                await self._refill(writer, session, writer.mix.supply, keys_needed)
        except (psycopg.Error, StressrunError) as error:
            await self._refuse(writer, error)
        else:
            self._launch(writer, session)
            self._poller.wake()

    async def _refill(
        self, writer: Writer, session: Session, supply: KeySupply, keys_needed: int
    ) -> None:
        # Only trio waits for the connection meanwhile.
        self._poller.modify(writer.descriptor, 0)
        try:
            await supply.refill(session.connection, keys_needed)
        finally:
            if not session.connection.closed:
                self._poller.modify(writer.descriptor, READ)

    async def _refuse(self, writer: Writer, error: psycopg.Error | StressrunError) -> None:
        """Count operations that could not begin, and wait before the next attempt."""
        now = self._clock()
        pause = REST if writer.session is not None else self._pool.failed()
        for task in writer.tasks:
            if isinstance(error, psycopg.Error):
                task.fail(error, now)
            else:
                kind = "no_keys" if writer.session is not None else "no_connection"
                task.refuse(kind, error, now)
        if writer.session is not None and writer.session.connection.closed:
            self._disconnect(writer)
        await self._rest(writer, pause)

    async def _rest(self, writer: Writer, pause: float) -> None:
        """Keep a writer that could do nothing from doing that as fast as the machine can."""
        writer.steps = None
        self._busy.discard(writer)
        try:
            await trio.sleep(pause)
        finally:
            self._finish(writer)
        self._poller.wake()

    def _launch(self, writer: Writer, session: Session) -> None:
        """Make the plans of a writer's tasks, and begin."""
        tasks = writer.tasks
        for task in tuple(tasks):
            try:
                task.plan = task.operation.plan(task.index)
            except NoRows:
                task.row.refuse("no_rows")
                tasks.remove(task)
            except Exhausted as exhausted:
                task.row.refuse(str(exhausted))
                tasks.remove(task)
            except StressrunError as error:
                task.refuse("bad_value", error, self._clock())
                tasks.remove(task)
        if not tasks:
            self._nursery.start_soon(self._rest, writer, REST)
            return
        begin = self._clock()
        for task in tasks:
            task.begin = begin
        writer.attempts = 0
        self._send(writer, session)

    def _send(self, writer: Writer, session: Session) -> None:
        try:
            if writer.mix.depth > 1:
                writer.steps = send_all(writer.tasks, session, self._clock)
            else:
                task = writer.tasks[0]
                writer.steps = task.operation.start(session, task.plan)
        except psycopg.Error as error:
            self._failed(writer, error)
        else:
            self._step(writer, 0)

    # Going on.

    def _step(self, writer: Writer, ready: int) -> None:
        """Bring a writer's operation on until it waits, or has ended."""
        steps = writer.steps
        assert steps is not None
        try:
            wanted = steps.send(ready) if ready else next(steps)
        except StopIteration as finished:
            self._came_to_an_end(writer, finished.value)
        except psycopg.Error as error:
            self._failed(writer, error)
        else:
            if (wanted != _READ) != writer.waits_to_write:
                writer.waits_to_write = not writer.waits_to_write
                events = READ | WRITE if writer.waits_to_write else READ
                self._poller.modify(writer.descriptor, events)

    def _came_to_an_end(self, writer: Writer, outcome: Any) -> None:
        now = self._clock()
        task = writer.tasks[0]
        if not task.settled:
            try:
                done = task.operation.done(outcome, task.plan)
            except psycopg.Error as error:
                self._failed(writer, error)
                return
            task.succeed(done, now)
        self._renew(writer, now)

    def _failed(self, writer: Writer, error: psycopg.Error) -> None:
        """An operation has failed: it is tried again, counted, or its end is unknown."""
        session = writer.session
        assert session is not None
        lost = session.connection.closed
        if error.sqlstate in _RETRIED and writer.attempts < writer.mix.program.mix.retries:
            writer.attempts += 1
            writer.tasks[0].row.retried += 1
            self._send(writer, session)
            return
        unknown = lost and is_lost_word(error) and not session.ending
        now = self._clock()
        for task in writer.tasks:
            if task.settled:
                continue
            if unknown and task.operation.writes:
                task.lose(error)
            else:
                task.fail(error, now)
        if lost:
            self._disconnect(writer)
        self._finish(writer)

    def _finish(self, writer: Writer) -> None:
        """The writer is free again."""
        mix = writer.mix
        writer.steps = None
        writer.tasks.clear()
        if writer.waits_to_write and writer.session is not None:
            writer.waits_to_write = False
            self._poller.modify(writer.descriptor, READ)
        self._busy.discard(writer)
        if not mix.idle:
            mix.free_since = self._clock()
        mix.running -= 1
        mix.idle.append(writer)

    # Connections.

    def _look_at_idle(self, writer: Writer) -> None:
        """A server that has something to say between operations mostly says goodbye."""
        assert writer.session is not None
        pgconn = writer.session.pgconn
        try:
            pgconn.consume_input()
            while pgconn.notifies():
                pass
        except psycopg.Error:
            self._disconnect(writer)
            return
        if writer.session.ending or writer.session.connection.closed:
            self._disconnect(writer)

    def balance(self) -> None:
        """Give connections up, or use writers again, as the pool allows."""
        pool = self._pool
        connected = self._by_descriptor.values()
        while pool.open > pool.allowed and (writer := spare(connected, self._busy)) is not None:
            self._disconnect(writer)
            mix = writer.mix
            if writer in mix.idle:
                mix.idle.remove(writer)
                mix.resting.append(writer)
        for _ in range(pool.allowed - pool.open):
            mixes = [mix for mix in self._mixes if mix.resting]
            if not mixes:
                return
            mix = min(mixes, key=lambda mix: mix.running + len(mix.idle))
            mix.idle.append(mix.resting.pop())

    def _disconnect(self, writer: Writer) -> None:
        if writer.session is None:
            return
        self._by_descriptor.pop(writer.descriptor, None)
        self._pool.close(writer.session.connection)
        writer.session = None
        writer.waits_to_write = False

    async def _abort(self, writer: Writer) -> None:
        """Have the server end what a writer does, and count what became of it."""
        if writer.steps is not None and writer.session is not None:
            connection = writer.session.connection
            for task in writer.tasks:
                task.ending = True
            aborted = await connection.abort(writer.steps)
            for task in writer.tasks:
                if not task.settled:
                    self._settle_aborted(task, aborted)
            if connection.closed:
                self._disconnect(writer)
        for task in writer.tasks:
            if not task.settled:
                task.interrupt()
        self._finish(writer)

    def _settle_aborted(self, task: Task, aborted: Aborted[Any]) -> None:
        if aborted.outcome == "unknown" and task.operation.writes:
            task.lose(None)
        elif aborted.outcome != "applied":
            task.interrupt()
        else:
            try:
                task.succeed(task.operation.done(aborted.result, task.plan), self._clock())
            except psycopg.Error as error:
                task.fail(error, self._clock())
