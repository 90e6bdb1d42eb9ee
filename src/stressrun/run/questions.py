"""The invariants of a scenario, asked between its stages: of the database and of the service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import psycopg
import trio

from stressrun.errors import SetupError, StressrunError
from stressrun.load.once import answer_to
from stressrun.metrics.recorder import Recorder
from stressrun.postgres.connection import connect
from stressrun.postgres.querying import ask
from stressrun.postgres.tables import reason
from stressrun.safety.guard import Guard
from stressrun.scenario.model import (
    CountQuestion,
    Invariant,
    RequestQuestion,
    Scenario,
    SqlQuestion,
    Stage,
)
from stressrun.units import format_duration
from stressrun.verdict.invariants import Answer, counted, judged, unanswered

_TIMEOUT = 30.0
_PAUSE = 0.1


class Questions:
    """Asks the invariants of one run; `rows` are those that its load takes from the database."""

    def __init__(
        self, scenario: Scenario, guard: Guard, *, run_id: str, rows: Mapping[str, Any]
    ) -> None:
        self._scenario = scenario
        self._guard = guard
        self._run_id = run_id
        self._rows = rows

    async def try_out(self) -> None:
        """Ask each once before the load, whatever the answer: a mistake in one shows now.

        Raises SetupError.
        """
        for invariant in self._scenario.invariants:
            answer = await self._ask(invariant, "", Recorder())
            if answer.value is None:
                raise SetupError(
                    f"the invariant `{invariant.name}` cannot be asked: {answer.detail}",
                    hint="mend its question; it was asked once before the load, to see that it can",
                )

    async def ask(self, stage: Stage, books: Recorder) -> list[Answer]:
        """The answers after a stage; `books` are those of all stages so far."""
        return [
            await self._patiently(invariant, stage.name, books)
            for invariant in self._scenario.invariants
            if not invariant.stages or stage.name in invariant.stages
        ]

    async def _patiently(self, invariant: Invariant, stage: str, books: Recorder) -> Answer:
        last = trio.current_time() + invariant.within
        while True:
            answer = await self._ask(invariant, stage, books)
            if answer.passed:
                return answer
            if trio.current_time() >= last:
                return _after(invariant.within, answer)
            await trio.sleep(_PAUSE)

    async def _ask(self, invariant: Invariant, stage: str, books: Recorder) -> Answer:
        why = f"no answer within {format_duration(_TIMEOUT)}"
        with trio.move_on_after(_TIMEOUT):
            try:
                found, wanted = await self._found(invariant, books)
                return judged(invariant, stage, found, wanted)
            except psycopg.Error as error:
                why = reason(error)
            except StressrunError as error:
                why = error.message
        return unanswered(invariant, stage, why)

    async def _found(self, invariant: Invariant, books: Recorder) -> tuple[object, object]:
        """The answers to an invariant's question, and to the one that it is held against."""
        question, other = invariant.question, invariant.expected
        if isinstance(question, SqlQuestion) and isinstance(other, SqlQuestion):
            # In one transaction, or the load's last commits could come between them.
            found, wanted = await self._values(question.sql, other.sql)
            return found, wanted
        wanted = None
        if isinstance(other, CountQuestion):
            wanted = counted(other, books)
        elif not isinstance(other, tuple):
            wanted = await self._answer(other)
        return await self._answer(question), wanted

    async def _answer(self, question: SqlQuestion | RequestQuestion) -> object:
        if isinstance(question, SqlQuestion):
            (value,) = await self._values(question.sql)
            return value
        value, error = await answer_to(
            self._scenario,
            question.request,
            self._guard,
            run_id=self._run_id,
            rows=self._rows,
        )
        if error is not None:
            raise StressrunError(error)
        return value

    async def _values(self, *statements: str) -> list[object]:
        url = self._scenario.database_url
        assert url is not None
        async with await connect(url, guard=self._guard, run_id=self._run_id) as connection:
            return await ask(connection, statements)


def _after(seconds: float, answer: Answer) -> Answer:
    if not seconds or answer.value is None:
        return answer
    return replace(answer, detail=f"still so after {format_duration(seconds)}")
