"""What a run or a comparison was judged by, case by case: what other reports are made of.

A new kind of judgement needs a function beside `_threshold_cases`, and no change of a report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Generic, Literal, TypeVar

from stressrun.errors import ExitCode, Position
from stressrun.metrics.recorder import RowKey
from stressrun.report.comparison import finding_found
from stressrun.report.notices import warnings
from stressrun.report.tables import invariant_found, threshold_facts, threshold_limit
from stressrun.run.events import ComparisonFinished, Finished, RunFinished
from stressrun.safety.masking import Mask
from stressrun.scenario.model import Scenario
from stressrun.scenario.nodes import Place
from stressrun.verdict.comparison import Finding
from stressrun.verdict.invariants import Answer
from stressrun.verdict.thresholds import Evaluation

Outcome = Literal["passed", "failed", "skipped"]
Where = Callable[[Place], Position | None]
"""Finds the line of a scenario file on which a place of the scenario is written, if on any."""

E_co = TypeVar("E_co", bound=Finished, covariant=True)

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
class Conclusion(Generic[E_co]):
    """A run or a comparison at its end with all its cases; `what` is the word for it.

    `mask` takes the secrets out of other texts of it.
    """

    what: str
    event: E_co
    cases: tuple[Case, ...]
    mask: Mask

    @property
    def has_verdict(self) -> bool:
        """Whether it says something about what it tested, if only that nothing is certain."""
        event = self.event
        return event.verdict in ("passed", "failed") or event.exit_code == ExitCode.PASSED

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What there is to say of the end, each with its word: cause, remedy and so on."""
        event = self.event
        told = [("cause", event.cause), ("remedy", event.remedy)]
        if isinstance(event, RunFinished) and event.partial != event.cause:
            told.append(("partial", event.partial))
        told += [("left behind", line) for line in event.residue]
        return [(word, text) for word, text in told if text]

    @property
    def warnings(self) -> list[str]:
        """What to know about the figures before they are believed, a line each."""
        event = self.event
        doubts = event.warnings if isinstance(event, ComparisonFinished) else ()
        return [*warnings(event.scenario), *doubts]

    @property
    def failures_first(self) -> list[Case]:
        order = ("failed", "skipped", "passed")
        return sorted(self.cases, key=lambda case: order.index(case.outcome))

    @property
    def unexplained(self) -> bool:
        """Whether it did not pass, and no case says why."""
        failed = any(case.outcome == "failed" for case in self.cases)
        return not self.has_verdict or (self.event.verdict == "failed" and not failed)


def conclude(event: RunFinished, where: Where, mask: Mask) -> Conclusion[RunFinished]:
    """The conclusion of a run. Where it is invalid no case says anything: its figures do not."""
    cases = [
        *_threshold_cases(event, where),
        *_invariant_cases(event, where),
        *_baseline_cases(event, where),
    ]
    return Conclusion("stress test", event, _told(cases, event, mask), mask)


def conclude_comparison(
    event: ComparisonFinished, where: Where, mask: Mask
) -> Conclusion[ComparisonFinished]:
    """The conclusion of a comparison, as that of a run: its cases are the findings in order."""
    found = [
        _finding_case("comparison", each, event.stage, event, where) for each in event.findings
    ]
    return Conclusion("comparison", event, _told(found, event, mask), mask)


def _told(cases: Iterable[Case], event: Finished, mask: Mask) -> tuple[Case, ...]:
    if event.verdict == "invalid":
        cases = map(_unjudged, cases)
    return tuple(
        replace(case, name=mask.text(case.name), told=mask.text(case.told)) for case in cases
    )


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


def _baseline_cases(event: RunFinished, where: Where) -> Iterator[Case]:
    """Each endpoint and operation as held against the baseline; one case where none could be."""
    against = event.baseline
    if against is None:
        return
    if against.reasons:
        told = f"inconclusive: {'; '.join(against.reasons)}"
        yield Case("baseline", against.baseline.file, None, "skipped", told, None)
    for finding in against.findings:
        yield _finding_case("baseline", finding, None, event, where)


def _finding_case(
    kind: str, finding: Finding, stage: str | None, event: Finished, where: Where
) -> Case:
    outcomes: dict[str, Outcome] = {"regressed": "failed", "inconclusive": "skipped"}
    place = _place(finding.row, event.scenario)
    return Case(
        kind=kind,
        name=finding.name,
        stage=stage,
        outcome=outcomes.get(finding.verdict, "passed"),
        told=finding_found(finding),
        where=None if place is None else where(place),
    )


def _place(row: RowKey, scenario: Scenario) -> Place | None:
    """Where the endpoint is written, or the write mix of an operation; None: it is not."""
    kind, name = row
    if kind == "operation":
        places = {mix.name: ("writes", n) for n, mix in enumerate(scenario.writes)}
        return places.get(name.partition(".")[0])
    return {each.name: ("endpoints", n) for n, each in enumerate(scenario.endpoints)}.get(name)


def _outcome(judged: Evaluation | Answer | None) -> Outcome:
    if judged is None:
        return "skipped"
    return "passed" if judged.passed else "failed"


def _found(evaluation: Evaluation) -> str:
    """`1.32 s, limit < 1.00 s, 32 % beyond it`."""
    value, *facts = threshold_facts(evaluation)
    return ", ".join([value, f"limit {threshold_limit(evaluation.threshold)}", *facts])
