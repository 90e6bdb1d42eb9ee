"""A request compiled for one worker: what it sends, what it makes of the answer, its books."""

from __future__ import annotations

import sys
from collections.abc import Container, Mapping
from typing import Protocol

from stressrun.data.render import as_text
from stressrun.http.exchange import answer_text, request_text
from stressrun.http.origin import Origin
from stressrun.http.pieces import Render
from stressrun.http.request import IDEMPOTENT
from stressrun.load.reading import Look, Reading, Unreadable
from stressrun.load.session import Session
from stressrun.metrics.recorder import Row, Sample
from stressrun.metrics.slowest import Slowest
from stressrun.safety.masking import Mask
from stressrun.scenario.model import Request
from stressrun.units import format_duration

# Without an expectation, a status below 400 is a success.
_GOOD = range(100, 400)
_SHORTEST_SECRET = 8


class Program(Protocol):
    """What the lane needs to know of a request that it sends."""

    origin: Origin
    timeout: int
    keep_body: bool
    expects_body: bool
    idempotent: bool
    row: Row


class RequestProgram:
    """A request compiled for one worker, and the row that it is counted in.

    `timeout` is in nanoseconds; `redirects` is how many are followed.
    """

    __slots__ = (
        "_accepted",
        "_reads",
        "_slowest",
        "_within",
        "expects_body",
        "idempotent",
        "keep_body",
        "looks",
        "origin",
        "redirects",
        "render",
        "row",
        "timeout",
    )

    def __init__(
        self,
        request: Request,
        *,
        render: Render,
        looks: list[Look],
        row: Row,
        slowest: Slowest,
        origin: Origin,
    ) -> None:
        self.render = render
        self.row = row
        self._slowest = slowest
        self.origin = origin
        self.timeout = round(request.timeout * 1e9)
        self.redirects = request.redirects
        self.idempotent = request.method in IDEMPOTENT
        self.expects_body = request.method != "HEAD"
        self.keep_body = bool(looks)
        self.looks = looks
        self._reads = [look.read for look in looks]
        self._accepted: Container[int] = frozenset(request.expect.statuses) or _GOOD
        within = request.expect.within
        self._within = sys.maxsize if within is None else round(within * 1e9)

    def settle(
        self, session: Session, content: bytes, index: int, variables: dict[str, object]
    ) -> str | None:
        """Judge the answer to a request and count it; the kind of failure, or None.

        What is captured goes into `variables`.
        """
        answer = session.answer
        service = answer.service
        response = answer.late + service
        if response > self._slowest.limit:
            self._slowest.keep(response)
        if answer.lag:
            self.row.lag(response, answer.lag)
            answer.lag = 0
        error = answer.failure
        if error is None:
            if answer.status not in self._accepted:
                error, answer.detail = f"status {answer.status}", ""
            elif service > self._within:
                error, answer.detail = "slow", f"it took {format_duration(service / 1e9)}"
            elif self._reads:
                error = self._look(session, index, variables)
        if error is None:
            self.row.succeed(service, response, answer.sent, answer.received, answer.first_byte)
            return None
        self.row.fail(
            error,
            service if answer.sent else None,
            response,
            answer.sent,
            answer.received,
            answer.first_byte,
        )
        if self.row.wants_sample(error):
            self._keep(session, content, error, variables)
        return error

    def _look(self, session: Session, index: int, variables: dict[str, object]) -> str | None:
        reading = Reading(session)
        try:
            for read in self._reads:
                read(reading, index, variables)
        except Unreadable as unreadable:
            session.answer.detail = unreadable.detail
            return unreadable.kind
        except RecursionError:
            session.answer.detail = ""
            return "expect: nested too deeply"
        return None

    def _keep(
        self, session: Session, content: bytes, error: str, variables: Mapping[str, object]
    ) -> None:
        answer = session.answer
        body = answer.body if self.keep_body else None
        hide = Mask(_of_login(variables)).text
        self.row.keep(
            Sample(
                error,
                hide(answer.detail),
                hide(request_text(content)),
                hide(answer_text(answer.start, body)) if answer.start else "",
            )
        )


def _of_login(variables: Mapping[str, object]) -> list[str]:
    """What a login gave, wherever a service or a scenario puts it: it proves who asks."""
    values = [as_text(variables[name]) for name in variables if name.startswith("login.")]
    # A shorter one would be found in texts that have nothing to do with it.
    return [value for value in values if len(value) >= _SHORTEST_SECRET]
