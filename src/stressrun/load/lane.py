"""A lane: one trio task that drives many virtual users and their connections.

The virtual users say what they want; the lane has it sent, waits, and lets them go on when it has
come to an end. Instants are nanoseconds of the monotonic clock.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from heapq import heappop, heappush

import trio

from stressrun.http.poller import Poller
from stressrun.http.resolver import Resolver
from stressrun.load.assignment import REST, Assignment
from stressrun.load.session import Session
from stressrun.load.ticks import Ticks
from stressrun.load.transfers import Transfers, VirtualUser
from stressrun.metrics.recorder import Recorder
from stressrun.scenario.model import Http

# Trio gets a turn this often at least: enough for news and orders, and each one costs.
_TURN = 5_000_000
_TURN_SECONDS = _TURN / 1e9
# Of starting what is due without reading an answer in between.
_MOST_STARTING = 1_000_000
_FINEST_CHECK, _COARSEST_CHECK = 1_000_000, 50_000_000


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
        self._clock = clock
        self._recorder = recorder
        self._poller = Poller()
        self._transfers = Transfers(http, resolver, recorder, self._poller, tls=tls, clock=clock)
        self._ticks = Ticks(recorder.loop_lag)
        shortest = min(shortest_timeout, http.connect_timeout)
        self._check_interval = max(_FINEST_CHECK, min(_COARSEST_CHECK, round(shortest * 1e9 / 20)))
        self._idle: list[VirtualUser] = []
        self._retired: list[VirtualUser] = []
        self._busy: set[VirtualUser] = set()
        self._thinking: list[tuple[int, int, VirtualUser]] = []
        self._naps = 0
        self._free_since = 0
        # Whether a user goes straight on to its next iteration.
        self._renews = True
        self.most_running = 0

    async def run(self, work: Assignment) -> None:
        """Run a stage until its executor's end and until its iterations have ended.

        Cancelled, it interrupts the iterations that are left. Arrivals that did not start by
        the end are dropped.
        """
        self._free_since = 0
        self._renews = self._http.reuse == "vu" and not work.executor.counts_per_vu
        self.most_running = 0
        try:
            async with trio.open_nursery() as self._transfers.nursery:
                await self._drive(work)
                self._transfers.nursery.cancel_scope.cancel()
        finally:
            self._ticks.stop()
            for user in list(self._busy):
                self._interrupt(user, work)
            self._transfers.forget_all()
            self._thinking.clear()
            self._idle += self._retired
            self._retired.clear()
            work.drop(work.executor.drop(min(self._clock(), work.executor.end)))

    def wake(self) -> None:
        """Look at once at an executor whose end was moved."""
        self._poller.wake()

    def close(self) -> None:
        """Close all connections."""
        for user in [*self._idle, *self._busy]:
            self._transfers.disconnect(user)
        self._poller.close()

    async def _drive(self, work: Assignment) -> None:
        executor, clock = work.executor, self._clock
        poller, transfers, ticks = self._poller, self._transfers, self._ticks
        last_turn = clock()
        ticks.start(last_turn)
        next_check = last_turn + self._check_interval
        quiet = False
        events: list[tuple[int, int]] = []
        while True:
            now = clock()
            if now >= ticks.next and (late := ticks.passed(now)):
                transfers.stalled(late)
            # While nothing waits to be sent: that would count from the last time of its user.
            if now >= next_check:
                transfers.end_overdue(list(self._busy), now)
                next_check = now + self._check_interval
            while self._thinking and self._thinking[0][0] <= now:
                user = heappop(self._thinking)[2]
                if user.iteration is None:
                    self._renew(user, work, now)
                elif not self._advance(user, work):
                    self._ended(user, work, now)
            for user in transfers.take_ended():
                if not self._advance(user, work):
                    self._ended(user, work, now)
            # After what may have freed a virtual user: nothing else would wake for the next start.
            self._drop_overdue(work, now)
            more = self._start_due(work, now + _MOST_STARTING)
            transfers.flush()
            if now >= executor.end and not more:
                executor.close()
            if executor.closed and not self._busy:
                return
            if now - last_turn > _TURN:
                # Here, when what is due has been started, it keeps the least waiting.
                await trio.lowlevel.checkpoint()
                last_turn = clock()
            # Where events come in crowds, there is no wait to prepare for.
            more = more or bool(transfers.ended)
            events = poller.poll(0) if more or len(events) > 1 else []
            if not events and not more:
                poller.arm(self._next_instant(now, work, next_check))
                if quiet:
                    await poller.wait()
                    last_turn, quiet = clock(), False
                    events = poller.poll(0)
                else:
                    # Cheaper than a turn of trio's for each event, as long as events keep coming.
                    events = poller.poll(_TURN_SECONDS)
                    quiet = not events
            transfers.ready(events)

    def _start_due(self, work: Assignment, until: int) -> bool:
        """Start what is due; True when `until` has come with more of it."""
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
            self._begin(user, work, taken)
        return False

    def _drop_overdue(self, work: Assignment, now: int) -> None:
        """Drop what is too late to start."""
        for number, due in work.executor.overdue(now):
            work.drop((number,))
            if due >= self._free_since and len(self._busy) < work.max_vus:
                self._recorder.missed += 1

    def _begin(self, user: VirtualUser, work: Assignment, taken: tuple[int, int]) -> None:
        """Begin the iteration that the executor gave."""
        number, due = taken
        table = work.table
        endpoint = work.endpoints[table[number % len(table)]]
        user.number = number
        user.iteration = endpoint.iterate(user.session, work.offset + number)
        keeps_time = work.executor.keeps_time
        user.due = due if keeps_time else 0
        # Late because every virtual user was busy is the target's doing, not the generator's.
        user.counts_lag = keeps_time and due >= self._free_since
        if not self._advance(user, work):
            if keeps_time:
                self._finish(user, work)
            else:
                self._rest(user, self._clock())

    def _advance(self, user: VirtualUser, work: Assignment) -> bool:
        """Let a user's iteration go on; False when it has ended."""
        assert user.iteration is not None
        wish = next(user.iteration, None)
        if wish is None:
            return False
        if isinstance(wish, int):
            now = self._clock()
            # Where it thinks before it sends anything, its late start still counts. A later
            # request is due at the end of the pause, and late by the generator alone.
            user.counts_lag = user.counts_lag or not user.due
            user.due = (user.due or now) + wish
            self._wake_at(user, now + wish)
        else:
            program, content = wish
            self._transfers.ask(user, program, content)
        return True

    def _ended(self, user: VirtualUser, work: Assignment, now: int) -> None:
        """Let a user whose iteration has ended go on to the next."""
        if user.session.answer.sent or work.executor.keeps_time:
            self._renew(user, work, now)
        else:
            self._rest(user, now)

    def _rest(self, user: VirtualUser, now: int) -> None:
        user.iteration = None
        self._wake_at(user, now + round(REST * 1e9))

    def _wake_at(self, user: VirtualUser, instant: int) -> None:
        self._naps += 1
        heappush(self._thinking, (instant, self._naps, user))

    def _renew(self, user: VirtualUser, work: Assignment, now: int) -> None:
        """Give a user whose iteration has ended the next one, if there is one for it."""
        running = len(self._busy)
        if running >= work.max_vus:
            self._free_since = now
        taken = work.executor.take(now, running - 1) if self._renews else None
        if taken is None:
            self._finish(user, work)
        else:
            self._begin(user, work, taken)

    def _finish(self, user: VirtualUser, work: Assignment) -> None:
        user.iteration = None
        if self._http.reuse != "vu":
            self._transfers.disconnect(user)
        if len(self._busy) >= work.max_vus:
            self._free_since = self._clock()
        self._busy.discard(user)
        # The executor keeps its own virtual users in step with ours: the last idle is the next.
        if work.executor.counts_per_vu and not work.executor.finished(user.number):
            self._retired.append(user)
        else:
            self._idle.append(user)

    def _interrupt(self, user: VirtualUser, work: Assignment) -> None:
        """End an iteration that has no time left."""
        if user.iteration is not None:
            user.iteration.close()
        self._transfers.abandon(user)
        self._finish(user, work)

    def _next_instant(self, now: int, work: Assignment, next_check: int) -> int:
        executor = work.executor
        instant = next_check if self._busy or executor.closed else executor.end
        if self._ticks.next < instant:
            instant = self._ticks.next
        if not executor.closed and executor.end < instant:
            instant = executor.end
        if self._thinking and self._thinking[0][0] < instant:
            instant = self._thinking[0][0]
        if len(self._busy) < work.max_vus:
            wake = executor.wake(now)
            if wake is not None and wake < instant:
                instant = wake
        return instant
