"""Each endpoint one time, watched: no load, so that it needs no worker to keep it undisturbed."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stressrun.data.render import as_text
from stressrun.errors import ExitCode, StressrunError
from stressrun.load.compilation import Compiler
from stressrun.load.endpoints import login_endpoint, one_iteration, open_lane
from stressrun.load.pacing import Segment
from stressrun.load.program import RequestProgram
from stressrun.load.reading import Finding
from stressrun.load.steps import Step
from stressrun.load.virtual_user import EndpointProgram
from stressrun.load.watching import MOST_CHARACTERS, Exchange, StepFinished, WatchedStep
from stressrun.metrics.excerpt import shortened
from stressrun.metrics.recorder import Recorder
from stressrun.safety.guard import Guard
from stressrun.safety.masking import MASK, Mask
from stressrun.scenario.model import Endpoint, Request, Scenario

_MOST_OF_A_VALUE = 200
_SECRET = re.compile(
    r"auth(?!or)|cookie|credential|passw|secret|session|token|api.?key", re.IGNORECASE
)
# A shorter one would be found in texts that have nothing to do with it.
_SHORTEST_SECRET = 8


@dataclass(frozen=True, slots=True)
class IterationFinished:
    """The one iteration of an endpoint, or of the login; `error` says where and why it failed."""

    name: str
    error: str | None


class IterationFailed(StressrunError):  # noqa: N818 - an outcome, which gives the verdict
    """Iterations did not succeed; these are their errors."""

    exit_code = ExitCode.FAILED

    def __init__(self, errors: Sequence[str]) -> None:
        more = f" and {len(errors) - 1} more" if len(errors) > 1 else ""
        hint = "all that was sent and received stands above: mend the service or the step"
        super().__init__(f"{errors[0]}{more}", hint=hint)


Told = Callable[[StepFinished | IterationFinished], None]


async def run_once(
    scenario: Scenario,
    names: Container[str],
    guard: Guard,
    *,
    run_id: str,
    rows: Mapping[str, Any],
    mask: Mask,
    told: Told,
    recorder: Recorder,
) -> list[str]:
    """Do the login, then each endpoint of these names one time, as one virtual user; the errors.

    No text that is told has a secret in it. When the login fails, no endpoint is done. The
    recorder has what was `made`, however it ended. Raises RefusedError and SetupError as the
    preparation of a worker does.
    """
    teller = _Teller(recorder, mask, told)
    compiler = Compiler(
        scenario, Segment(0, 1), recorder, run_id=run_id, rows=rows, sends=teller.watched
    )
    login = None if compiler.login is None else login_endpoint(compiler.login)
    work = [] if login is None else [("login", login)]
    # Only steps are watched: an endpoint that is but a request is done as the one step that it is.
    work += [
        (endpoint.name, replace(compiler.endpoint(endpoint), single=None))
        for endpoint in scenario.endpoints
        if endpoint.name in names
    ]
    lane = await open_lane(scenario, guard, recorder)
    errors: list[str] = []
    try:
        for index, (name, endpoint) in enumerate(work):
            await lane.run(one_iteration(endpoint, index))
            error = teller.finished(name, endpoint)
            if error is not None:
                errors.append(error)
                if endpoint is login:
                    break
    finally:
        lane.close()
    return errors


async def answer_to(
    scenario: Scenario, request: Request, guard: Guard, *, run_id: str, rows: Mapping[str, Any]
) -> tuple[object, str | None]:
    """What a request with one capture captures, after the login if it needs one; or an error.

    Raises RefusedError and SetupError as the preparation of a worker does.
    """
    found: list[object] = []
    errors: list[str] = []

    def seen(step: StepFinished, variables: Mapping[str, object]) -> None:
        if step.error is not None:
            errors.append(f"{step.name}: {_cause(step)}")
        found.append(variables.get(request.captures[0].variable))

    recorder = Recorder()
    endpoint = Endpoint(request.name, 1, (request,))
    alone = replace(scenario, endpoints=(endpoint,), writes=())
    compiler = Compiler(
        alone,
        Segment(0, 1),
        recorder,
        run_id=run_id,
        rows=rows,
        sends=lambda name, sent, program: WatchedStep(name, sent, program, recorder, seen),
    )
    program = replace(compiler.endpoint(endpoint), single=None)
    lane = await open_lane(alone, guard, recorder)
    try:
        await lane.run(one_iteration(program, 0))
    finally:
        lane.close()
    error = next(iter([*errors, *program.row.errors]), None)
    return None if error is not None else found[-1], error


class _Teller:
    """Tells of the steps that it watches, and keeps what they capture of secrets to itself."""

    def __init__(self, recorder: Recorder, mask: Mask, told: Told) -> None:
        self._recorder = recorder
        self._mask = mask
        self._told = told
        self._captured: list[str] = []
        self._error: str | None = None

    def watched(self, name: str, request: Request, program: RequestProgram) -> Step:
        """The step of a request, which is told of when it is done."""
        return WatchedStep(name, request, program, self._recorder, self._seen)

    def finished(self, name: str, endpoint: EndpointProgram) -> str | None:
        """Tell of the end of an iteration; an error that no step had is the iteration's own."""
        error, self._error = self._error, None
        if error is None and endpoint.row.errors:
            error = f"{name}: {next(iter(endpoint.row.errors))}"
        self._told(IterationFinished(name, error))
        return error

    def _seen(self, step: StepFinished, variables: Mapping[str, object]) -> None:
        for finding in step.captured:
            value = as_text(variables.get(finding.subject))
            if len(value) >= _SHORTEST_SECRET and _SECRET.search(_capture(finding)):
                self._captured.append(value)
        shown = replace(
            step,
            exchanges=tuple(map(self._exchange, step.exchanges)),
            expected=tuple(self._finding(each, each.subject) for each in step.expected),
            captured=tuple(self._finding(each, _capture(each)) for each in step.captured),
        )
        if step.error is not None:
            self._error = f"{step.name}: {_cause(shown)}"
        self._told(shown)

    def _exchange(self, exchange: Exchange) -> Exchange:
        return replace(
            exchange,
            # Cut only when no secret is left that the cut could go through.
            request=shortened(self._text(exchange.request), MOST_CHARACTERS),
            answer=shortened(self._text(exchange.answer), MOST_CHARACTERS),
            failure=self._text(exchange.failure),
        )

    def _finding(self, finding: Finding, name: str) -> Finding:
        found = finding.found
        if found is not None:
            found = MASK if _SECRET.search(name) else _cut(self._text(found))
        wanted = _cut(self._text(finding.wanted))
        return replace(finding, wanted=wanted, found=found, reason=self._text(finding.reason))

    def _text(self, text: str) -> str:
        return Mask(self._captured).text(self._mask.text(text))


def _capture(finding: Finding) -> str:
    return f"{finding.subject} {finding.wanted}"


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_OF_A_VALUE else f"{text[: _MOST_OF_A_VALUE - 1]}…"


def _cause(step: StepFinished) -> str:
    """Why a step failed, in a line."""
    if step.exchanges and step.exchanges[-1].failure:
        return step.exchanges[-1].failure
    for finding in step.expected:
        if not finding.holds:
            found = finding.reason or f"it is {finding.found or 'missing'}"
            return f"expected {finding.subject} {finding.wanted}: {found}"
    for finding in step.captured:
        if not finding.holds:
            return f"no {finding.subject} to capture at {finding.wanted}"
    return step.error or ""
