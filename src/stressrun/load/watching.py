"""Requests under observation: what was sent and received, what was expected and captured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass

from stressrun.http.exchange import answer_text, request_text
from stressrun.load.program import Program, RequestProgram
from stressrun.load.reading import CaptureLook, Finding, Reading, Variables
from stressrun.load.session import Answer, Session
from stressrun.load.steps import Doing, Flow, RequestStep
from stressrun.metrics.histogram import Histogram
from stressrun.metrics.recorder import Recorder
from stressrun.scenario.model import Expect, Request
from stressrun.units import format_duration

MOST_CHARACTERS = 10_000


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer, as texts without secret headers; times in seconds.

    `failure` says why there is no answer. `connect` and `tls` are of the connection that was
    opened for it, if any; `first_byte` is from the send, `total` is all.
    """

    request: str
    answer: str
    failure: str
    connect: float | None
    tls: float | None
    first_byte: float | None
    total: float | None


@dataclass(frozen=True, slots=True)
class StepFinished:
    """A request of an iteration, with those that redirections asked for.

    Nothing is captured from an answer that is not all that is expected. `error` is None for a
    success.
    """

    name: str
    exchanges: tuple[Exchange, ...]
    expected: tuple[Finding, ...]
    captured: tuple[Finding, ...]
    error: str | None


Seen = Callable[[StepFinished, Mapping[str, object]], None]


class WatchedStep:
    """Sends a request as a `RequestStep` does, and tells `seen` of it and of the variables then.

    It must be the only one that uses the recorder meanwhile.
    """

    def __init__(
        self, name: str, request: Request, program: RequestProgram, recorder: Recorder, seen: Seen
    ) -> None:
        self._name = name
        self._expect = request.expect
        self._program = program
        self._recorder = recorder
        self._seen = seen
        # It is to be shown, though nothing else may need it.
        program.keep_body = True

    def run(self, flow: Flow) -> Doing:
        session, index, before = flow.session, flow.index, dict(flow.variables)
        exchanges: list[Exchange] = []
        with closing(RequestStep(self._program).run(flow)) as doing:
            while True:
                try:
                    wish = next(doing)
                except StopIteration as end:
                    error: str | None = end.value
                    break
                assert not isinstance(wish, int), "a request step does not pause"
                program, content = wish
                try:
                    yield wish
                except GeneratorExit:
                    exchanges.append(self._exchange(program, content, None))
                    self._tell(flow, exchanges, [], [], "interrupted")
                    raise
                exchanges.append(self._exchange(program, content, session.answer))
        expected: list[Finding] = []
        captured: list[Finding] = []
        if exchanges and session.answer.failure is None:
            expected, captured = self._findings(session, index, before)
        self._tell(flow, exchanges, expected, captured, error)
        return error

    def _exchange(self, program: Program, content: bytes, answer: Answer | None) -> Exchange:
        """What was sent, and the answer to it; None when it was interrupted."""
        request = request_text(content, MOST_CHARACTERS)
        connect, tls = _taken(self._recorder.connect), _taken(self._recorder.tls)
        if answer is None:
            return Exchange(request, "", "interrupted", connect, tls, None, None)
        total = (answer.late + answer.service) / 1e9
        if answer.failure is not None:
            received = _received(answer, None) if answer.start else ""
            return Exchange(request, received, _failure(answer), connect, tls, None, total)
        received = _received(answer, answer.body if program.expects_body else b"")
        return Exchange(request, received, "", connect, tls, answer.first_byte / 1e9, total)

    def _findings(
        self, session: Session, index: int, variables: Variables
    ) -> tuple[list[Finding], list[Finding]]:
        """What is expected of the answer, and what is captured from it where that holds."""
        reading = Reading(session)
        expected = _of_the_answer(self._expect, session.answer)
        captured: list[Finding] = []
        for look in self._program.looks:
            finding = look.tell(reading, index, variables)
            (captured if isinstance(look, CaptureLook) else expected).append(finding)
        return expected, captured if all(finding.holds for finding in expected) else []

    def _tell(
        self,
        flow: Flow,
        exchanges: list[Exchange],
        expected: list[Finding],
        captured: list[Finding],
        error: str | None,
    ) -> None:
        step = StepFinished(self._name, tuple(exchanges), tuple(expected), tuple(captured), error)
        self._seen(step, flow.variables)


def _of_the_answer(expect: Expect, answer: Answer) -> list[Finding]:
    """The expectations that are not of the answer's content: its status, and its time."""
    statuses, within = expect.statuses, expect.within
    wanted = " or ".join(map(str, statuses)) or "below 400"
    holds = answer.status in statuses if statuses else answer.status < 400
    findings = [Finding("status", wanted, str(answer.status), holds)]
    if within is not None:
        took = answer.service / 1e9
        wanted = f"within {format_duration(within)}"
        findings.append(Finding("time", wanted, format_duration(took), took <= within))
    return findings


def _received(answer: Answer, body: bytes | None) -> str:
    return answer_text(answer.start, body, MOST_CHARACTERS)


def _failure(answer: Answer) -> str:
    kind, detail = answer.failure or "", answer.detail
    return kind if detail in ("", kind) else f"{kind}: {detail}"


def _taken(histogram: Histogram) -> float | None:
    """The time that was recorded since this was last asked, in seconds; of several the longest."""
    longest = histogram.maximum / 1e9 if histogram.count else None
    histogram.drain()
    return longest
