"""What a virtual user does in one iteration: an endpoint's steps, and the books of the endpoint."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from stressrun.data.feeders import Exhausted, RowSource
from stressrun.load.login import LoginProgram
from stressrun.load.program import RequestProgram
from stressrun.load.session import EQUALS, Session
from stressrun.load.steps import Doing, Flow, Step, Wish
from stressrun.metrics.recorder import Row

Iteration = Generator[Wish, None, None]


@dataclass(frozen=True, slots=True)
class EndpointProgram:
    """An endpoint compiled for one worker; `row` counts its iterations.

    `single` is its request where it is nothing but one request with data of its own; `several`:
    its steps have rows of their own.
    """

    row: Row
    steps: Sequence[Step]
    several: bool
    single: RequestProgram | None
    sources: Sequence[RowSource]
    login: LoginProgram | None

    def iterate(self, session: Session, index: int) -> Iteration:
        """One iteration with the data of `index`, in the books from its first step to its end."""
        if session.forgets_cookies:
            session.cookies = None
        if self.single is not None:
            return _single(self.single, session, index)
        return _flow(self, session, index)


def _single(program: RequestProgram, session: Session, index: int) -> Iteration:
    program.row.planned += 1
    variables: dict[str, object] = {}
    content = sent = program.render(index, variables)
    try:
        if session.cookies is not None:
            sent = session.with_cookies(content, program.origin)
        yield program, sent
    except GeneratorExit:
        program.row.interrupted += 1
        raise
    # A cookie has an equals sign, which most short answers have not.
    if session.keeps_cookies and EQUALS in session.answer.start:
        session.store_cookies(content, program.origin)
    program.settle(session, sent, index, variables)


def _flow(endpoint: EndpointProgram, session: Session, index: int) -> Iteration:
    # The row of an endpoint with one request is that request's: its step counts in it.
    row = endpoint.row if endpoint.several else None
    if row is not None:
        row.planned += 1
    flow = Flow(session, index)
    try:
        error = yield from _steps(endpoint, flow)
    except GeneratorExit:
        if row is not None:
            row.interrupted += 1
        elif not flow.requests:  # in its login
            endpoint.row.planned += 1
            endpoint.row.interrupted += 1
        raise
    if endpoint.login is not None and flow.unauthorized:
        endpoint.login.expire(flow)
    if row is not None:
        _count(row, flow, error)
    elif error is not None and not flow.requests:
        endpoint.row.planned += 1
        endpoint.row.refuse(error)


def _steps(endpoint: EndpointProgram, flow: Flow) -> Doing:
    try:
        for source in endpoint.sources:
            source.draw(flow.index, flow.variables)
        if endpoint.login is not None:
            error = yield from endpoint.login.ensure(flow)
            if error is not None:
                return error
    except Exhausted as exhausted:
        return str(exhausted)
    for step in endpoint.steps:
        error = yield from step.run(flow)
        if error is not None:
            return error
    return None


def _count(row: Row, flow: Flow, error: str | None) -> None:
    response = flow.late + flow.service
    if error is not None and not response:
        row.refuse(error)
    elif not flow.requests:
        row.succeeded += 1  # its conditions left out every request: there is no time to tell
    elif error is None:
        row.succeed(flow.service, response, flow.sent, flow.received)
    else:
        service = flow.service if flow.sent else None
        row.fail(error, service, response, flow.sent, flow.received)
    if flow.lag and response:
        row.lag(response, flow.lag)
