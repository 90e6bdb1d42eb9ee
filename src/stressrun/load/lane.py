"""A lane: one trio task that drives many virtual users and their connections.

The virtual users say what they want; the lane sends, reads, waits, and tells them what happened
and when. Instants are nanoseconds of the monotonic clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

import trio

from stressrun.http.connection import Address, Connection, ConnectionFailed
from stressrun.load.executors import Executor
from stressrun.load.poller import READ, WRITE, Poller
from stressrun.load.virtual_user import (
    EndpointProgram,
    Failure,
    Iteration,
    Pause,
    Response,
    Send,
)
from stressrun.metrics.recorder import Recorder

_TURN = 1_000_000
_TIMEOUT_CHECK = 50_000_000


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

    def iteration(self, number: int) -> Iteration:
        return self.endpoint(number).iterate(self.offset + number)


class VirtualUser:
    """One simulated client: its connection, and the iteration that it is in."""

    __slots__ = (
        "asked_at",
        "connection",
        "due",
        "iteration",
        "retried",
        "sending",
        "sent_at",
        "waits_to_write",
    )

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.iteration: Iteration | None = None
        self.sending: Send | None = None
        self.due = 0
        self.sent_at = 0
        self.retried = 0
        self.asked_at = 0
        self.waits_to_write = False


class Lane:
    """Drives the iterations of a stage; its virtual users keep their connections between stages.

    `most_running` is the most virtual users that were in an iteration at once in a stage.
    """

    def __init__(
        self,
        address: Address,
        recorder: Recorder,
        *,
        request_timeout: float,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._address = address
        self._recorder = recorder
        self._timeout = round(request_timeout * 1e9)
        self._clock = clock
        self._poller = Poller()
        self._idle: list[VirtualUser] = []
        self._busy: set[VirtualUser] = set()
        self._by_descriptor: dict[int, VirtualUser] = {}
        self._thinking: list[tuple[int, int, VirtualUser]] = []
        self._naps = 0
        self._free_since = 0
        self._max_vus = 0
        self.most_running = 0

    async def run(self, work: Assignment) -> None:
        """Run a stage until its executor's end and until its iterations have ended.

        Cancelled, it interrupts the iterations that are left. Arrivals that did not start by
        the end are dropped.
        """
        self._max_vus = work.max_vus
        self.most_running = 0
        try:
            await self._drive(work)
        finally:
            for user in list(self._busy):
                self._interrupt(user)
            self._thinking.clear()
            for number in work.executor.drop(min(self._clock(), work.executor.end)):
                row = work.endpoint(number).row
                row.planned += 1
                row.dropped += 1

    def wake(self) -> None:
        """Look at once at an executor whose end was moved."""
        self._poller.wake()

    def close(self) -> None:
        """Close all connections."""
        for user in [*self._idle, *self._busy]:
            self._disconnect(user)
        self._poller.close()

    async def _drive(self, work: Assignment) -> None:
        executor = work.executor
        last_turn = self._clock()
        next_check = last_turn + _TIMEOUT_CHECK
        while True:
            now = self._clock()
            more = self._start_due(work, now + _TURN)
            if now >= executor.end and not more:
                executor.close()
            while self._thinking and self._thinking[0][0] <= now:
                wake, _, user = heappop(self._thinking)
                self._resume(user, None, wake)
            if now >= next_check:
                self._check_timeouts(now)
                next_check = now + _TIMEOUT_CHECK
            if executor.closed and not self._busy:
                return
            events = self._poller.poll()
            for descriptor, event in events:
                self._ready(descriptor, event)
            if not events and not more:
                last_turn = now
                await self._poller.wait(self._next_instant(now, executor, next_check))
            elif now - last_turn > _TURN:
                last_turn = now
                await trio.lowlevel.checkpoint()

    def _start_due(self, work: Assignment, until: int) -> bool:
        """Start what is due; True when `until` has come with more of it.

        Iterations that fail at once, because no connection can be made, would never let go.
        """
        while len(self._busy) < self._max_vus:
            now = self._clock()
            if now > until:
                return True
            taken = work.executor.take(now, len(self._busy))
            if taken is None:
                return False
            number, due = taken
            # Late because every virtual user was busy is the target's doing, not the generator's.
            if work.executor.keeps_time and due >= self._free_since:
                self._recorder.lag.record(now - due)
            user = self._idle.pop() if self._idle else VirtualUser()
            self._busy.add(user)
            self.most_running = max(self.most_running, len(self._busy))
            user.iteration = work.iteration(number)
            self._resume(user, None, due)
        return False

    def _next_instant(self, now: int, executor: Executor, next_check: int) -> int:
        instants = [next_check if executor.closed else executor.end]
        if self._busy:
            instants.append(next_check)
        if self._thinking:
            instants.append(self._thinking[0][0])
        if len(self._busy) < self._max_vus:
            wake = executor.wake(now)
            if wake is not None:
                instants.append(wake)
        return min(instants)

    # What a virtual user wants next.

    def _resume(self, user: VirtualUser, answer: Response | Failure | None, due: int) -> None:
        """Tell a user's iteration what happened; its next wish is due at `due`."""
        assert user.iteration is not None
        while True:
            try:
                wish = user.iteration.send(answer)
            except StopIteration:
                self._finish(user)
                return
            user.due = due
            if isinstance(wish, Pause):
                self._naps += 1
                heappush(self._thinking, (due + wish.length, self._naps, user))
                return
            user.sending = wish
            user.retried = 0
            user.sent_at = 0
            user.asked_at = self._clock()
            failure = self._send(user)
            if failure is None:
                return
            answer, due = failure, self._clock()

    def _finish(self, user: VirtualUser) -> None:
        user.iteration = None
        if len(self._busy) >= self._max_vus:
            self._free_since = self._clock()
        self._busy.discard(user)
        self._idle.append(user)

    # Sending and receiving.

    def _send(self, user: VirtualUser) -> Failure | None:
        """Send the wish of a user, on its connection or on a new one."""
        try:
            if user.connection is None:
                self._connect(user)
            else:
                self._transmit(user, user.connection)
        except ConnectionFailed as failed:
            return self._failed(user, failed)
        return None

    def _connect(self, user: VirtualUser) -> None:
        connection = Connection(self._address)
        user.connection = connection
        user.waits_to_write = True
        self._by_descriptor[connection.descriptor] = user
        self._poller.register(connection.descriptor, WRITE)

    def _transmit(self, user: VirtualUser, connection: Connection) -> None:
        assert user.sending is not None
        program = user.sending.program
        user.sent_at = self._clock()
        sent = connection.send(
            user.sending.content, keep_body=program.keep_body, expects_body=program.expects_body
        )
        if not sent:
            user.waits_to_write = True
            self._poller.modify(connection.descriptor, READ | WRITE)

    def _ready(self, descriptor: int, event: int) -> None:
        user = self._by_descriptor.get(descriptor)
        if user is None:
            return
        connection = user.connection
        assert connection is not None
        if user.sending is None:
            # Idle and readable: the server has closed it, which is its right.
            self._disconnect(user)
            return
        try:
            if user.waits_to_write and event & ~READ:
                self._writable(user, connection)
                if not event & READ:
                    return
            if user.sent_at and connection.receive():
                self._answered(user, connection)
        except ConnectionFailed as failed:
            failure = self._failed(user, failed)
            if failure is not None:
                self._resume(user, failure, self._clock())

    def _writable(self, user: VirtualUser, connection: Connection) -> None:
        if not user.sent_at:
            connection.connected()
            user.waits_to_write = False
            self._poller.modify(connection.descriptor, READ)
            self._transmit(user, connection)
        elif connection.flush():
            user.waits_to_write = False
            self._poller.modify(connection.descriptor, READ)

    def _answered(self, user: VirtualUser, connection: Connection) -> None:
        now = self._clock()
        sending = user.sending
        assert sending is not None
        user.sending = None
        response = Response(
            connection.status,
            connection.body if sending.program.keep_body else b"",
            user.sent_at - user.due,
            now - user.sent_at,
            len(sending.content),
            connection.received,
            user.retried,
        )
        if not connection.keep_alive or user.waits_to_write:
            self._disconnect(user)
        self._resume(user, response, now)

    def _failed(self, user: VirtualUser, failed: ConnectionFailed) -> Failure | None:
        """Close the connection; None when the request was sent again on a new one instead."""
        connection, sending = user.connection, user.sending
        assert sending is not None
        stale = (
            connection is not None
            and connection.answered > 0
            and connection.received == 0
            and failed.kind in ("closed", "reset")
            and (sending.program.idempotent or not connection.written)
        )
        self._disconnect(user)
        if stale and not user.retried:
            user.retried = 1
            user.sent_at = 0
            try:
                self._connect(user)
            except ConnectionFailed as again:
                failed = again
            else:
                return None
        now = self._clock()
        sent_at = user.sent_at or now
        user.sending = None
        return Failure(
            failed.kind,
            sent_at - user.due,
            now - sent_at,
            len(sending.content) if user.sent_at else 0,
            connection.received if connection is not None else 0,
            user.retried,
        )

    def _check_timeouts(self, now: int) -> None:
        for user in list(self._busy):
            if user.sending is None:
                continue
            if user.sent_at:
                overdue, kind = now - user.sent_at > self._timeout, "timeout"
            else:
                overdue, kind = now - user.asked_at > self._timeout, "connect timeout"
            if overdue:
                failure = self._failed(user, ConnectionFailed(kind))
                self._resume(user, failure, now)

    def _interrupt(self, user: VirtualUser) -> None:
        """End an iteration that has no time left; a request in flight costs its connection."""
        assert user.iteration is not None
        user.iteration.close()
        if user.sending is not None:
            user.sending = None
            self._disconnect(user)
        self._finish(user)

    def _disconnect(self, user: VirtualUser) -> None:
        if user.connection is not None:
            self._poller.unregister(user.connection.descriptor)
            del self._by_descriptor[user.connection.descriptor]
            user.connection.close()
            user.connection = None
        user.waits_to_write = False
