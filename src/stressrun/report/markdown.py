"""The run as a page of Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from stressrun.load.stage import StageResult
from stressrun.report.cases import Case, Conclusion
from stressrun.report.database import database_lines, finding_lines
from stressrun.report.failures import failure_lines
from stressrun.report.metrics import monitored_lines
from stressrun.report.mocks import mock_lines, recovery_lines
from stressrun.report.page import OUTCOMES, Page, code, head
from stressrun.report.tables import (
    SUMMARY_COLUMNS,
    stage_figures,
    stage_table,
    stage_title,
    summary_row,
)
from stressrun.run.events import RunFinished
from stressrun.scenario.model import Scenario
from stressrun.verdict.mocks import recoveries

_FAILURES = 12


def markdown(conclusion: Conclusion[RunFinished]) -> str:
    """The verdict, what was judged with failures first, the stages; the rest folded away.

    At most `page.MOST` bytes.
    """
    event, mask = conclusion.event, conclusion.mask.text
    page = Page("report.json")
    page.add([], list(head(conclusion)))
    rows = [_case_row(case) for case in conclusion.failures_first]
    page.add(["", "| | must hold | found | line |", "|---|---|---|---|"], rows)
    columns = "".join(f" {column} |" for column in SUMMARY_COLUMNS)
    aligned = "---|" + "---:|" * (len(SUMMARY_COLUMNS) - 1)
    stages = [_stage_row(result, mask) for result in event.stages]
    page.add(["", f"|{columns}", f"|{aligned}"], stages)
    found = [line for result in event.stages for line in _in_short(result, mask)]
    page.add(["", "**In the database**", ""], found)
    recovered = recovery_lines(recoveries(event.stages, event.scenario))
    page.add_text(["", "**Recovery**", ""], map(mask, recovered))
    failures = [line for result in event.stages for line in _failures(result, event.scenario)]
    page.add_text(["", "**What did not succeed**", ""], map(mask, failures[:_FAILURES]))
    for result in event.stages:
        title = f"<details><summary>stage {code(mask(stage_title(result.stage)))}</summary>"
        figures = map(mask, _figures(result, event))
        page.add_text(["", title, ""], figures, ["", "</details>"])
    return page.text()


def _case_row(case: Case) -> str:
    where = "" if case.where is None else code(f"{case.where.file}:{case.where.line}")
    cells = (OUTCOMES[case.outcome], f"{case.kind} {code(case.name)}", code(case.told), where)
    return f"| {' | '.join(cells)} |"


def _stage_row(result: StageResult, mask: Callable[[str], str]) -> str:
    name, *figures = summary_row(result)
    return f"| {code(mask(name))} | {' | '.join(figures)} |"


def _in_short(result: StageResult, mask: Callable[[str], str]) -> Iterator[str]:
    if result.database is not None:
        for line in finding_lines(result.database):
            yield f"- {code(mask(result.stage.name))} {code(line)}"


def _failures(result: StageResult, scenario: Scenario) -> Iterator[str]:
    if not result.stage.warmup:
        for line in failure_lines(result, scenario):
            yield f"{result.stage.name}: {line}"


def _figures(result: StageResult, event: RunFinished) -> Iterator[str]:
    """A stage as the console tells it."""
    yield stage_figures(result)
    yield ""
    yield from stage_table(result, event.scenario).splitlines()
    if failures := failure_lines(result, event.scenario):
        yield from ("", *failures)
    if result.mocks:
        yield from ("", *mock_lines(result, event.scenario))
    if result.database is not None:
        yield from ("", *database_lines(result.database, event.run_id))
    if watched := monitored_lines(result):
        yield from ("", *watched)
