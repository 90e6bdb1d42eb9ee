"""The steps of an iteration: generators that yield what their virtual user wants.

They want a request sent, or to pause for so many nanoseconds; what came of a request stands in
the session's answer. They keep the books of their rows, and know no socket, clock or scheduler.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from random import Random
from typing import Protocol

from stressrun.data.pools import draw_pool
from stressrun.load.program import Program, RequestProgram
from stressrun.load.redirects import next_hop
from stressrun.load.session import Session
from stressrun.scenario.model import Think

Wish = tuple[Program, bytes] | int
Doing = Generator[Wish, None, str | None]

# Far enough apart that no repetition of a step uses the data of another iteration, as long as
# there are not more than 8,192 of them in one.
_REPETITION = 2**50 + 1
_INDICES = 2**63


class Flow:
    """Steps under way: whose they are, their data, and what their requests took so far.

    The times and sizes are sums over the requests; `unauthorized`: one was answered by 401.
    `late_login` is how late a login before them was, which the first of them is to count, with
    `lag_login` of it; `lag` is what of their times was the generator's own.
    """

    __slots__ = (
        "index",
        "lag",
        "lag_login",
        "late",
        "late_login",
        "received",
        "requests",
        "sent",
        "service",
        "session",
        "unauthorized",
        "variables",
    )

    def __init__(self, session: Session, index: int) -> None:
        self.session = session
        self.index = index
        self.variables: dict[str, object] = {}
        self.requests = 0
        self.late = 0
        self.late_login = 0
        self.lag = 0
        self.lag_login = 0
        self.service = 0
        self.sent = 0
        self.received = 0
        self.unauthorized = False


class Step(Protocol):
    """A part of an iteration."""

    def run(self, flow: Flow) -> Doing:
        """Do the step; returns the kind of failure, or None."""


class RequestStep:
    """Sends a request, and what a redirection asks for where that is wanted."""

    __slots__ = ("_program",)

    def __init__(self, program: RequestProgram) -> None:
        self._program = program

    def run(self, flow: Flow) -> Doing:
        program, session = self._program, flow.session
        row = program.row
        row.planned += 1
        flow.requests += 1
        try:
            content = program.render(flow.index, flow.variables)
        except KeyError as missing:
            return row.refuse(f"no value for {missing.args[0]}")
        try:
            sent = yield from _send(program, content, session)
            if program.redirects:
                sent = yield from _follow(program, content, sent, session)
        except GeneratorExit:
            row.interrupted += 1
            raise
        answer = session.answer
        answer.late += flow.late_login
        answer.lag += flow.lag_login
        flow.late_login = flow.lag_login = 0
        flow.lag += answer.lag
        error = program.settle(session, sent, flow.index, flow.variables)
        flow.late += answer.late
        flow.service += answer.service
        flow.sent += answer.sent
        flow.received += answer.received
        flow.unauthorized |= answer.status == 401
        return error


def _send(program: Program, content: bytes, session: Session) -> Generator[Wish, None, bytes]:
    """Send a request with the cookies that belong to it; returns what was sent."""
    sent = session.with_cookies(content, program.origin)
    yield program, sent
    if session.keeps_cookies:
        session.store_cookies(content, program.origin)
    return sent


def _follow(
    program: RequestProgram, content: bytes, last: bytes, session: Session
) -> Generator[Wish, None, bytes]:
    """Follow redirections; the answer then has the last one's status and the times of all.

    `last` is what was sent; returns what was sent last.
    """
    answer = session.answer
    late, service, sent, received = 0, 0, 0, 0
    hop: Program = program
    for _ in range(program.redirects):
        following = next_hop(hop, content, answer)
        if following is None:
            break
        program.row.redirected += 1
        hop, content = following
        late, service = late + answer.late, service + answer.service
        sent, received = sent + answer.sent, received + answer.received
        last = yield from _send(hop, content, session)
    else:
        if next_hop(hop, content, answer) is not None:
            answer.failure, answer.detail = "too many redirects", f"{program.redirects} followed"
    answer.late += late
    answer.service += service
    answer.first_byte += service
    answer.sent += sent
    answer.received += received
    return last


class PauseStep:
    """A think time, drawn before load."""

    __slots__ = ("_length",)

    def __init__(self, think: Think, seed: int, site: str) -> None:
        def draw(random: Random) -> int:
            return round(random.uniform(think.shortest, think.longest) * 1e9)

        self._length = draw_pool(draw, seed, site)

    def run(self, flow: Flow) -> Doing:
        yield self._length(flow.index)
        return None


class GroupStep:
    """Steps done several times, each time only where a condition holds.

    `repetitions` is how often the steps within are done at most, groups in groups among them.
    """

    __slots__ = ("_apart", "_repeat", "_steps", "_when", "repetitions")

    def __init__(
        self,
        steps: Sequence[Step],
        repeat: int,
        when: Callable[[int, Mapping[str, object]], bool] | None,
    ) -> None:
        self._steps = steps
        self._repeat = repeat
        self._when = when
        inner: int = max(
            (step.repetitions for step in steps if isinstance(step, GroupStep)), default=1
        )
        self._apart = inner * _REPETITION
        self.repetitions: int = inner * repeat

    def run(self, flow: Flow) -> Doing:
        index = flow.index
        for repetition in range(self._repeat):
            flow.index = (index + repetition * self._apart) % _INDICES
            try:
                if self._when is not None and not self._when(flow.index, flow.variables):
                    continue
            except KeyError:
                continue  # what it asks for was not captured
            for step in self._steps:
                error = yield from step.run(flow)
                if error is not None:
                    return error
        flow.index = index
        return None
