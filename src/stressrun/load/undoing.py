"""What a request makes is noted with the request that removes it, before the iteration goes on."""

from __future__ import annotations

from urllib.parse import quote

from stressrun.data.expressions import compile_text
from stressrun.load.steps import Doing, Flow, Step
from stressrun.scenario.model import Request, Undo

NOT_KNOWN = ""
"""Stands for the undoing of what may have been made, by a request whose answer is not known."""

# As the last part of a path, these would lead to something else than what was made.
_NO_NAMES = ("", ".", "..")


def maker(request: Request) -> str:
    """What a request is called in the ledger, such as `POST /carts`."""
    return f"{request.method} {request.path.source}"


class UndoableStep:
    """Does a step that sends a request; what it made goes into `made`, as (by what, its undo)."""

    __slots__ = ("_by", "_made", "_method", "_path", "_step")

    def __init__(
        self, step: Step, request: Request, undo: Undo, made: list[tuple[str, str]]
    ) -> None:
        self._step = step
        self._by = maker(request)
        self._made = made
        self._method = undo.method
        # All variables, which no seed changes.
        self._path = compile_text(undo.path, 0, "undo", escape=_name)

    def run(self, flow: Flow) -> Doing:
        sent = flow.requests
        try:
            error = yield from self._step.run(flow)
        except GeneratorExit:
            self._made.append((self._by, NOT_KNOWN))
            raise
        if flow.requests == sent or _made_nothing(flow):
            return error
        self._made.append((self._by, NOT_KNOWN if error is not None else self._undo(flow)))
        return error

    def _undo(self, flow: Flow) -> str:
        try:
            return f"{self._method} {self._path(flow.index, flow.variables)}"
        except (KeyError, ValueError):
            return NOT_KNOWN


def _made_nothing(flow: Flow) -> bool:
    """Whether the last request was never sent, or was refused."""
    answer = flow.session.answer
    if answer.failure is not None:
        return not answer.sent
    return 400 <= answer.status < 500


def _name(text: str) -> str:
    """A captured value as a part of a path. Raises ValueError for one that leads elsewhere."""
    if text in _NO_NAMES:
        raise ValueError(f"{text!r} names nothing")
    return quote(text, safe="")
