"""The server of a mock: one loop over an epoll, with all that is due in it.

It sends each answer when it is due, and notes how much later it did. Instants are nanoseconds of
the monotonic clock.
"""

from __future__ import annotations

import errno
import socket
import time
from collections import Counter
from contextlib import suppress

from stressrun.data.bounded import TookTooLong
from stressrun.http.poller import READ, Poller
from stressrun.metrics.mock_calls import MockCalls, RouteCalls
from stressrun.scenario.model import MockService
from stressrun.services.mock.answers import closing, plain
from stressrun.services.mock.connection import Answer, Connection
from stressrun.services.mock.control import Control
from stressrun.services.mock.due import NEVER, Due
from stressrun.services.mock.request import Request
from stressrun.services.mock.route import Outcome, Route

_TICK = 20_000_000
_PIECES = 10
_MOST_ACCEPTED = 100
# Until a connection may have been closed, where no more can be opened.
_REST = 100_000_000
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Server:
    """Answers the clients of a listening socket as a mock's routes say, and obeys the controller.

    It ends when the controller is gone, unless it `stays` then.
    """

    def __init__(
        self,
        mock: MockService,
        seed: int,
        listener: socket.socket,
        control: Control,
        *,
        stays: bool,
    ) -> None:
        self._routes = [
            Route(route, seed, f"mock.{mock.name}.{number}")
            for number, route in enumerate(mock.routes)
        ]
        self._offered = ", ".join(route.on for route in mock.routes)
        self._listener = listener
        self._control = control
        self._stays = stays
        self._poller = Poller()
        self._connections: dict[int, Connection] = {}
        self._due = Due()
        self._over = False
        self._listens_again = NEVER
        self._next_tick = NEVER
        self._upcoming: tuple[int, str] | None = None
        self._is_on = False
        self._is_asked = False
        self._outside: Counter[str] = Counter()
        self._calls = MockCalls()
        self._begin(None, time.monotonic_ns())

    def run(self) -> None:
        """Serve until the controller is gone."""
        poller, clock = self._poller, time.monotonic_ns
        self._listener.setblocking(False)
        poller.register(self._listener.fileno(), READ)
        poller.register(self._control.descriptor, READ)
        while not self._over:
            poller.arm(self._next_instant())
            events = poller.poll(-1)
            now = clock()
            self._look_at_the_clock(now)
            for descriptor, happened in events:
                connection = self._connections.get(descriptor)
                if connection is not None:
                    connection.happened(happened, now)
                    self._forget_if_closed(connection)
                else:
                    self._beside_connections(descriptor)
            self._send_due(clock())
            if self._is_asked:
                # After all that has come before it was asked, had it been asleep until now.
                self._is_asked = False
                self._tell(clock())

    # What connections ask for.

    def serve(self, connection: Connection, request: Request, keeps: bool) -> None:
        """Give a connection its answer; `keeps`: it is not the last one."""
        route, outcome = self._outcome(request)
        answer = _answer(connection, request, route, outcome, keeps)
        connection.answer(answer)
        if outcome.fault == "hang":
            return
        if outcome.delay:
            self.later(answer)
        else:
            self._make_ready(answer, time.monotonic_ns())

    def _outcome(self, request: Request) -> tuple[Route | None, Outcome]:
        """What becomes of a request, by the first route that it fits."""
        for route in self._routes:
            try:
                variables = route.variables(request)
            except TookTooLong as error:
                # Whether it fits is not known, so that no other route may answer in its place.
                self.refuse(f"too slow a pattern of {route.name}")
                return None, Outcome(plain(500, f"a pattern of {route.name}: {error}"), 0)
            if variables is not None:
                return route, route.call(request, variables)
        asked = f"{request.method} {request.path}"
        self._calls.miss(asked)
        text = f"the mock has no route for {asked}: {self._offered}"
        return None, Outcome(plain(404, text), 0)

    def refuse(self, kind: str) -> None:
        """Count what could not be answered."""
        self._calls.refused[kind] += 1

    def later(self, answer: Answer) -> None:
        """Make an answer ready when it is due, and have it sent."""
        self._due.add(answer)

    def _make_ready(self, answer: Answer, now: int) -> None:
        answer.ready = True
        if answer.books is not None:
            answer.books.lag.record(max(0, now - answer.due))
            # The rest of a slow body is no news: it is as late as the client makes it.
            answer.books = None

    def _send_due(self, now: int) -> None:
        while self._due.next_instant <= now:
            answer = self._due.take()
            connection = answer.connection
            if not connection.closed:
                self._make_ready(answer, time.monotonic_ns())
                connection.flush()
                self._forget_if_closed(connection)

    # The loop.

    def _next_instant(self) -> int:
        instant = min(self._next_tick, self._listens_again, self._due.next_instant)
        return instant if self._upcoming is None else min(instant, self._upcoming[0])

    def _look_at_the_clock(self, now: int) -> None:
        if now >= self._next_tick:
            self._calls.loop_lag.record(now - self._next_tick)
            self._next_tick = now + _TICK
        if self._upcoming is not None and now >= self._upcoming[0]:
            self._enter(now)
        if now >= self._listens_again:
            self._listens_again = NEVER
            self._poller.modify(self._listener.fileno(), READ)

    def _beside_connections(self, descriptor: int) -> None:
        if descriptor == self._listener.fileno():
            self._accept()
        elif descriptor == self._control.descriptor:
            self._obey()
        else:
            self._poller.timer_fired()

    def _accept(self) -> None:
        for _ in range(_MOST_ACCEPTED):
            try:
                client, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self.refuse("out of file descriptors")
                    self._poller.modify(self._listener.fileno(), 0)
                    self._listens_again = time.monotonic_ns() + _REST
                return
            with suppress(OSError):  # gone before it said anything
                connection = Connection(client, self._poller, self)
                self._connections[connection.descriptor] = connection

    def _forget_if_closed(self, connection: Connection) -> None:
        if connection.closed and self._connections.get(connection.descriptor) is connection:
            del self._connections[connection.descriptor]

    # The controller.

    def _obey(self) -> None:
        orders = self._control.receive()
        if orders is None:
            self._over = not self._stays
            self._poller.unregister(self._control.descriptor)
            return
        for order in orders:
            if order["do"] == "stage":
                self._upcoming = order["start"], order["name"]
                self._look_at_the_clock(time.monotonic_ns())
            elif order["do"] == "end":
                self._is_asked = True
            elif order["do"] == "set back":
                for route in self._routes:
                    route.set_back()

    def _enter(self, now: int) -> None:
        """Begin the stage that is to begin, late by what is noted of it."""
        assert self._upcoming is not None
        start, stage = self._upcoming
        self._upcoming = None
        self._begin(stage, start)
        self._calls.loop_lag.record(max(0, now - start))
        self._next_tick = now + _TICK

    def _begin(self, stage: str | None, start: int) -> None:
        """Count anew; a stage begins, or with None what is outside of all."""
        if not self._is_on:
            self._outside.update(self._calls.unmatched)
        self._is_on = stage is not None
        self._calls = MockCalls()
        self._since = start, time.process_time()
        for route in self._routes:
            route.books = RouteCalls()
            route.enter(stage)

    def _tell(self, now: int) -> None:
        """Tell what was counted in the stage, which has ended, or what went wrong outside."""
        if self._upcoming is not None:
            self._enter(now)
        for connection in self._connections.values():
            connection.end_stage()
        calls, is_on = self._calls, self._is_on
        start, cpu = self._since
        calls.seconds, calls.cpu_seconds = max(0, now - start) / 1e9, time.process_time() - cpu
        calls.routes = {route.name: route.books for route in self._routes}
        self._begin(None, now)
        self._next_tick = NEVER
        if not is_on:
            calls = MockCalls(unmatched=self._outside)
        with suppress(OSError):  # its end is told by the descriptor
            self._control.send({"said": "calls", "calls": calls.wire()})


def _answer(
    connection: Connection, request: Request, route: Route | None, outcome: Outcome, keeps: bool
) -> Answer:
    """An outcome as what is sent, and when."""
    content, head, status = outcome.message
    fault = outcome.fault
    books = None if route is None else route.books
    if books is not None and fault in ("", "truncate", "slow_body"):
        books.statuses[status] += 1
    if request.method == "HEAD":
        content = content[:head]
    if not keeps:
        head += len(closing(content)) - len(content)
        content = closing(content)
    parts, pause = [content], 0
    if fault in ("reset", "close", "hang"):
        parts = []
    elif fault == "truncate":
        parts = [content[: _middle(content, head)]]
    elif fault == "slow_body":
        parts = _pieces(content, head)
        pause = round(outcome.seconds * 1e9 / max(1, len(parts) - 1))
    ends = not keeps or fault in ("close", "truncate")
    due = request.arrival + outcome.delay
    return Answer(connection, parts, due, books, fault=fault, ends=ends, pause=pause)


def _middle(content: bytes, head: int) -> int:
    """Where to cut: in the body, or in the head of an answer that has none."""
    return (head + len(content)) // 2 if len(content) > head else head // 2


def _pieces(content: bytes, head: int) -> list[bytes]:
    """The head, and the body in pieces; an answer without a body is in pieces as a whole."""
    start = head if len(content) > head else 1
    size = -(-(len(content) - start) // _PIECES)
    pieces = [content[at : at + size] for at in range(start, len(content), size)]
    return [content[:start], *pieces]
