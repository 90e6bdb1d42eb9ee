"""What requests made is noted with what removes it, whatever became of them."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.data.expressions import parse
from stressrun.data.jsonpath import parse_path
from stressrun.load.session import Session
from stressrun.load.steps import Doing, Flow, Step, Wish
from stressrun.load.undoing import NOT_KNOWN, UndoableStep
from stressrun.scenario.model import Capture, FromJson, Request, Undo

MAKES = Request(
    "make", "POST", parse("/carts"), captures=(Capture("cart", FromJson(parse_path("$.id"))),)
)
UNDO = Undo("DELETE", parse("/carts/${cart}"))
SITE = "endpoints.make.0"


class Answered:
    """A step whose request is answered by a status, or fails after so many bytes were sent."""

    def __init__(self, status: int, cart: object = None, sent: int | None = None) -> None:
        self._status = status
        self._cart = cart
        self._sent = sent

    def run(self, flow: Flow) -> Doing:
        flow.requests += 1
        yield 0
        answer = flow.session.answer
        answer.status = self._status
        answer.failure = None if self._sent is None else "connection reset"
        answer.sent = self._sent or 0
        if answer.failure is not None:
            return answer.failure
        if self._status >= 400:
            return f"status {self._status}"
        if self._cart is None:
            return "capture: no cart"
        flow.variables["cart"] = self._cart
        return None


def made(step: Step) -> list[tuple[str, str]]:
    noted: list[tuple[str, str]] = []
    for _ in UndoableStep(step, MAKES, UNDO, SITE, noted).run(Flow(Session(), 0)):
        pass
    return noted


@pytest.mark.parametrize(
    ("step", "undo"),
    [
        (Answered(201, "7"), "DELETE /carts/7"),
        (Answered(201, 7), "DELETE /carts/7"),
        (Answered(201, "a/b?c#d é"), "DELETE /carts/a%2Fb%3Fc%23d%20%C3%A9"),
        (Answered(201, "../users"), "DELETE /carts/..%2Fusers"),
        (Answered(201, ""), NOT_KNOWN),
        (Answered(201, ".."), NOT_KNOWN),
        (Answered(201, "."), NOT_KNOWN),
        (Answered(201), NOT_KNOWN),
        (Answered(500), NOT_KNOWN),
        (Answered(0, sent=100), NOT_KNOWN),
    ],
)
def test_what_may_have_been_made_is_noted(step: Answered, undo: str) -> None:
    assert made(step) == [(SITE, undo)]


@pytest.mark.parametrize("step", [Answered(400), Answered(429), Answered(0, sent=0)])
def test_what_was_refused_or_never_sent_made_nothing(step: Answered) -> None:
    assert made(step) == []


def test_what_was_interrupted_may_have_been_made() -> None:
    noted: list[tuple[str, str]] = []
    doing: Generator[Wish, None, str | None] = UndoableStep(
        Answered(201, "7"), MAKES, UNDO, SITE, noted
    ).run(Flow(Session(), 0))
    next(doing)
    doing.close()
    assert noted == [(SITE, NOT_KNOWN)]


class NotAsExpected:
    """A step whose answer is not what was expected; `requests` are those that it sent."""

    def __init__(self, status: int, body: bytes, requests: int = 1) -> None:
        self._status = status
        self._body = body
        self._requests = requests

    def run(self, flow: Flow) -> Doing:
        flow.requests += 1
        answer = flow.session.answer
        answer.status, answer.sent = self._status, 100
        answer.start, answer.body = b"HTTP/1.1 200 OK\r\n\r\n", self._body
        for _ in range(self._requests):
            yield 0
        # What an earlier repetition has captured is nothing of this one's.
        flow.variables["cart"] = "6"
        return "slow"


@pytest.mark.parametrize(
    ("step", "noted"),
    [
        (NotAsExpected(201, b'{"id": 7}'), ["DELETE /carts/7"]),
        (NotAsExpected(201, b'{"name": 7}'), [NOT_KNOWN]),
        (NotAsExpected(201, b"no JSON"), [NOT_KNOWN]),
        (NotAsExpected(500, b'{"id": 7}'), [NOT_KNOWN]),
        (NotAsExpected(302, b'{"id": 7}'), [NOT_KNOWN]),
        (NotAsExpected(404, b'{"id": 7}'), []),
        (NotAsExpected(404, b'{"id": 7}', requests=2), [NOT_KNOWN]),
        (NotAsExpected(201, b'{"id": 7}', requests=0), []),
    ],
    ids=[
        "made, but late",
        "no id",
        "no JSON",
        "an error",
        "a redirection that is not followed",
        "refused",
        "redirected to what is not there",
        "never sent, and the answer another request's",
    ],
)
def test_what_is_made_is_known_though_it_is_not_as_expected(
    step: NotAsExpected, noted: list[str]
) -> None:
    assert [undo for _, undo in made(step)] == noted


@given(st.text())
def test_no_answer_can_make_the_undo_lead_elsewhere(cart: str) -> None:
    ((_, undo),) = made(Answered(201, cart))
    if undo != NOT_KNOWN:
        name = undo.removeprefix("DELETE /carts/")
        assert name not in ("", ".", "..")
        assert not set("/?#\r\n ") & set(name)
