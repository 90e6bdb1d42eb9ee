"""Looks at a server put together by hand, and what the tests on a real one share.

Instants are milliseconds here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from stressrun.postgres.connection import Connection
from stressrun.postgres.observation import Backend, Sample, Sessions, Waiter

MS = 1_000_000

Connecting = Callable[[str], Awaitable[Connection]]


def waiter(
    pid: int,
    *blockers: int,
    on: str | None = "products",
    lock: str = "row",
    since: float = 1,
    waited: float | None = 0,
) -> Waiter:
    """A session that waits; how long, in milliseconds."""
    seconds = None if waited is None else waited / 1000
    return Waiter(pid, blockers, lock, on, since, seconds)


def look(
    at: int,
    *waiters: Waiter,
    clients: int = 5,
    hidden: int = 0,
    sessions: tuple[Sessions, ...] = (),
    statements: Mapping[int, str] | None = None,
    ages: Mapping[int, float] | None = None,
    longest_transaction: float | None = None,
) -> Sample:
    pids = {waiter.pid for waiter in waiters}.union(*(waiter.blockers for waiter in waiters))
    backends = {
        pid: Backend(
            application=f"app {pid}",
            state="active",
            statement=(statements or {}).get(pid, "update"),
            transaction_age=(ages or {}).get(pid, 1.0),
        )
        for pid in pids - {0}
    }
    return Sample(at * MS, clients, hidden, longest_transaction, sessions, waiters, backends)
