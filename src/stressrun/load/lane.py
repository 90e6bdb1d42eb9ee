"""A lane: one trio task that drives many virtual users and their connections.

The virtual users say what they want; the lane sends, reads, waits, and tells them what happened
and when. Instants are nanoseconds of the monotonic clock.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from socket import AF_UNIX

import trio

from stressrun.errors import RefusedError, StressrunError
from stressrun.http.connection import Address, Connection, Opening
from stressrun.http.failure import ConnectionFailed
from stressrun.http.origin import Origin
from stressrun.http.resolver import Resolver
from stressrun.load.executors import Executor
from stressrun.load.poller import READ, WRITE, Poller
from stressrun.load.program import Program
from stressrun.load.session import Session
from stressrun.load.virtual_user import EndpointProgram, Iteration
from stressrun.metrics.recorder import Recorder
from stressrun.scenario.model import Http

# Trio gets a turn this often at least: enough for news and orders, and each one costs.
_TURN = 5_000_000
_TURN_SECONDS = _TURN / 1e9
_FINEST_CHECK, _COARSEST_CHECK = 1_000_000, 50_000_000
_OPENING_EVENTS = {
    Opening.CONNECTING: WRITE,
    Opening.HANDSHAKE_WRITES: WRITE,
    Opening.HANDSHAKE_READS: READ,
    Opening.OPEN: READ,
}


@dataclass(frozen=True, slots=True)
class Assignment:
    """One stage's work for a lane: iteration k does endpoint `table[k % len(table)]`.

    Its data is that of index `offset` + k, so that no two stages repeat each other.
    """

    executor: Executor
    endpoints: Sequence[EndpointProgram]
    table: Sequence[int]
    offset: int
    max_vus: int

    def endpoint(self, number: int) -> EndpointProgram:
        return self.endpoints[self.table[number % len(self.table)]]


class VirtualUser:
    """One simulated client: its session, its connection, and the iteration that it is in.

    `program` is set while a request is under way, `sent_at` once it was sent; `token` tells the
    requests that waited for an address from one another.
    """

    __slots__ = (
        "addresses",
        "asked_at",
        "connection",
        "content",
        "due",
        "first_byte_at",
        "iteration",
        "number",
        "opened_at",
        "origin",
        "program",
        "retried",
        "sent_at",
        "session",
        "token",
        "waits_to_write",
    )

    def __init__(self, session: Session) -> None:
        self.session = session
        self.connection: Connection | None = None
        self.origin: object = None
        self.addresses: tuple[Address, ...] = ()
        self.iteration: Iteration | None = None
        self.number = 0
        self.program: Program | None = None
        self.content = b""
        self.due = 0
        self.asked_at = 0
        self.opened_at = 0
        self.sent_at = 0
        self.first_byte_at = 0
        self.retried = 0
        self.token = 0
        self.waits_to_write = False


class Lane:
    """Drives the iterations of a stage; its virtual users keep their connections between stages.

    `most_running` is the most virtual users that were in an iteration at once in a stage.
    """

    def __init__(
        self,
        http: Http,
        resolver: Resolver,
        recorder: Recorder,
        *,
        tls: ssl.SSLContext | None = None,
        shortest_timeout: float = 30.0,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._http = http
        self._resolver = resolver
        self._recorder = recorder
        self._tls = tls
        self._clock = clock
        self._connect_timeout = round(http.connect_timeout * 1e9)
        shortest = min(shortest_timeout, http.connect_timeout)
        self._check_interval = max(_FINEST_CHECK, min(_COARSEST_CHECK, round(shortest * 1e9 / 20)))
        self._keeps_after_answer = http.reuse != "none"
        self._keeps_after_iteration = http.reuse == "vu"
        self._poller = Poller()
        self._idle: list[VirtualUser] = []
        self._retired: list[VirtualUser] = []
        self._busy: set[VirtualUser] = set()
        self._by_descriptor: dict[int, VirtualUser] = {}
        self._thinking: list[tuple[int, int, VirtualUser]] = []
        self._naps = 0
        self._tokens = 0
        self._free_since = 0
        self._work: Assignment | None = None
        self._nursery: trio.Nursery | None = None
        self.most_running = 0

    async def run(self, work: Assignment) -> None:
        """Run a stage until its executor's end and until its iterations have ended.

        Cancelled, it interrupts the iterations that are left. Arrivals that did not start by
        the end are dropped.
        """
        self._work = work
        self._free_since = 0
        self.most_running = 0
        try:
            async with trio.open_nursery() as self._nursery:
                await self._drive(work)
                self._nursery.cancel_scope.cancel()
        finally:
            for user in list(self._busy):
                self._interrupt(user)
            self._thinking.clear()
            self._idle += self._retired
            self._retired.clear()
            self._drop(work, work.executor.drop(min(self._clock(), work.executor.end)))
            self._work = None

    def wake(self) -> None:
        """Look at once at an executor whose end was moved."""
        self._poller.wake()

    def close(self) -> None:
        """Close all connections."""
        for user in [*self._idle, *self._busy]:
            self._disconnect(user)
        self._poller.close()

    async def _drive(self, work: Assignment) -> None:
        executor, poller, clock = work.executor, self._poller, self._clock
        last_turn = clock()
        next_check = last_turn + self._check_interval
        quiet = False
        events: list[tuple[int, int]] = []
        while True:
            now = clock()
            while self._thinking and self._thinking[0][0] <= now:
                wake, _, user = heappop(self._thinking)
                self._advance(user, wake)
            if now >= next_check:
                self._check_timeouts(now)
                next_check = now + self._check_interval
            # After what may have freed a virtual user: nothing else would wake for the next start.
            self._drop(work, executor.overdue(now))
            more = self._start_due(work, now + _TURN)
            if now >= executor.end and not more:
                executor.close()
            if executor.closed and not self._busy:
                return
            # Where events come in crowds, there is no wait to prepare for.
            events = poller.poll(0) if more or len(events) > 1 else []
            if not events and not more:
                poller.arm(self._next_instant(now, executor, next_check))
                if quiet or now - last_turn >= _TURN:
                    last_turn, quiet = now, False
                    await poller.wait()
                    continue
                # Cheaper than a turn of trio's for each event, as long as events keep coming.
                events = poller.poll(_TURN_SECONDS)
                quiet = not events
            for descriptor, event in events:
                self._ready(descriptor, event)
            if now - last_turn > _TURN:
                last_turn = now
                await trio.lowlevel.checkpoint()

    # Which iterations start.

    def _start_due(self, work: Assignment, until: int) -> bool:
        """Start what is due; True when `until` has come with more of it.

        Iterations that fail at once, because no connection can be made, would never let go.
        """
        busy = self._busy
        while len(busy) < work.max_vus:
            now = self._clock()
            if now > until:
                return True
            taken = work.executor.take(now, len(busy))
            if taken is None:
                return False
            user = self._idle.pop() if self._idle else VirtualUser(Session(self._http.cookies))
            busy.add(user)
            if len(busy) > self.most_running:
                self.most_running = len(busy)
            self._begin(user, work, taken, now)
            self._advance(user, user.due)
        return False

    def _begin(
        self, user: VirtualUser, work: Assignment, taken: tuple[int, int], now: int
    ) -> None:
        """Give a user the iteration that the executor gave, due at an instant or at once (0)."""
        number, due = taken
        table = work.table
        endpoint = work.endpoints[table[number % len(table)]]
        user.number = number
        user.iteration = endpoint.iterate(user.session, work.offset + number)
        user.due = 0
        if work.executor.keeps_time:
            user.due = due
            # Late because every virtual user was busy is the target's doing, not the generator's.
            if due >= self._free_since:
                self._recorder.lag.record(now - due)

    def _drop(self, work: Assignment, numbers: Iterable[int]) -> None:
        for number in numbers:
            row = work.endpoint(number).row
            row.planned += 1
            row.dropped += 1

    def _next_instant(self, now: int, executor: Executor, next_check: int) -> int:
        instant = next_check if self._busy or executor.closed else executor.end
        if not executor.closed and executor.end < instant:
            instant = executor.end
        if self._thinking and self._thinking[0][0] < instant:
            instant = self._thinking[0][0]
        assert self._work is not None
        if len(self._busy) < self._work.max_vus:
            wake = executor.wake(now)
            if wake is not None and wake < instant:
                instant = wake
        return instant

    # What a virtual user wants next.

    def _advance(self, user: VirtualUser, due: int, answered_at: int = 0) -> None:
        """Let a user's iteration go on; its next request is due at `due`, or now for 0.

        A user that was just answered begins the next iteration at once when this one has ended.
        """
        while True:
            assert user.iteration is not None
            wish = next(user.iteration, None)
            if wish is None:
                if not answered_at or not self._renew(user, answered_at):
                    self._finish(user)
                    return
                due = user.due
                answered_at = 0
                continue
            now = self._clock()
            if isinstance(wish, int):
                self._naps += 1
                heappush(self._thinking, (now + wish, self._naps, user))
                return
            user.program, user.content = program, content = wish
            user.due = due or now
            try:
                connection = user.connection
                if connection is None or user.origin is not program.origin:
                    user.asked_at = now
                    self._connect(user)
                    return
                user.sent_at = now
                if not connection.send(content, program.keep_body, program.expects_body):
                    self._wait_to_write(user, connection)
                return
            except ConnectionFailed as failed:
                if self._retries(user, failed):
                    return
            due = 0

    def _renew(self, user: VirtualUser, now: int) -> bool:
        """Give a user whose iteration has just ended the next one, if there is one for it."""
        work = self._work
        assert work is not None
        executor, running = work.executor, len(self._busy)
        if not self._keeps_after_iteration or executor.counts_per_vu:
            return False
        if running >= work.max_vus:
            self._free_since = now
        taken = executor.take(now, running - 1)
        if taken is None:
            return False
        self._begin(user, work, taken, now)
        return True

    def _finish(self, user: VirtualUser) -> None:
        user.iteration = None
        if not self._keeps_after_iteration:
            self._disconnect(user)
        assert self._work is not None
        executor = self._work.executor
        if len(self._busy) >= self._work.max_vus:
            self._free_since = self._clock()
        self._busy.discard(user)
        # The executor keeps its own virtual users in step with ours: the last idle is the next.
        if executor.counts_per_vu and not executor.finished(user.number):
            self._retired.append(user)
        else:
            self._idle.append(user)

    # Opening connections.

    def _connect(self, user: VirtualUser) -> None:
        """Open a connection for the request of a user. Raises ConnectionFailed."""
        self._disconnect(user)
        user.sent_at = 0
        assert user.program is not None
        origin = user.program.origin
        if self._http.unix_socket is not None:
            user.addresses = (Address(AF_UNIX, self._http.unix_socket),)
        else:
            known = self._resolver.known(origin.host, origin.port)
            if known is None:
                self._tokens += 1
                user.token = self._tokens
                assert self._nursery is not None
                self._nursery.start_soon(self._resolve, user, origin, user.token)
                return
            user.addresses = known
        self._open(user)

    async def _resolve(self, user: VirtualUser, origin: Origin, token: int) -> None:
        failed = None
        try:
            addresses = await self._resolver.resolve(origin.host, origin.port)
        except RefusedError as error:
            failed = ConnectionFailed("refused by the guard", error.message)
        except StressrunError as error:
            failed = ConnectionFailed("dns", error.message)
        # In the meantime the request may have been given up.
        if user.token != token:
            return
        user.token = 0
        try:
            if failed is not None:
                raise failed
            user.addresses = addresses
            self._open(user)
        except ConnectionFailed as error:
            self._failed(user, error)
        self._poller.wake()

    def _open(self, user: VirtualUser) -> None:
        """Begin to connect to the first address of a user. Raises ConnectionFailed."""
        assert user.program is not None
        origin = user.program.origin
        while True:
            address, *others = user.addresses
            user.addresses = tuple(others)
            try:
                connection = Connection(address, self._tls if origin.secure else None, origin.host)
                break
            except ConnectionFailed:
                if not others:
                    raise
        user.connection = connection
        user.origin = origin
        user.opened_at = self._clock()
        user.waits_to_write = True
        self._by_descriptor[connection.descriptor] = user
        self._poller.register(connection.descriptor, WRITE)

    def _opening(self, user: VirtualUser, connection: Connection) -> None:
        """Go on opening; send the request once the connection is open. Raises ConnectionFailed."""
        before = connection.opening
        try:
            opening = connection.advance()
        except ConnectionFailed:
            if not user.addresses or before is not Opening.CONNECTING:
                raise
            others, user.addresses = user.addresses, ()
            self._disconnect(user)
            user.addresses = others
            self._open(user)
            return
        now = self._clock()
        if before is Opening.CONNECTING:
            self._recorder.connect.record(now - user.opened_at)
            user.opened_at = now
        self._poller.modify(connection.descriptor, _OPENING_EVENTS[opening])
        if opening is Opening.OPEN:
            if self._tls is not None and user.program is not None and user.program.origin.secure:
                self._recorder.tls.record(now - user.opened_at)
            user.waits_to_write = False
            program = user.program
            assert program is not None
            user.sent_at = now
            if not connection.send(user.content, program.keep_body, program.expects_body):
                self._wait_to_write(user, connection)

    # Sending and receiving.

    def _wait_to_write(self, user: VirtualUser, connection: Connection) -> None:
        user.waits_to_write = True
        self._poller.modify(connection.descriptor, READ | WRITE)

    def _ready(self, descriptor: int, event: int) -> None:
        user = self._by_descriptor.get(descriptor)
        if user is None:
            # Only the timer is nobody's.
            self._poller.timer_fired()
            return
        connection = user.connection
        assert connection is not None
        try:
            if user.waits_to_write:
                self._writable(user, connection, event)
            elif not user.sent_at:
                self._idle_readable(user, connection)
            elif connection.receive():
                self._answered(user, connection)
            elif connection.received and not user.first_byte_at:
                user.first_byte_at = self._clock()
        except ConnectionFailed as failed:
            self._failed(user, failed)

    def _writable(self, user: VirtualUser, connection: Connection, event: int) -> None:
        if not user.sent_at:
            self._opening(user, connection)
        elif event & READ and connection.receive():
            # An answer to a request that was not sent to its end: no more of it is wanted.
            self._answered(user, connection)
        elif event & ~READ and connection.flush():
            user.waits_to_write = False
            self._poller.modify(connection.descriptor, READ)

    def _idle_readable(self, user: VirtualUser, connection: Connection) -> None:
        # Mostly the server has closed an idle connection, which is its right.
        if connection.lost():
            self._disconnect(user)

    def _answered(self, user: VirtualUser, connection: Connection) -> None:
        now = self._clock()
        sent_at, program = user.sent_at, user.program
        assert program is not None
        answer = user.session.answer
        answer.failure = None
        answer.status = connection.status
        answer.start = connection.start
        if program.keep_body:
            answer.body = connection.body
        answer.late = sent_at - user.due
        answer.service = answer.first_byte = now - sent_at
        if user.first_byte_at:
            answer.first_byte = user.first_byte_at - sent_at
            user.first_byte_at = 0
        answer.sent = len(user.content)
        answer.received = connection.received
        user.program = None
        user.sent_at = user.retried = 0
        if not connection.keep_alive or user.waits_to_write or not self._keeps_after_answer:
            self._disconnect(user)
        self._advance(user, 0, now)

    def _failed(self, user: VirtualUser, failed: ConnectionFailed) -> None:
        """End a request without an answer, unless it is sent again."""
        if not self._retries(user, failed):
            self._advance(user, 0)

    def _retries(self, user: VirtualUser, failed: ConnectionFailed) -> bool:
        """Send a request once more where that is safe; else its user has its answer, a failure.

        Safe is a kept connection that the server closed meanwhile, when no byte was written or
        the method is idempotent.
        """
        connection, program = user.connection, user.program
        assert program is not None
        stale = (
            connection is not None
            and connection.answered > 0
            and connection.received == 0
            and failed.kind in ("closed", "reset")
            and (program.idempotent or not connection.written)
        )
        received = connection.received if connection is not None and user.sent_at else 0
        start = connection.start if connection is not None and user.sent_at else b""
        sent_at = user.sent_at
        self._disconnect(user)
        if stale and not user.retried:
            user.retried = 1
            user.asked_at = self._clock()
            program.row.retried += 1
            try:
                self._connect(user)
            except ConnectionFailed as again:
                failed, sent_at, received, start = again, 0, 0, b""
            else:
                return True
        now = self._clock()
        answer = user.session.answer
        answer.failure, answer.detail = failed.kind, str(failed)
        answer.status, answer.start, answer.body = 0, start, b""
        answer.late = (sent_at or now) - user.due
        answer.service = answer.first_byte = now - (sent_at or now)
        answer.sent = len(user.content) if sent_at else 0
        answer.received = received
        user.program = None
        user.sent_at = user.first_byte_at = user.retried = user.token = 0
        return False

    def _check_timeouts(self, now: int) -> None:
        for user in list(self._busy):
            program = user.program
            if program is None:
                continue
            if user.sent_at:
                overdue, kind = now - user.sent_at > program.timeout, "timeout"
            else:
                overdue, kind = now - user.asked_at > self._connect_timeout, "connect timeout"
            if overdue:
                self._failed(user, ConnectionFailed(kind))

    def _interrupt(self, user: VirtualUser) -> None:
        """End an iteration that has no time left; a request in flight costs its connection."""
        assert user.iteration is not None
        user.iteration.close()
        if user.program is not None:
            user.program = None
            user.sent_at = user.first_byte_at = user.token = 0
            self._disconnect(user)
        self._finish(user)

    def _disconnect(self, user: VirtualUser) -> None:
        if user.connection is not None:
            # Closing it takes it out of the poller, even where TLS has closed it before.
            del self._by_descriptor[user.connection.descriptor]
            user.connection.close()
            user.connection = None
        user.origin = None
        user.waits_to_write = False
