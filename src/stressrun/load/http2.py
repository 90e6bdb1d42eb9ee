"""A lane that speaks HTTP/2: a trio task for each busy virtual user, the books as in `lane`.

Instants are nanoseconds of the monotonic clock.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from socket import AF_UNIX

import trio

from stressrun.errors import RefusedError, StressrunError
from stressrun.http.connection import Address
from stressrun.http.failure import ConnectionFailed
from stressrun.http.http2 import Http2Connection, connect, secure
from stressrun.http.origin import Origin
from stressrun.http.poller import Timer
from stressrun.http.resolver import Resolver
from stressrun.load.assignment import REST, Assignment
from stressrun.load.program import Program
from stressrun.load.session import Session
from stressrun.load.ticks import Ticks
from stressrun.metrics.recorder import LEAST_LAG, Recorder
from stressrun.scenario.model import Http

# The number of an iteration, when it was due (0: at once), and how much of that was our lag.
Taken = tuple[int, int, int]


@dataclass(eq=False, slots=True)
class _User:
    """One simulated client: its session and its connection."""

    session: Session
    connection: Http2Connection | None = None
    origin: Origin | None = None


@dataclass(slots=True)
class _Attempt:
    """A request that was sent, or not: its instants, 0 where it did not come so far.

    `connection` is the one that it went over, `failed` why it has no answer.
    """

    connection: Http2Connection | None = None
    sent_at: int = 0
    first_byte_at: int = 0
    ended_at: int = 0
    failed: ConnectionFailed | None = None

    def found_closed(self, program: Program) -> bool:
        """Whether a kept connection had been closed meanwhile, and a second try is safe."""
        connection, failed = self.connection, self.failed
        return (
            connection is not None
            and failed is not None
            and failed.kind in ("closed", "reset")
            and connection.answered > 0
            and not connection.began
            and (program.idempotent or not connection.written)
        )


class Http2Lane:
    """Drives the iterations of a stage; its virtual users keep their connections between stages.

    `most_running` is the most virtual users that were in an iteration at once in a stage.
    """

    def __init__(
        self,
        http: Http,
        resolver: Resolver,
        recorder: Recorder,
        *,
        tls: ssl.SSLContext,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._http = http
        self._resolver = resolver
        self._recorder = recorder
        self._tls = tls
        self._clock = clock
        self._timer = Timer()
        self._ticks = Ticks(recorder.loop_lag)
        self._idle: list[_User] = []
        self._retired: list[_User] = []
        self._running = 0
        self._free_since = 0
        self.most_running = 0

    async def run(self, work: Assignment) -> None:
        """Run a stage until its executor's end and until its iterations have ended.

        Cancelled, it interrupts the iterations that are left. Arrivals that did not start by
        the end are dropped.
        """
        self._free_since = 0
        self.most_running = 0
        try:
            async with trio.open_nursery() as nursery:
                await self._drive(work, nursery)
        finally:
            self._ticks.stop()
            self._idle += self._retired
            self._retired.clear()
            work.drop(work.executor.drop(min(self._clock(), work.executor.end)))

    def wake(self) -> None:
        """Look at once at an executor whose end was moved."""
        self._timer.wake()

    def close(self) -> None:
        """Close all connections."""
        for user in self._idle:
            _disconnect(user)
        self._timer.close()

    # Which iterations start.

    async def _drive(self, work: Assignment, nursery: trio.Nursery) -> None:
        executor = work.executor
        self._ticks.start(self._clock())
        while True:
            now = self._clock()
            if now >= self._ticks.next:
                self._ticks.passed(now)
            for number, due in executor.overdue(now):
                work.drop((number,))
                if due >= self._free_since and self._running < work.max_vus:
                    self._recorder.missed += 1
            while self._running < work.max_vus:
                taken = self._take(work, self._running)
                if taken is None:
                    break
                user = self._idle.pop() if self._idle else _User(Session(self._http.cookies))
                self._running += 1
                self.most_running = max(self.most_running, self._running)
                nursery.start_soon(self._live, user, work, taken)
            if now >= executor.end:
                executor.close()
            if executor.closed:
                return
            await self._timer.wait_until(self._next_instant(work, now))

    def _take(self, work: Assignment, running: int) -> Taken | None:
        """The next iteration, if there is one to start now."""
        executor = work.executor
        now = self._clock()
        taken = executor.take(now, running)
        if taken is None:
            return None
        number, due = taken
        if not executor.keeps_time:
            return number, 0, 0
        # Late because every virtual user was busy is the target's doing, not the generator's.
        if due < self._free_since:
            return number, due, 0
        lag = now - due
        self._recorder.lag.record(lag)
        return number, due, lag if lag > LEAST_LAG else 0

    def _next_instant(self, work: Assignment, now: int) -> int:
        executor = work.executor
        wake = executor.wake(now) if self._running < work.max_vus else None
        return min(executor.end if wake is None else min(wake, executor.end), self._ticks.next)

    async def _live(self, user: _User, work: Assignment, first: Taken) -> None:
        """Have a user do iterations one after another until there is none for it."""
        executor = work.executor
        taken: Taken | None = first
        resting = self._idle
        try:
            while taken is not None:
                number = taken[0]
                sent = await self._iterate(user, work, taken)
                # An iteration may have ended without having waited for anything.
                await trio.sleep(0 if sent or executor.keeps_time else REST)
                # The executor keeps its own virtual users in step with ours.
                if executor.counts_per_vu and not executor.finished(number):
                    resting = self._retired
                    return
                if self._running >= work.max_vus:
                    self._free_since = self._clock()
                taken = self._take(work, self._running - 1)
        finally:
            self._running -= 1
            resting.append(user)
            self._timer.wake()

    # What a virtual user does.

    async def _iterate(self, user: _User, work: Assignment, taken: Taken) -> bool:
        """Do one iteration; whether it sent anything."""
        number, due, lag = taken
        user.session.answer.lag = 0
        sent = False
        iteration = work.endpoint(number).iterate(user.session, work.offset + number)
        try:
            for wish in iteration:
                if isinstance(wish, int):
                    due = (due or self._clock()) + wish
                    await trio.sleep(wish / 1e9)
                else:
                    program, content = wish
                    await self._ask(user, program, content, due or self._clock())
                    user.session.answer.lag += lag
                    due = lag = 0
                    sent |= user.session.answer.sent > 0
            return sent
        finally:
            # Cancelled, it counts itself as interrupted.
            iteration.close()
            if self._http.reuse != "vu":
                _disconnect(user)

    async def _ask(self, user: _User, program: Program, content: bytes, due: int) -> None:
        """Send a request, once more where that is safe; the user's answer says what came of it."""
        attempt = await self._attempt(user, program, content)
        if attempt.found_closed(program):
            program.row.retried += 1
            attempt = await self._attempt(user, program, content)
        _tell(user.session, attempt, due)

    async def _attempt(self, user: _User, program: Program, content: bytes) -> _Attempt:
        attempt = _Attempt()
        keeps = False
        with trio.CancelScope() as scope:
            scope.deadline = trio.current_time() + self._http.connect_timeout
            try:
                attempt.connection = connection = await self._connected(user, program.origin)
                attempt.sent_at = self._clock()
                scope.deadline = trio.current_time() + program.timeout / 1e9
                await connection.send(content, program.keep_body)
                attempt.first_byte_at = self._clock()
                await connection.finish()
                keeps = connection.keep_alive and self._http.reuse != "none"
            except ConnectionFailed as failed:
                attempt.failed = failed
            finally:
                attempt.ended_at = self._clock()
                if not keeps:
                    _disconnect(user)
        if scope.cancelled_caught:
            attempt.failed = ConnectionFailed("timeout" if attempt.sent_at else "connect timeout")
        return attempt

    # Opening connections.

    async def _connected(self, user: _User, origin: Origin) -> Http2Connection:
        """The user's connection to an origin, opened where need be. Raises ConnectionFailed."""
        connection = user.connection
        if connection is not None and user.origin == origin and not await connection.lost():
            return connection
        _disconnect(user)
        user.connection = connection = await self._open(origin)
        user.origin = origin
        return connection

    async def _open(self, origin: Origin) -> Http2Connection:
        stream = await self._reach(await self._addresses(origin))
        if not origin.secure:
            return Http2Connection(stream, secured=False, authority=origin.authority)
        begin = self._clock()
        secured = await secure(stream, self._tls, origin.host)
        self._recorder.tls.record(self._clock() - begin)
        return Http2Connection(secured, secured=True, authority=origin.authority)

    async def _addresses(self, origin: Origin) -> Sequence[Address]:
        if self._http.unix_socket is not None:
            return (Address(AF_UNIX, self._http.unix_socket),)
        try:
            return await self._resolver.resolve(origin.host, origin.port)
        except RefusedError as error:
            raise ConnectionFailed("refused by the guard", error.message) from error
        except StressrunError as error:
            raise ConnectionFailed("dns", error.message) from error

    async def _reach(self, addresses: Sequence[Address]) -> trio.SocketStream:
        """Connect to the first address that accepts. Raises the last one's ConnectionFailed."""
        *others, last = addresses
        for address in others:
            with suppress(ConnectionFailed):
                return await self._connect(address)
        return await self._connect(last)

    async def _connect(self, address: Address) -> trio.SocketStream:
        begin = self._clock()
        stream = await connect(address)
        self._recorder.connect.record(self._clock() - begin)
        return stream


def _tell(session: Session, attempt: _Attempt, due: int) -> None:
    """Put what came of a request into the answer of its user."""
    answer, connection, failed = session.answer, attempt.connection, attempt.failed
    sent_at = attempt.sent_at or attempt.ended_at
    answer.failure, answer.detail = None, ""
    answer.status, answer.start, answer.body = 0, b"", b""
    answer.sent = answer.received = 0
    answer.late = sent_at - due
    answer.service = answer.first_byte = attempt.ended_at - sent_at
    if connection is not None:
        answer.start = connection.start
        answer.sent, answer.received = connection.sent, connection.received
        if failed is None:
            answer.status, answer.body = connection.status, connection.body
            answer.first_byte = attempt.first_byte_at - sent_at
    if failed is not None:
        answer.failure, answer.detail = failed.kind, str(failed)


def _disconnect(user: _User) -> None:
    if user.connection is not None:
        user.connection.close()
        user.connection = None
