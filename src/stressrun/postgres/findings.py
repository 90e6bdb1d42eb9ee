"""What a stage's watch over the database has found. Seconds, bytes, shares of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from stressrun.metrics.gap import Gap
from stressrun.postgres.statistics import Statistics


@dataclass(frozen=True, slots=True)
class Extent:
    """Of a number that was sampled."""

    max: int
    mean: float


@dataclass(frozen=True, slots=True)
class Connections:
    """Client connections of the whole server, without the monitor's own.

    Ordinary roles can have `limit`, of which at the least so many were free.
    """

    max: int
    mean: float
    least_free: int
    limit: int


@dataclass(frozen=True, slots=True)
class States:
    """Sessions of the database at work, waiting for their client, and doing so in a transaction."""

    active: Extent
    idle: Extent
    idle_in_transaction: Extent


@dataclass(frozen=True, slots=True)
class WaitShare:
    """The share of active sessions that were seen waiting for an event; class `CPU`: for none."""

    wait_class: str
    event: str | None
    share: float


@dataclass(frozen=True, slots=True)
class Party:
    """A side of a lock wait; `statement` is a shape, and of an idle session its last one."""

    pid: int
    application: str
    state: str
    statement: str

    def masked(self, mask: Callable[[str], str]) -> Party:
        return replace(self, application=mask(self.application), statement=mask(self.statement))


@dataclass(frozen=True, slots=True)
class LockPair:
    """Lock waits of one statement for another, on one table; the parties are of the longest.

    Those that were blocked by sessions of another application are another pair.

    `place` is the table, or the kind of lock where it belongs to none or is not known.
    """

    place: str
    count: int
    total: float
    longest: float
    blocker: Party
    waiter: Party


@dataclass(frozen=True, slots=True)
class LockWaits:
    """Lock waits that were seen, each as long as it was seen.

    `estimated` is how long sessions waited in all, as if each sample showed the time since the one
    before it: so waits count, too, that are shorter than that. The `pairs` are those with the most
    waiting; `others` are waits of pairs that are not named.
    """

    count: int
    total: float
    estimated: float
    longest: float
    pairs: tuple[LockPair, ...]
    others: int

    def masked(self, mask: Callable[[str], str]) -> LockWaits:
        pairs = tuple(
            replace(pair, blocker=pair.blocker.masked(mask), waiter=pair.waiter.masked(mask))
            for pair in self.pairs
        )
        return replace(self, pairs=pairs)


@dataclass(frozen=True, slots=True)
class Overlap:
    """Slow requests that were under way while somebody waited for a lock of one place.

    `share` is theirs of all slow requests (None: too few to say); `by_chance` is the share that
    would have overlapped one if they had come at any time of the stage.
    """

    place: str
    count: int
    share: float | None
    by_chance: float


@dataclass(frozen=True, slots=True)
class SlowRequests:
    """Requests that took longer than `over` seconds, and the lock waits that they overlapped.

    `over` is the p99 of http, or above it, so that all slower ones were kept (`is_p99`). Requests
    during a gap are in `unknown` and not in `count`.
    """

    over: float
    is_p99: bool
    count: int
    unknown: int
    overlapping: int
    overlaps: tuple[Overlap, ...]


@dataclass(frozen=True, slots=True)
class StatementCalls:
    """A statement (its shape) with its calls; `per_request` None: there were no requests."""

    statement: str
    calls: int
    seconds: float
    rows: int
    per_request: float | None


@dataclass(frozen=True, slots=True)
class Findings:
    """A stage as the database saw it; None where nothing was seen, or the server cannot tell."""

    samples: int
    gaps: tuple[Gap, ...]
    connections: Connections | None
    states: States | None
    longest_transaction: float | None
    waits: tuple[WaitShare, ...]
    lock_waits: LockWaits
    slow_requests: SlowRequests | None
    statistics: Statistics | None
    statements: tuple[StatementCalls, ...] | None

    def masked(self, mask: Callable[[str], str]) -> Findings:
        """The findings with their texts as `mask` leaves them."""
        statements = None
        if self.statements is not None:
            statements = tuple(
                replace(calls, statement=mask(calls.statement)) for calls in self.statements
            )
        return replace(
            self,
            gaps=tuple(replace(gap, why=mask(gap.why)) for gap in self.gaps),
            lock_waits=self.lock_waits.masked(mask),
            statements=statements,
        )
