"""What a run was judged by, case by case: what the reports for people and CI systems are made of.

A new kind of judgement needs a function beside `_threshold_cases`, and no change of a report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from stressrun.errors import Position
from stressrun.report.tables import invariant_found, threshold_facts, threshold_limit
from stressrun.run.events import RunFinished
from stressrun.safety.masking import Mask
from stressrun.scenario.nodes import Place
from stressrun.verdict.invariants import Answer
from stressrun.verdict.thresholds import Evaluation

Outcome = Literal["passed", "failed", "skipped"]
Where = Callable[[Place], Position | None]
"""Finds the line of a scenario file on which a place of the scenario is written, if on any."""

_NOT_JUDGED = "not judged: the run ended before"


@dataclass(frozen=True, slots=True)
class Case:
    """Something that must hold. `kind` is the word for it; `stage` None: it is of the whole run.

    `told` says what was found, or why nothing was; `where` None: it is on no line of the file.
    """

    kind: str
    name: str
    stage: str | None
    outcome: Outcome
    told: str
    where: Position | None


@dataclass(frozen=True, slots=True)
class Conclusion:
    """A run at its end with all its cases; `mask` takes the secrets out of other texts of it."""

    event: RunFinished
    cases: tuple[Case, ...]
    mask: Mask

    @property
    def has_verdict(self) -> bool:
        """Whether the run says something about what it tested."""
        return self.event.verdict in ("passed", "failed")

    @property
    def failures_first(self) -> list[Case]:
        order = ("failed", "skipped", "passed")
        return sorted(self.cases, key=lambda case: order.index(case.outcome))

    @property
    def unexplained(self) -> bool:
        """Whether the run did not pass, and no case says why."""
        failed = any(case.outcome == "failed" for case in self.cases)
        return not self.has_verdict or (self.event.verdict == "failed" and not failed)


def conclude(event: RunFinished, where: Where, mask: Mask) -> Conclusion:
    """The conclusion of a run. Where it is invalid no case says anything: its figures do not."""
    cases = [*_threshold_cases(event, where), *_invariant_cases(event, where)]
    if event.verdict == "invalid":
        cases = [_unjudged(case) for case in cases]
    masked = (replace(case, name=mask.text(case.name), told=mask.text(case.told)) for case in cases)
    return Conclusion(event, tuple(masked), mask)


def _unjudged(case: Case) -> Case:
    if case.outcome == "skipped":
        return case
    return replace(case, outcome="skipped", told=f"no verdict on {case.told}")


def _threshold_cases(event: RunFinished, where: Where) -> Iterator[Case]:
    """Each threshold of the scenario, those that the run did not come to among them."""
    judged = {evaluation.threshold: evaluation for evaluation in event.thresholds}
    for threshold in event.scenario.thresholds:
        evaluation = judged.get(threshold)
        place = threshold.place
        yield Case(
            kind="threshold",
            name=threshold.text,
            stage=threshold.stage,
            outcome=_outcome(evaluation),
            told=_NOT_JUDGED if evaluation is None else _found(evaluation),
            where=None if place is None else where(place),
        )


def _invariant_cases(event: RunFinished, where: Where) -> Iterator[Case]:
    """Each invariant after each stage that it is asked after, be it asked or not."""
    answers = {(answer.invariant.place, answer.stage): answer for answer in event.invariants}
    for stage, invariant in product(event.scenario.stages, event.scenario.invariants):
        if invariant.stages and stage.name not in invariant.stages:
            continue
        answer = answers.get((invariant.place, stage.name))
        told = _NOT_JUDGED if answer is None else invariant_found(answer)
        yield Case(
            kind="invariant",
            name=invariant.name,
            stage=stage.name,
            outcome=_outcome(answer),
            told=f"after {stage.name}: {told}",
            where=where(invariant.place),
        )


def _outcome(judged: Evaluation | Answer | None) -> Outcome:
    if judged is None:
        return "skipped"
    return "passed" if judged.passed else "failed"


def _found(evaluation: Evaluation) -> str:
    """`1.32 s, limit < 1.00 s, 32 % beyond it`."""
    value, *facts = threshold_facts(evaluation)
    return ", ".join([value, f"limit {threshold_limit(evaluation.threshold)}", *facts])
