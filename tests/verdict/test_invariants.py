"""Invariants judged: what was found, against a value, checks, another answer, or the load."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.data.checks import Check, parse_check
from stressrun.metrics.recorder import Recorder, Row
from stressrun.scenario.model import CountQuestion, Invariant, SqlQuestion
from stressrun.verdict.invariants import Answer, Count, counted, judged, unanswered

HOME = CountQuestion("endpoint home", "endpoint", "home")
INSERT = CountQuestion("write audit.insert", "operation", "audit.insert")


def expecting(expected: tuple[Check, ...] | SqlQuestion | CountQuestion) -> Invariant:
    return Invariant("stock", SqlQuestion("select 1"), expected, (), 0, ())


def test_a_value_is_shown_with_what_was_expected() -> None:
    checks = (parse_check("at_least", 0), parse_check("at_most", 5))
    assert judged(expecting(checks), "peak", 5) == Answer(
        expecting(checks), "peak", "5", "at least 0 and at most 5", passed=True
    )
    assert not judged(expecting(checks), "peak", -1).passed
    assert judged(expecting(checks), "peak", None).value == "null"


@pytest.mark.parametrize(
    ("found", "wanted", "same"),
    [
        (5, 5, True),
        (5, 5.0, True),
        ("5", 5, True),
        (5, "5", True),
        (5, 6, False),
        (None, None, True),
        (None, 0, False),
        (True, 1, False),
        ([1, 2], [1, 2], True),
    ],
)
def test_two_questions_have_the_same_answer(found: object, wanted: object, same: bool) -> None:
    answer = judged(expecting(SqlQuestion("select 2")), "peak", found, wanted)
    assert answer.passed == same


def test_a_long_value_is_cut() -> None:
    answer = judged(expecting((parse_check("equals", 1),)), "peak", "x" * 1000)
    assert answer.value is not None
    assert len(answer.value) == 60


def test_a_question_without_an_answer_has_failed() -> None:
    answer = unanswered(expecting(HOME), "peak", "connection refused")
    assert (answer.value, answer.passed, answer.detail) == (None, False, "connection refused")


def books(question: CountQuestion) -> tuple[Recorder, Row]:
    recorder = Recorder()
    return recorder, recorder.row(question.kind, question.name)


def test_what_was_never_done_has_succeeded_never() -> None:
    assert counted(HOME, Recorder()) == Count(0, 0)


def test_a_refusal_says_that_it_was_not_done_and_others_say_nothing() -> None:
    recorder, row = books(HOME)
    row.succeeded, row.failed, row.interrupted, row.dropped = 10, 9, 1, 4
    row.errors.update(
        {"status 409": 3, "timeout": 2, "expect $.id": 1, "status 200": 1, "status 502": 2}
    )
    assert counted(HOME, recorder) == Count(10, 7)


def test_an_insert_is_as_many_as_its_rows() -> None:
    recorder, row = books(INSERT)
    row.succeeded, row.unknown = 10, 2
    assert counted(replace(INSERT, each=25), recorder) == Count(250, 50)


def test_an_operation_that_failed_was_rolled_back() -> None:
    recorder, row = books(INSERT)
    row.succeeded, row.failed, row.unknown = 10, 6, 2
    row.errors["40P01 deadlock_detected"] = 6
    assert counted(INSERT, recorder) == Count(10, 2)


@given(st.integers(0, 1000), st.integers(0, 100), st.integers(-5, 1200))
def test_between_what_succeeded_and_what_may_have_it_holds(
    succeeded: int, uncertain: int, found: int
) -> None:
    answer = judged(expecting(HOME), "peak", found, Count(succeeded, uncertain))
    assert answer.passed == (succeeded <= found <= succeeded + uncertain)
    assert "endpoint home succeeded" in answer.expected
