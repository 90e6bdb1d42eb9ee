"""A PostgreSQL connection of trio: psycopg's protocol, waited for by trio's loop.

psycopg's protocol is generators that yield what they wait for; only the waiter knows the loop.
So `Connection` is psycopg's own with another waiter, lock, connect and cancel. It uses private
names of psycopg, which `tests/postgres/test_psycopg_contract.py` holds to their meaning.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Generic, Literal, NamedTuple, Self, TypeVar

import psycopg
import trio
from psycopg import capabilities, pq
from psycopg.abc import Params, PQGen, Query
from psycopg.conninfo import make_conninfo
from psycopg.rows import Row, TupleRow
from psycopg.waiting import Ready, Wait

from stressrun.postgres.settings import set_session
from stressrun.postgres.url import DatabaseUrl, UnreachableError
from stressrun.postgres.waiting import Lock, Result, drive_connecting, wait_for_either
from stressrun.safety.guard import Guard
from stressrun.scenario.model import Database

GRACE = 5.0
"""Seconds that a cancelled statement and a shielded exit get before the connection is given up."""

_BUSY = 0.005
_FIRST_REPEAT = 0.02

Managed = TypeVar("Managed")
Outcome = Literal["applied", "not_applied", "unknown"]

_ACTIVE = pq.TransactionStatus.ACTIVE
_IDLE = pq.TransactionStatus.IDLE
_INERROR = pq.TransactionStatus.INERROR
_FATAL = pq.ExecStatus.FATAL_ERROR
_READ, _READABLE = Wait.R, Ready.R


class Aborted(NamedTuple, Generic[Result]):
    """What became of a statement that was cancelled, and what its generator gave at its end."""

    outcome: Outcome
    result: Result | None


class Cursor(psycopg.AsyncCursor[Row]):
    """psycopg's cursor, whose COPY ends cleanly in a cancelled scope."""

    __slots__ = ()
    _conn: Connection

    @asynccontextmanager
    async def copy(
        self,
        statement: Query,
        params: Params | None = None,
        *,
        writer: psycopg.copy.AsyncWriter | None = None,
    ) -> AsyncIterator[psycopg.AsyncCopy]:
        """Start a COPY; it is undone whole when its block ends by an exception.

        Cancelled while it is being entered, it costs the connection.
        """
        async with _leave_in_time(super().copy(statement, params, writer=writer)) as copy:
            self._conn.copying = True
            try:
                yield copy
            finally:
                self._conn.copying = False


class Connection(psycopg.AsyncConnection[TupleRow]):
    """psycopg's connection, natively on trio; for one task at a time.

    A cancelled scope ends its statement at the server too: `trio.Cancelled` leaves only after
    the server is idle again, or after GRACE seconds with the connection closed.
    """

    cancelled_outcome: Outcome = "not_applied"
    """After a `trio.Cancelled`: what became of the statement.

    `applied`: the server had finished it; `not_applied`: it was never sent, or the server
    refused it; `unknown`: the connection was lost or frozen, and is closed.
    """

    pooled = False
    """Whether a pooler such as PgBouncer stands before the server.

    Then the next statement may meet another server process, and what belongs to a session does not
    hold: its settings, and statements that are prepared by name.
    """

    copying = False
    """Whether a COPY block is open, whose exit ends what a cancellation in it leaves active."""

    expendable = False
    """Whether a cancelled statement costs the connection, and then no time.

    For statements that change nothing: a server that is frozen is not waited for to cancel them.
    """

    def __init__(self, pgconn: pq.abc.PGconn) -> None:
        super().__init__(pgconn)
        self.lock = Lock()
        self.cursor_factory = Cursor
        # psycopg's cache of prepared statements can name some that a cancellation kept from
        # being, and it tidies up in the statement's own time: a session has one of its own.
        self.prepare_threshold = None
        self._busy_since = 0.0

    @classmethod
    async def connect(
        cls, conninfo: str = "", *, autocommit: bool = False, **parameters: Any
    ) -> Self:
        """Connect to the one address that `hostaddr`, or a Unix socket's folder, names."""
        connection = await drive_connecting(cls._connect_gen(make_conninfo(conninfo, **parameters)))
        connection._autocommit = autocommit
        return connection

    async def wait(
        self, gen: PQGen[Result], interval: float = 0.0, timeout: float | None = None
    ) -> Result:
        """Run one of psycopg's generators to its end."""
        self.cancelled_outcome = "not_applied"
        await trio.lowlevel.checkpoint_if_cancelled()
        if timeout is not None:
            with trio.move_on_after(timeout):
                return await self._drive(gen)
            raise psycopg.errors._WaitTimeout
        try:
            return await self._drive(gen)
        except trio.Cancelled:
            if self._active and self.expendable:
                self.cancelled_outcome = "unknown"
                self._give_up()
            elif self._active:
                self.cancelled_outcome = (await self._end(gen)).outcome
            raise

    async def abort(self, generator: PQGen[Result]) -> Aborted[Result]:
        """Have the server end what a generator waits for, and see the generator to its end.

        It cannot be cancelled. After GRACE seconds, and where a transaction would stay open, the
        connection is closed.
        """
        aborted = await self._end(generator)
        if not self.closed and self.pgconn.transaction_status != _IDLE:
            self._give_up()
        return aborted

    async def _drive(self, generator: PQGen[Result], *, resumed: bool = False) -> Result:
        descriptor = self.pgconn.socket
        try:
            wanted = generator.send(Ready.NONE) if resumed else next(generator)
        except StopIteration as finished:
            await self._give_turn_when_due()
            result: Result = finished.value
            return result
        try:
            while True:
                if wanted == _READ:
                    await trio.lowlevel.wait_readable(descriptor)
                    ready, blocked = int(_READABLE), True
                else:
                    await self._give_turn_when_due()
                    ready, blocked = await wait_for_either(descriptor, wanted)
                if blocked:
                    self._busy_since = 0.0
                wanted = generator.send(ready)
        except StopIteration as finished:
            result = finished.value
        except (OSError, trio.ClosedResourceError) as error:
            raise psycopg.OperationalError("the connection's socket is closed") from error
        return result

    async def _give_turn_when_due(self) -> None:
        """Keep work that never blocks, such as a long COPY, from starving the loop's deadlines."""
        now = time.perf_counter()
        if not self._busy_since:
            self._busy_since = now
        elif now - self._busy_since > _BUSY:
            await trio.lowlevel.cancel_shielded_checkpoint()
            self._busy_since = 0.0

    async def _end(self, generator: PQGen[Result]) -> Aborted[Result]:
        """Cancel at the server and wait until it is idle; give the connection up if it is not."""
        outcome: Outcome = "unknown"
        result: Result | None = None
        with trio.move_on_after(GRACE, shield=True):
            try:
                result = await self._finish_cancelled(generator)
                outcome = "not_applied" if self._active or _failed(result) else "applied"
            except psycopg.Error:
                outcome = "not_applied"
        frozen = outcome == "unknown" or (self._active and not self.copying)
        if frozen or self._pipeline is not None:
            self._give_up()
        return Aborted("unknown" if self.closed else outcome, result)

    @property
    def _active(self) -> bool:
        return self.pgconn.transaction_status == _ACTIVE

    async def _finish_cancelled(self, generator: PQGen[Result]) -> Result:
        repeat = _FIRST_REPEAT
        while True:
            await self._request_cancel()
            with trio.move_on_after(repeat):
                return await self._drive(generator, resumed=True)
            # A request that came before the statement had begun is lost: ask again.
            repeat *= 2

    async def _request_cancel(self) -> None:
        # Where this fails, the statement may end all the same; if not, the connection is given up.
        with suppress(psycopg.Error):
            await self.cancel_safe(timeout=GRACE)

    async def cancel_safe(self, *, timeout: float = 30.0) -> None:
        """Ask the server to cancel what this connection runs."""
        if not self._should_cancel():
            return
        with trio.move_on_after(timeout) as scope:
            if capabilities.has_cancel_safe():
                await drive_connecting(self._cancel_gen())
            else:
                await trio.to_thread.run_sync(self.cancel, abandon_on_cancel=True)
        if scope.cancelled_caught:
            raise psycopg.errors.CancellationTimeout("the server did not answer a cancellation")

    @asynccontextmanager
    async def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> AsyncIterator[psycopg.AsyncTransaction]:
        """A transaction block that is rolled back in a cancelled scope too.

        Cancelled while it is being entered, it costs the connection.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        entered = False
        try:
            inner = super().transaction(savepoint_name, force_rollback)
            async with _leave_in_time(inner) as transaction:
                entered = True
                yield transaction
        except trio.Cancelled:
            if not entered:
                self._give_up()
            elif self.pgconn.transaction_status == _INERROR and not self._num_transactions:
                # A COMMIT cancelled half-way leaves the transaction open, in error.
                with trio.move_on_after(GRACE, shield=True):
                    await self.rollback()
            raise

    @asynccontextmanager
    async def pipeline(self) -> AsyncIterator[psycopg.AsyncPipeline]:
        """A pipeline that is synchronised in a cancelled scope too."""
        async with _leave_in_time(super().pipeline()) as pipeline:
            yield pipeline

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        """Commit what is open after a block without exception, and close in any case."""
        try:
            if exc_val is None and not self.closed:
                await self.commit()
        finally:
            await self.close()

    async def close(self) -> None:
        """Close; what is not committed, the server rolls back."""
        if not self.closed:
            self._closed = True
            self._give_up()

    def _give_up(self) -> None:
        if not self.closed:
            trio.lowlevel.notify_closing(self.pgconn.socket)
            self.pgconn.finish()


def _failed(result: object) -> bool:
    """Whether it is an error of the server, which psycopg's own generators do not raise."""
    return isinstance(result, list) and any(
        isinstance(one, pq.PGresult) and one.status == _FATAL for one in result
    )


async def connect(
    url: str,
    *,
    guard: Guard,
    run_id: str,
    timeout: float = 10,
    settings: Database | None = None,
    isolation: str | None = None,
) -> Connection:
    """Connect to a database, in autocommit, as a session that bears the run's name.

    Every address of its host is judged by the guard, and those are connected to, in turn.
    Unix sockets are local and allowed. A session of the load has the timeouts of the `settings`,
    and maybe an isolation level. Raises SetupError, and RefusedError of the guard.
    """
    database = DatabaseUrl.of(url)
    addresses = await database.addresses(guard)
    settings = settings or Database(url)
    failure: psycopg.Error | None = None
    with trio.move_on_after(timeout):
        for address in addresses:
            try:
                return await _open(database.conninfo(address), run_id, settings, isolation)
            except psycopg.Error as error:
                failure = error
    if failure is not None:
        raise database.refused(failure)
    raise UnreachableError(
        f"the database {database} did not answer within {timeout:g} s",
        hint="check its host and port, and any firewall before it",
    )


async def _open(
    conninfo: str, run_id: str, settings: Database, isolation: str | None
) -> Connection:
    name = f"stressrun/{run_id}"
    connection = await Connection.connect(
        conninfo, autocommit=True, application_name=name, client_encoding="utf8"
    )
    try:
        connection.pooled = not await set_session(connection, settings, isolation)
    except BaseException:
        await connection.close()
        raise
    return connection


@asynccontextmanager
async def _leave_in_time(
    manager: AbstractAsyncContextManager[Managed],
) -> AsyncIterator[Managed]:
    """Enter and leave; an exit by an exception gets GRACE seconds, in a cancelled scope too."""
    managed = await manager.__aenter__()
    try:
        yield managed
        await trio.lowlevel.checkpoint_if_cancelled()
    except BaseException as error:
        handled: bool | None = False
        with trio.move_on_after(GRACE, shield=True):
            handled = await manager.__aexit__(type(error), error, error.__traceback__)
        if not handled:
            raise
    else:
        await manager.__aexit__(None, None, None)
