"""The requests of virtual users under way: each sent on its user's connection, and answered.

What is ready is first read and timed, and what is to be sent is sent together: so the work on one
answer is in no other's time, and a server that is faster than its client is woken less often.
Instants are nanoseconds of the monotonic clock.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from socket import AF_UNIX

import trio

from stressrun.errors import RefusedError, StressrunError
from stressrun.http.connection import Address, Connection, Opening
from stressrun.http.failure import ConnectionFailed
from stressrun.http.origin import Origin
from stressrun.http.poller import READ, WRITE, Poller
from stressrun.http.resolver import Resolver
from stressrun.load.program import Program
from stressrun.load.session import Session
from stressrun.load.virtual_user import Iteration
from stressrun.metrics.recorder import LEAST_LAG, Recorder
from stressrun.scenario.model import Http

# As many as keep a server busy, and few enough that the first waits for the last one's making.
_TOGETHER = 16
_OPENING_EVENTS = {
    Opening.CONNECTING: WRITE,
    Opening.HANDSHAKE_WRITES: WRITE,
    Opening.HANDSHAKE_READS: READ,
    Opening.OPEN: READ,
}


class VirtualUser:
    """One simulated client: its session, its connection, and the iteration that it is in.

    `program` is set while a request is under way, `sent_at` once it was sent. `due` is 0 for a
    request that is due when it is sent; `counts_lag`: how late it starts is the generator's doing.
    `token` tells the requests that waited for an address from one another.
    """

    __slots__ = (
        "addresses",
        "asked_at",
        "connection",
        "content",
        "counts_lag",
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
        self.origin: Origin | None = None
        self.addresses: tuple[Address, ...] = ()
        self.iteration: Iteration | None = None
        self.number = 0
        self.program: Program | None = None
        self.content = b""
        self.due = 0
        self.counts_lag = False
        self.asked_at = 0
        self.opened_at = 0
        self.sent_at = 0
        self.first_byte_at = 0
        self.retried = 0
        self.token = 0
        self.waits_to_write = False


class Transfers:
    """Sends the requests of virtual users and reads the answers.

    `ended` are the users whose request has come to an end since the owner last took them: what
    came of it stands in their session's answer.
    """

    def __init__(
        self,
        http: Http,
        resolver: Resolver,
        recorder: Recorder,
        poller: Poller,
        *,
        tls: ssl.SSLContext | None,
        clock: Callable[[], int],
    ) -> None:
        self._unix_socket = http.unix_socket
        self._connect_timeout = round(http.connect_timeout * 1e9)
        self._keeps_connections = http.reuse != "none"
        self._resolver = resolver
        self._recorder = recorder
        self._poller = poller
        self._tls = tls
        self._clock = clock
        self._by_descriptor: dict[int, VirtualUser] = {}
        self._to_send: list[VirtualUser] = []
        self._tokens = 0
        self.ended: list[VirtualUser] = []
        # Where names are looked up; the owner opens it for each stage.
        self.nursery: trio.Nursery | None = None

    def ask(self, user: VirtualUser, program: Program, content: bytes) -> None:
        """Have a request sent with the next `flush`."""
        user.program = program
        user.content = content
        self._to_send.append(user)
        if len(self._to_send) >= _TOGETHER:
            self.flush()

    def flush(self) -> None:
        """Send what was asked for."""
        users, self._to_send = self._to_send, []
        clock = self._clock
        for user in users:
            now = clock()
            if user.counts_lag:
                user.counts_lag = False
                lag = now - user.due
                self._recorder.lag.record(lag)
                if lag > LEAST_LAG:
                    user.session.answer.lag = lag
            if not user.due:
                user.due = now
            program, connection = user.program, user.connection
            assert program is not None
            try:
                if connection is None or user.origin is not program.origin:
                    user.asked_at = now
                    self._connect(user)
                else:
                    user.sent_at = now
                    if not connection.send(user.content, program.keep_body, program.expects_body):
                        self._wait_to_write(user, connection)
            except ConnectionFailed as failed:
                self._failed(user, failed)

    def take_ended(self) -> list[VirtualUser]:
        """The users whose requests have ended, each once."""
        ended, self.ended = self.ended, []
        return ended

    def ready(self, events: Iterable[tuple[int, int]]) -> None:
        """Do what the poller says can be done."""
        for descriptor, event in events:
            user = self._by_descriptor.get(descriptor)
            if user is None:
                # Only the timer is nobody's.
                self._poller.timer_fired()
                continue
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

    def end_overdue(self, users: Iterable[VirtualUser], now: int) -> None:
        """End the requests of these users that have taken too long."""
        for user in users:
            program = user.program
            if program is None:
                continue
            if user.sent_at:
                overdue, kind = now - user.sent_at > program.timeout, "timeout"
            else:
                overdue, kind = now - user.asked_at > self._connect_timeout, "connect timeout"
            if overdue:
                self._failed(user, ConnectionFailed(kind))

    def stalled(self, late: int) -> None:
        """Tell that the answers that were just read had waited for so long at the most."""
        for user in self.ended:
            answer = user.session.answer
            answer.lag += min(late, answer.service)

    def abandon(self, user: VirtualUser) -> None:
        """Forget a user's request; one in flight costs its connection."""
        if user.program is not None:
            user.program = None
            user.session.answer.lag = 0
            self._reset(user)
            self.disconnect(user)

    def forget_all(self) -> None:
        """Forget what was asked and what has ended: the stage is over."""
        self._to_send.clear()
        self.ended.clear()

    def disconnect(self, user: VirtualUser) -> None:
        """Close a user's connection."""
        if user.connection is not None:
            # Closing it takes it out of the poller, even where TLS has closed it before.
            del self._by_descriptor[user.connection.descriptor]
            user.connection.close()
            user.connection = None
        user.origin = None
        user.waits_to_write = False

    # Opening connections.

    def _connect(self, user: VirtualUser) -> None:
        """Open a connection for the request of a user. Raises ConnectionFailed."""
        self.disconnect(user)
        user.sent_at = 0
        assert user.program is not None
        origin = user.program.origin
        if self._unix_socket is not None:
            user.addresses = (Address(AF_UNIX, self._unix_socket),)
        else:
            known = self._resolver.known(origin.host, origin.port)
            if known is None:
                self._tokens += 1
                user.token = self._tokens
                assert self.nursery is not None
                self.nursery.start_soon(self._resolve, user, origin, user.token)
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
            self.disconnect(user)
            user.addresses = others
            self._open(user)
            return
        now = self._clock()
        if before is Opening.CONNECTING:
            self._recorder.connect.record(now - user.opened_at)
            user.opened_at = now
        self._poller.modify(connection.descriptor, _OPENING_EVENTS[opening])
        if opening is Opening.OPEN:
            program = user.program
            assert program is not None
            if program.origin.secure:
                self._recorder.tls.record(now - user.opened_at)
            user.waits_to_write = False
            user.sent_at = now
            if not connection.send(user.content, program.keep_body, program.expects_body):
                self._wait_to_write(user, connection)

    # Sending and receiving.

    def _wait_to_write(self, user: VirtualUser, connection: Connection) -> None:
        user.waits_to_write = True
        self._poller.modify(connection.descriptor, READ | WRITE)

    def _writable(self, user: VirtualUser, connection: Connection, event: int) -> None:
        if not user.sent_at:
            self._opening(user, connection)
        elif event & READ and connection.receive():
            # An answer to a request that was not sent to its end: no more of it is wanted.
            self._answered(user, connection)
        else:
            if connection.received and not user.first_byte_at:
                user.first_byte_at = self._clock()
            if event & ~READ and connection.flush():
                user.waits_to_write = False
                self._poller.modify(connection.descriptor, READ)

    def _idle_readable(self, user: VirtualUser, connection: Connection) -> None:
        # Mostly the server has closed an idle connection, which is its right.
        if connection.lost():
            self.disconnect(user)

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
        answer.sent = len(user.content)
        answer.received = connection.received
        user.program = None
        user.sent_at = user.first_byte_at = user.retried = user.due = 0
        if not connection.keep_alive or user.waits_to_write or not self._keeps_connections:
            self.disconnect(user)
        self.ended.append(user)

    def _failed(self, user: VirtualUser, failed: ConnectionFailed) -> None:
        """End a request without an answer, unless it is sent again.

        Once and where it is safe: on a kept connection that the server had closed meanwhile, when
        no byte was written or the method is idempotent.
        """
        connection, program, sent_at = user.connection, user.program, user.sent_at
        assert program is not None
        received, start = 0, b""
        if connection is not None and sent_at:
            received, start = connection.received, connection.start
        stale = (
            connection is not None
            and connection.answered > 0
            and connection.received == 0
            and failed.kind in ("closed", "reset")
            and (program.idempotent or not connection.written)
        )
        self.disconnect(user)
        if stale and not user.retried:
            user.retried = 1
            user.asked_at = self._clock()
            program.row.retried += 1
            try:
                self._connect(user)
                return
            except ConnectionFailed as again:
                failed, sent_at, received, start = again, 0, 0, b""
        now = self._clock()
        answer = user.session.answer
        answer.failure, answer.detail = failed.kind, str(failed)
        if not sent_at:
            answer.detail += f" ({self._unix_socket or program.origin.authority})"
        answer.status, answer.start, answer.body = 0, start, b""
        answer.late = (sent_at or now) - user.due
        answer.service = answer.first_byte = now - (sent_at or now)
        answer.sent = len(user.content) if sent_at else 0
        answer.received = received
        user.program = None
        self._reset(user)
        self.ended.append(user)

    @staticmethod
    def _reset(user: VirtualUser) -> None:
        user.sent_at = user.first_byte_at = user.retried = user.token = user.due = 0
