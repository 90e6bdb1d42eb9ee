"""What a look at the server shows: its sessions, and who of them waits for whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Backend(NamedTuple):
    """A server process that waits for a lock, or that keeps another one waiting.

    `statement` is what it runs, or ran last; the age of its transaction is in seconds.
    """

    application: str
    state: str
    statement: str
    transaction_age: float


class Waiter(NamedTuple):
    """A session that waits for a lock.

    `blockers` are whom it waits for; `lock` is the kind, `relation` the table where it is known.
    `since` tells this wait from others of the session. How long it has `waited` is in seconds;
    None: the version does not say, and `since` is its statement's.
    """

    pid: int
    blockers: tuple[int, ...]
    lock: str
    relation: str | None
    since: float
    waited: float | None


class Sessions(NamedTuple):
    """So many sessions of the database in one state, with one wait; no class: they do not wait."""

    state: str | None
    wait_class: str | None
    wait_event: str | None
    number: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the server, without the session that looks.

    Its `instant` is in nanoseconds of the monotonic clock. `clients` are connected to the whole
    server; all else is of one database. The sessions of `hidden` clients cannot be seen into. The
    longest transaction is in seconds.
    """

    instant: int
    clients: int
    hidden: int
    longest_transaction: float | None
    sessions: tuple[Sessions, ...]
    waiters: tuple[Waiter, ...]
    backends: Mapping[int, Backend]

    def holders(self) -> dict[int, int]:
        """By waiter the blocker that keeps it waiting: the one with the oldest transaction.

        One that only stands before it in the queue for the same table is passed over for the one
        that it waits for itself.
        """
        waiting = {waiter.pid: waiter for waiter in self.waiters}
        direct = {waiter.pid: self._oldest(waiter.blockers) for waiter in self.waiters}
        return {waiter.pid: _head(waiter, waiting, direct) for waiter in self.waiters}

    def _oldest(self, blockers: tuple[int, ...]) -> int:
        if len(blockers) == 1:
            return blockers[0]

        def rank(pid: int) -> tuple[float, int]:
            backend = self.backends.get(pid)
            return (-backend.transaction_age if backend else 0.0, pid)

        return min(blockers, key=rank)


def _head(waiter: Waiter, waiting: Mapping[int, Waiter], direct: Mapping[int, int]) -> int:
    """The blocker at the head of the queue in which a waiter stands."""
    passed = {waiter.pid}
    blocker = direct[waiter.pid]
    while (
        (ahead := waiting.get(blocker)) is not None
        and ahead.relation == waiter.relation is not None
        and blocker not in passed
    ):
        passed.add(blocker)
        blocker = direct[blocker]
    # Those of a deadlock wait in a circle.
    return blocker if blocker not in passed else direct[waiter.pid]
