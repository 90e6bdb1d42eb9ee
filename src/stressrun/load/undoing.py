"""What a request makes is noted with the request that removes it, before the iteration goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from urllib.parse import quote

from stressrun.data.expressions import compile_text, variables_of
from stressrun.load.reading import Reading, Unreadable, compile_captures
from stressrun.load.steps import Doing, Flow, Step
from stressrun.scenario.model import ApiKeyAuth, Group, Request, Scenario, Undo
from stressrun.scenario.model import Step as ScenarioStep

NOT_KNOWN = ""
"""Stands for the undoing of what may have been made, by a request whose answer is not known."""

# As the last part of a path, these would lead to something else than what was made.
_NO_NAMES = ("", ".", "..")


def maker(request: Request) -> str:
    """What a request is called in the ledger, such as `POST /carts`."""
    return f"{request.method} {request.path.source}"


def makers(scenario: Scenario) -> dict[str, Request]:
    """The requests of a scenario's endpoints that have an `undo`, by the site of each."""
    return {
        site: request
        for endpoint in scenario.endpoints
        for site, request in _sited(endpoint.steps, f"endpoints.{endpoint.name}")
        if request.undo is not None
    }


def unproven(request: Request) -> bool:
    """Whether its `undo` is sent without some of what proves who asks: it has constant headers."""
    auth = request.auth
    in_query = isinstance(auth, ApiKeyAuth) and auth.in_query
    return in_query or any(variables_of((auth, request.headers)))


class UndoableStep:
    """Does a step that sends a request; what it made goes into `made`, as (its site, its undo)."""

    __slots__ = ("_captured", "_captures", "_made", "_method", "_path", "_site", "_step")

    def __init__(
        self, step: Step, request: Request, undo: Undo, site: str, made: list[tuple[str, str]]
    ) -> None:
        self._step = step
        self._site = site
        self._made = made
        self._method = undo.method
        # All variables, which no seed changes.
        self._path = compile_text(undo.path, 0, "undo", escape=_name)
        self._captures = compile_captures(request.captures)
        self._captured = {capture.variable for capture in request.captures}

    def run(self, flow: Flow) -> Doing:
        sent = 0
        with closing(self._step.run(flow)) as doing:
            while True:
                try:
                    wish = next(doing)
                except StopIteration as end:
                    error: str | None = end.value
                    break
                sent += 1
                try:
                    yield wish
                except GeneratorExit:
                    self._made.append((self._site, NOT_KNOWN))
                    raise
        # After a redirection the answer is another request's, and says nothing of this one.
        if sent > 1 or (sent and not _made_nothing(flow)):
            self._made.append((self._site, self._undo(flow, error)))
        return error

    def _undo(self, flow: Flow, error: str | None) -> str:
        variables = flow.variables if error is None else self._of_a_failure(flow)
        try:
            return f"{self._method} {self._path(flow.index, variables)}"
        except (KeyError, ValueError):
            return NOT_KNOWN

    def _of_a_failure(self, flow: Flow) -> Mapping[str, object]:
        """What is known for the undo where an answer came, and was not all that was expected."""
        answer = flow.session.answer
        if answer.failure is not None or not 200 <= answer.status < 300:
            return {}
        # Of the request's own captures those of an earlier repetition name what that one made.
        kept = {k: value for k, value in flow.variables.items() if k not in self._captured}
        reading = Reading(flow.session)
        for capture in self._captures:
            with suppress(Unreadable, RecursionError):
                capture.read(reading, flow.index, kept)
        return kept


def _sited(steps: Sequence[ScenarioStep], site: str) -> Iterator[tuple[str, Request]]:
    """Requests and their sites, as the compiler names them."""
    for number, step in enumerate(steps):
        if isinstance(step, Request):
            yield f"{site}.{number}", step
        elif isinstance(step, Group):
            yield from _sited(step.steps, f"{site}.{number}")


def _made_nothing(flow: Flow) -> bool:
    """Whether a request was never sent, or was refused."""
    answer = flow.session.answer
    if answer.failure is not None:
        return not answer.sent
    return 400 <= answer.status < 500


def _name(text: str) -> str:
    """A captured value as a part of a path. Raises ValueError for one that leads elsewhere."""
    if text in _NO_NAMES:
        raise ValueError(f"{text!r} names nothing")
    return quote(text, safe="")
