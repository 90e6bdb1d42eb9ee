"""What a virtual user does in one iteration: a generator that yields what it wants.

It is sent what happened, keeps the books of its rows, and knows no socket, clock or scheduler.
Times are nanoseconds.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from random import Random

from stressrun.data.jsonpath import JsonPath
from stressrun.data.pools import draw_pool
from stressrun.http.request import IDEMPOTENT, Render, compile_request
from stressrun.metrics.recorder import Recorder, Row
from stressrun.scenario.model import Endpoint, Expect, Request, Think


@dataclass(slots=True)
class Send:
    """Send these bytes and give me the answer."""

    content: bytes
    program: RequestProgram


@dataclass(slots=True)
class Pause:
    """Wake me after so many nanoseconds."""

    length: int


@dataclass(slots=True)
class Response:
    """An answer. `late` is from the intended start to the send, `service` from there to the end."""

    status: int
    body: bytes
    late: int
    service: int
    sent: int
    received: int
    retried: int


@dataclass(slots=True)
class Failure:
    """No answer, and why; the times are as in `Response`."""

    kind: str
    late: int
    service: int
    sent: int
    received: int
    retried: int


Wish = Send | Pause
Iteration = Generator[Wish, Response | Failure | None, None]


class RequestProgram:
    """A request compiled for one worker, and the row that it is counted in."""

    __slots__ = (
        "_captures",
        "_expect",
        "_within",
        "expects_body",
        "idempotent",
        "keep_body",
        "render",
        "row",
    )

    def __init__(self, request: Request, render: Render, row: Row) -> None:
        self.render = render
        self.row = row
        self.idempotent = request.method in IDEMPOTENT
        self.expects_body = request.method != "HEAD"
        self.keep_body = bool(request.captures)
        self._captures = request.captures
        self._expect = request.expect.statuses
        self._within = _nanoseconds(request.expect)

    def judge(self, response: Response, variables: dict[str, object]) -> str | None:
        """The kind of failure, or None; captures into `variables`."""
        if self._expect:
            if response.status not in self._expect:
                return f"status {response.status}"
        elif response.status >= 400:
            return f"status {response.status}"
        if self._within is not None and response.service > self._within:
            return "slow"
        if self._captures:
            return _capture(self._captures, response.body, variables)
        return None


def _nanoseconds(expect: Expect) -> int | None:
    return None if expect.within is None else round(expect.within * 1e9)


def _capture(
    captures: Sequence[tuple[str, JsonPath]], body: bytes, variables: dict[str, object]
) -> str | None:
    try:
        document = json.loads(body)
        for name, path in captures:
            variables[name] = value = path.find(document)
            if isinstance(value, str):
                value.encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair: it could be sent in no later request.
        return f"capture: {name} is not text"
    except (ValueError, RecursionError):
        return "capture: the body is not JSON"
    except LookupError:
        return f"capture: no {name}"
    return None


class PauseProgram:
    """A think time, drawn before load."""

    __slots__ = ("_length",)

    def __init__(self, think: Think, seed: int, site: str) -> None:
        def draw(random: Random) -> int:
            return round(random.uniform(think.shortest, think.longest) * 1e9)

        self._length = draw_pool(draw, seed, site)

    def pause(self, index: int) -> Pause:
        return Pause(self._length(index))


@dataclass(frozen=True, slots=True)
class EndpointProgram:
    """An endpoint compiled for one worker; `row` counts its iterations."""

    row: Row
    steps: tuple[RequestProgram | PauseProgram, ...]
    several: bool

    def iterate(self, index: int) -> Iteration:
        """One iteration with the data of `index`, in the books from its first step to its end."""
        self.row.planned += 1
        if not self.several:
            return _single(self.steps[0], index)
        return _several(self, index)


def _single(program: RequestProgram | PauseProgram, index: int) -> Iteration:
    assert isinstance(program, RequestProgram)
    row = program.row
    try:
        answer = yield Send(program.render(index, {}), program)
    except GeneratorExit:
        row.interrupted += 1
        raise
    _book(row, program, answer, {})


def _several(endpoint: EndpointProgram, index: int) -> Iteration:
    variables: dict[str, object] = {}
    total = Response(0, b"", 0, 0, 0, 0, 0)
    error: str | None = None
    current: Row | None = None
    try:
        for step in endpoint.steps:
            current = None
            if isinstance(step, PauseProgram):
                yield step.pause(index)
                continue
            content = step.render(index, variables)
            current = step.row
            current.planned += 1
            answer = yield Send(content, step)
            error = _book(current, step, answer, variables)
            _add(total, answer)
            if error is not None:
                break
    except GeneratorExit:
        endpoint.row.interrupted += 1
        if current is not None:
            current.interrupted += 1
        raise
    _count(endpoint.row, error, total)


def _book(
    row: Row,
    program: RequestProgram,
    answer: Response | Failure | None,
    variables: dict[str, object],
) -> str | None:
    """Count an answer in its row; the kind of failure, or None."""
    assert answer is not None
    error = answer.kind if isinstance(answer, Failure) else program.judge(answer, variables)
    _count(row, error, answer)
    return error


def _count(row: Row, error: str | None, answer: Response | Failure) -> None:
    response = answer.late + answer.service
    row.retried += answer.retried
    if error is None:
        row.succeed(answer.service, response, answer.sent, answer.received)
    else:
        service = answer.service if answer.sent else None
        row.fail(error, service, response, answer.sent, answer.received)


def _add(total: Response, answer: Response | Failure | None) -> None:
    assert answer is not None
    total.late += answer.late
    total.service += answer.service
    total.sent += answer.sent
    total.received += answer.received
    total.retried += answer.retried


def compile_endpoint(
    endpoint: Endpoint, recorder: Recorder, *, authority: str, base_path: str, seed: int
) -> EndpointProgram:
    """An endpoint whose iterations are counted in `recorder`."""
    row = recorder.row("endpoint", endpoint.name)
    several = len(endpoint.steps) > 1
    steps: list[RequestProgram | PauseProgram] = []
    for number, step in enumerate(endpoint.steps):
        site = f"endpoints.{endpoint.name}.{number}"
        if isinstance(step, Think):
            steps.append(PauseProgram(step, seed, site))
            continue
        render = compile_request(
            step, authority=authority, base_path=base_path, seed=seed, site=site
        )
        step_row = recorder.row("step", step_row_name(endpoint, step)) if several else row
        steps.append(RequestProgram(step, render, step_row))
    return EndpointProgram(row, tuple(steps), several)


def step_row_name(endpoint: Endpoint, request: Request) -> str:
    """What reports call a step."""
    return f"{endpoint.name}: {request.name}"
