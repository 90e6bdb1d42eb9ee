"""Invariants judged: what was found after a stage, against what is expected of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from stressrun.data.checks import describe, equals
from stressrun.data.render import as_json
from stressrun.metrics.recorder import Recorder
from stressrun.scenario.model import CountQuestion, Invariant

_SHOWN = 60
_REFUSED = re.compile("status 4[0-9][0-9]")


@dataclass(frozen=True, slots=True)
class Answer:
    """An invariant with the value that it had after a stage, and what was expected, in words.

    `value` None: it could not be asked, which fails, and `detail` says why.
    """

    invariant: Invariant
    stage: str
    value: str | None
    expected: str
    passed: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Count:
    """How many have succeeded, and how many may have besides: those without a known outcome."""

    succeeded: int
    uncertain: int


def counted(question: CountQuestion, books: Recorder) -> Count:
    """What the load itself has counted, in the books of all stages so far.

    A request without an answer, or with one that was not as expected, may have been done; one that
    was refused, with a status of 400 to 499, has not.
    """
    row = books.rows.get((question.kind, question.name))
    if row is None:
        return Count(0, 0)
    uncertain = row.interrupted + row.unknown
    if question.kind != "operation":
        refused = sum(n for kind, n in row.errors.items() if _REFUSED.fullmatch(kind))
        uncertain += row.failed - refused
    return Count(row.succeeded * question.each, uncertain * question.each)


def judged(invariant: Invariant, stage: str, found: object, wanted: object = None) -> Answer:
    """The answer to an invariant's question; `wanted` is that to the question it is held against.

    Of an invariant with checks there is no such question.
    """
    expected = invariant.expected
    if isinstance(expected, tuple):
        words = " and ".join(map(describe, expected))
        holds = all(check.compile(0, "")(found, 0, {}) for check in expected)
    elif isinstance(wanted, Count):
        least, most = wanted.succeeded, wanted.succeeded + wanted.uncertain
        bounds = f"{least}" if least == most else f"from {least} to {most}"
        words = f"{bounds} ({_of(expected)} succeeded)"
        holds = isinstance(found, int | float) and least <= found <= most
    else:
        words = f"{_shown(wanted)} (the answer to the other question)"
        holds = equals(found, wanted) or equals(wanted, found)
    return Answer(invariant, stage, _shown(found), words, holds)


def unanswered(invariant: Invariant, stage: str, why: str) -> Answer:
    """The answer where there is none."""
    return Answer(invariant, stage, None, "an answer", passed=False, detail=why)


def _of(expected: object) -> str:
    return expected.text if isinstance(expected, CountQuestion) else ""


def _shown(value: object) -> str:
    text = as_json(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
