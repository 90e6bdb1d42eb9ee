"""The lane of the database load: one trio task that drives the writers of all mixes.

What an operation says to the server is a generator that yields what it waits for. The lane waits
for all of them at once, on an epoll of its own, as the lane of the endpoints does for its users.
Instants are nanoseconds of the monotonic clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import psycopg
import trio
from psycopg import pq
from psycopg.waiting import Ready, Wait

from stressrun.data.feeders import Exhausted
from stressrun.errors import StressrunError
from stressrun.load.assignment import REST
from stressrun.load.poller import READ, WRITE, Poller
from stressrun.load.writers import MixLoad, Task, Writer
from stressrun.metrics.recorder import Sample
from stressrun.postgres.failure import error_kind
from stressrun.postgres.operations import NoRows, Single
from stressrun.postgres.pool import Pool
from stressrun.postgres.session import Done, Session

_TURN = 5_000_000
_TURN_SECONDS = _TURN / 1e9
_RETRIED = frozenset({"40001", "40P01"})
_CANCELED = "57014"
_NEVER = 1 << 62


class WriteLane:
    """Drives the operations of a stage; `active` is how many writers are at work now."""

    def __init__(self, pool: Pool, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._pool = pool
        self._clock = clock
        self._poller = Poller()
        self._busy: set[Writer] = set()
        self._by_descriptor: dict[int, Writer] = {}
        self._mixes: Sequence[MixLoad] = ()
        self._ending = False

    @property
    def active(self) -> int:
        return len(self._busy)

    async def run(self, mixes: Sequence[MixLoad], record_lag: Callable[[int], None]) -> None:
        """Run a stage until its executors' ends and until its operations have ended.

        Cancelled, it has the server end those that are left. What did not start by the end is
        dropped.
        """
        self._mixes = mixes
        self._record_lag = record_lag
        self._ending = False
        try:
            async with trio.open_nursery() as self._nursery:
                await self._drive()
        finally:
            self._ending = True
            with trio.CancelScope(shield=True):
                async with trio.open_nursery() as nursery:
                    for writer in list(self._busy):
                        nursery.start_soon(self._abort, writer)
            for mix in mixes:
                assert mix.executor is not None
                mix.drop(min(self._clock(), mix.executor.end))

    async def connect(self, writer: Writer) -> None:
        """Give a writer its connection. Raises SetupError, RefusedError."""
        connection = await self._pool.connect(writer.mix.connect)
        writer.session = Session(connection, writer.mix.program.mix.protocol)
        writer.descriptor = connection.pgconn.socket
        self._by_descriptor[writer.descriptor] = writer
        self._poller.register(writer.descriptor, READ)

    def wake(self) -> None:
        """Look at once at executors whose end was moved, or at a pool that may use more or less."""
        self._poller.wake()

    def close(self) -> None:
        """Close all connections."""
        for writer in list(self._by_descriptor.values()):
            self._disconnect(writer)
        self._poller.close()

    async def _drive(self) -> None:
        clock, poller = self._clock, self._poller
        last_turn = clock()
        quiet = False
        while True:
            now = clock()
            self._balance()
            for mix in self._mixes:
                self._start_due(mix)
                assert mix.executor is not None
                if now >= mix.executor.end:
                    mix.executor.close()
            if not self._busy and all(mix.executor.closed for mix in self._mixes if mix.executor):
                return
            if now - last_turn > _TURN:
                await trio.lowlevel.checkpoint()
                last_turn = clock()
            poller.arm(self._next_instant(now))
            if quiet:
                await poller.wait()
                last_turn, quiet = clock(), False
                events = poller.poll(0)
            else:
                # Cheaper than a turn of trio's for each event, as long as events keep coming.
                events = poller.poll(_TURN_SECONDS)
                quiet = not events
            for descriptor, event in events:
                writer = self._by_descriptor.get(descriptor)
                if writer is None:
                    poller.timer_fired()
                elif writer.steps is not None:
                    self._go_on(writer, event)
                elif writer not in self._busy:
                    self._look_at_idle(writer)

    def _next_instant(self, now: int) -> int:
        instant = _NEVER
        for mix in self._mixes:
            executor = mix.executor
            assert executor is not None
            if executor.closed:
                continue
            if executor.end < instant:
                instant = executor.end
            wake = executor.wake(now) if mix.idle else None
            if wake is not None and wake < instant:
                instant = wake
        return instant

    # Starting.

    def _start_due(self, mix: MixLoad) -> None:
        executor = mix.executor
        assert executor is not None
        while mix.idle:
            now = self._clock()
            taken = executor.take(now, mix.running)
            if taken is None:
                return
            writer = mix.idle.pop()
            mix.running += 1
            self._busy.add(writer)
            self._begin(writer, taken, now)

    def _begin(self, writer: Writer, taken: tuple[int, int], now: int) -> None:
        """Have a writer begin what its executor gave, and in a pipeline more of what is due."""
        mix = writer.mix
        self._take_on(writer, taken, now)
        depth = mix.program.mix.pipeline
        if depth > 1:
            assert mix.executor is not None
            while len(writer.tasks) < depth and (more := mix.executor.take(now, mix.running - 1)):
                self._take_on(writer, more, now)
        needed = sum([task.operation.keys_needed for task in writer.tasks])
        supply = mix.program.supply
        if writer.session is None or (needed and supply is not None and not supply.has(needed)):
            self._nursery.start_soon(self._make_ready, writer, needed)
        else:
            self._launch(writer)

    def _take_on(self, writer: Writer, taken: tuple[int, int], now: int) -> None:
        """Make one operation a task of the writer's, and its plan with it."""
        mix = writer.mix
        assert mix.executor is not None
        number, due = taken
        keeps_time = mix.executor.keeps_time
        # Late because every writer was busy is the database's doing, not the generator's.
        if keeps_time and due >= mix.free_since:
            self._record_lag(now - due)
        operation, index = mix.operation(number)
        task = Task(operation, mix.row(operation), index, due if keeps_time else 0)
        task.row.planned += 1
        writer.tasks.append(task)

    async def _make_ready(self, writer: Writer, keys_needed: int) -> None:
        """Connect, or reserve keys, before the operation can begin."""
        try:
            if writer.session is None:
                await self.connect(writer)
            supply = writer.mix.program.supply
            assert writer.session is not None
            if supply is not None and not supply.has(keys_needed):
                # Only trio waits for the connection meanwhile.
                self._poller.modify(writer.descriptor, 0)
                await supply.refill(writer.session.connection, keys_needed)
                self._poller.modify(writer.descriptor, READ)
        except (psycopg.Error, StressrunError) as error:
            now = self._clock()
            no_connection = writer.session is None
            for task in writer.tasks:
                task.begin = now
                kind = "no_connection" if no_connection else _kind(error, "no_keys")
                self._fail(task, kind, str(error), now)
            if writer.session is not None and writer.session.connection.closed:
                self._disconnect(writer)
            await trio.sleep(self._pool.failed() if no_connection else REST)
            self._finish(writer)
        else:
            self._launch(writer)
        self._poller.wake()

    def _launch(self, writer: Writer) -> None:
        """Make the plans of a writer's tasks, and begin."""
        for task in list(writer.tasks):
            try:
                task.plan = task.operation.plan(task.index)
            except (NoRows, Exhausted) as error:
                kind = "no_rows" if isinstance(error, NoRows) else str(error)
                task.row.refuse(kind)
                writer.tasks.remove(task)
        if not writer.tasks:
            # Alone, it would do nothing but fail as fast as the machine can.
            self._nursery.start_soon(self._rest, writer)
            return
        begin = self._clock()
        for task in writer.tasks:
            task.begin = begin
            task.due = task.due or begin
        writer.attempts = 0
        self._send(writer)

    async def _rest(self, writer: Writer) -> None:
        await trio.sleep(REST)
        self._finish(writer)
        self._poller.wake()

    def _send(self, writer: Writer) -> None:
        session = writer.session
        assert session is not None
        if writer.mix.program.mix.pipeline > 1:
            calls = []
            for task in writer.tasks:
                operation = task.operation
                assert isinstance(operation, Single)
                calls.append((operation.query, task.plan))
            writer.steps = session.run_all(calls, partial(self._ended_in_pipeline, writer))
        else:
            (task,) = writer.tasks
            try:
                writer.steps = task.operation.start(session, task.plan)
            except psycopg.Error as error:
                self._failed(writer, error)
                return
        self._step(writer, 0)

    # Going on.

    def _go_on(self, writer: Writer, event: int) -> None:
        ready = 0
        if event & WRITE:
            ready |= _WRITABLE
        if event & ~WRITE:
            ready |= _READABLE
        self._step(writer, ready)

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
        if writer.mix.program.mix.pipeline == 1:
            (task,) = writer.tasks
            try:
                done = task.operation.done(outcome, task.plan)
            except psycopg.Error as error:
                self._failed(writer, error)
                return
            self._succeed(task, done, now)
        self._renew(writer, now)

    def _renew(self, writer: Writer, now: int) -> None:
        """Give a writer that has come to an end its next operation, if there is one for it."""
        mix = writer.mix
        if not mix.idle:
            mix.free_since = now
        assert mix.executor is not None
        taken = None if self._pool.over else mix.executor.take(now, mix.running - 1)
        if taken is None:
            self._finish(writer)
        else:
            writer.tasks.clear()
            self._begin(writer, taken, now)

    def _succeed(self, task: Task, done: Done, end: int) -> None:
        row = task.row
        row.rows += done.rows
        row.rows_added += done.added
        row.succeed(end - task.begin, end - task.due, done.sent, done.received)
        task.settled = True

    def _failed(self, writer: Writer, error: psycopg.Error) -> None:
        """An operation has failed: it is tried again, counted, or its end is unknown."""
        assert writer.session is not None
        lost = writer.session.connection.closed
        task = writer.tasks[0]
        if error.sqlstate in _RETRIED and writer.attempts < writer.mix.program.mix.retries:
            writer.attempts += 1
            task.row.retried += 1
            self._send(writer)
            return
        self._settle_failed(writer, error, lost=lost)
        if lost:
            self._disconnect(writer)
        self._finish(writer)

    def _settle_failed(self, writer: Writer, error: psycopg.Error, *, lost: bool) -> None:
        now = self._clock()
        for task in writer.tasks:
            if task.settled:
                continue
            if lost and error.sqlstate is None and task.operation.writes:
                # The server may have done it, and could not say so any more.
                self._keep_sample(task, error_kind(error), str(error))
                task.row.unknown += 1
                task.settled = True
            else:
                self._fail(task, error_kind(error), str(error), now)

    def _ended_in_pipeline(
        self, writer: Writer, number: int, outcome: pq.abc.PGresult | psycopg.Error
    ) -> None:
        task = writer.tasks[number]
        if not isinstance(outcome, psycopg.Error):
            operation = task.operation
            assert isinstance(operation, Single)
            self._succeed(task, operation.read(outcome, task.plan), self._clock())
        elif self._ending and outcome.sqlstate == _CANCELED:
            self._interrupt(task)
        else:
            self._fail(task, error_kind(outcome), str(outcome), self._clock())

    def _fail(self, task: Task, kind: str, message: str, now: int) -> None:
        self._keep_sample(task, kind, message)
        if task.plan is not None:
            task.operation.failed(task.plan)
        task.row.fail(kind, now - task.begin, now - (task.due or task.begin), 0, 0)
        task.settled = True

    def _interrupt(self, task: Task) -> None:
        if task.plan is not None:
            task.operation.failed(task.plan)
        task.row.interrupted += 1
        task.settled = True

    @staticmethod
    def _keep_sample(task: Task, kind: str, message: str) -> None:
        if task.row.wants_sample(kind):
            task.row.keep(Sample(kind, " ".join(message.split()), task.operation.text, ""))

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
        if writer.session.connection.closed:
            self._disconnect(writer)

    def _balance(self) -> None:
        """Give connections up, or use writers again, as the pool allows."""
        pool = self._pool
        if pool.over:
            for mix in self._mixes:
                while pool.over and mix.idle:
                    writer = mix.idle.pop()
                    self._disconnect(writer)
                    mix.resting.append(writer)
        elif pool.open < pool.allowed:
            spare = pool.allowed - pool.open
            for mix in self._mixes:
                while spare and mix.resting:
                    mix.idle.append(mix.resting.pop())
                    spare -= 1

    def _disconnect(self, writer: Writer) -> None:
        if writer.session is None:
            return
        self._by_descriptor.pop(writer.descriptor, None)
        self._pool.close(writer.session.connection)
        writer.session = None
        writer.waits_to_write = False

    def _settle_applied(self, task: Task, outcome: Any) -> None:
        """Count an operation that came to an end although it was to be ended."""
        try:
            self._succeed(task, task.operation.done(outcome, task.plan), self._clock())
        except psycopg.Error as error:
            if error.sqlstate == _CANCELED:
                self._interrupt(task)
            else:
                self._fail(task, error_kind(error), str(error), self._clock())

    async def _abort(self, writer: Writer) -> None:
        """Have the server end what a writer does, and count what became of it."""
        if writer.steps is not None and writer.session is not None:
            connection = writer.session.connection
            steps = writer.steps
            outcome, value = await connection.abort(steps)
            for task in writer.tasks:
                if task.settled:
                    continue
                if outcome == "applied":
                    self._settle_applied(task, value)
                elif outcome == "unknown" and task.operation.writes:
                    task.row.unknown += 1
                else:
                    self._interrupt(task)
            if connection.closed:
                self._disconnect(writer)
        for task in writer.tasks:
            if not task.settled:
                self._interrupt(task)
        self._finish(writer)


_READ = Wait.R
_READABLE = int(Ready.R)
_WRITABLE = int(Ready.W)


def _kind(error: psycopg.Error | StressrunError, otherwise: str) -> str:
    return error_kind(error) if isinstance(error, psycopg.Error) else otherwise
