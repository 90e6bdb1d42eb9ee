"""The comparison as a page of Markdown."""

from __future__ import annotations

from collections.abc import Callable

from stressrun.report.cases import Case, Conclusion
from stressrun.report.comparison import (
    changed_work,
    finding_columns,
    finding_row,
    others_table,
    same_work,
    work_line,
)
from stressrun.report.page import OUTCOMES, Page, code, head
from stressrun.run.events import ComparisonFinished, PartWork
from stressrun.verdict.comparison import Finding
from stressrun.verdict.work import WorkChange, format_work

_ORDER = ("regressed", "inconclusive", "improved", "unchanged")
_FOLDED = ("", "</details>")


def comparison_markdown(conclusion: Conclusion[ComparisonFinished]) -> str:
    """The verdict, the findings with what has regressed first, the work that has changed.

    Other figures and the work that is the same are folded away. At most `page.MOST` bytes.
    """
    event, mask = conclusion.event, conclusion.mask.text
    page = Page("comparison.json")
    base, stage = code(mask(event.base)), code(mask(event.stage))
    pairs = f"{event.pairs} pair{'' if event.pairs == 1 else 's'}"
    page.add([], list(head(conclusion, f"base {base}", f"stage {stage}", pairs)))
    columns = "".join(
        f" {column} |" for column in ("", *finding_columns(event.scenario.compare.figure))
    )
    found = _in_order(conclusion)
    judged = event.verdict != "invalid"
    rows = [_finding_row(case, finding, judged=judged) for case, finding in found]
    page.add(["", f"| |{columns}", f"|---|---|{'---:|' * 5}---|"], rows)
    reasons = [(mask(each.name), mask(each.reason)) for _, each in found if each.reason]
    page.add([""], [f"- {code(name)} {code(reason)}" for name, reason in reasons])
    for part in event.work:
        _add_changed_work(page, part, mask)
    if event.findings:
        others = mask(others_table(event.findings)).splitlines()
        page.add_text(_fold("other figures, not judged"), others, _FOLDED)
    for part in event.work:
        same = [mask(work_line(change)) for change in part.changes if not change.changed]
        page.add_text(_fold(f"{_title(part, mask)}: unchanged counts, CPU time"), same, _FOLDED)
    return page.text()


def _in_order(conclusion: Conclusion[ComparisonFinished]) -> list[tuple[Case, Finding]]:
    found = zip(conclusion.cases, conclusion.event.findings, strict=True)
    return sorted(found, key=lambda each: _ORDER.index(each[1].verdict))


def _finding_row(case: Case, finding: Finding, *, judged: bool) -> str:
    _, *figures, verdict = finding_row(finding)
    cells = (OUTCOMES[case.outcome], code(case.name), *figures, verdict if judged else "no verdict")
    return f"| {' | '.join(cells)} |"


def _add_changed_work(page: Page, part: PartWork, mask: Callable[[str], str]) -> None:
    """The clue to the cause: what head does more or less of."""
    changed, title = changed_work(part), f"**{_title(part, mask)}**"
    if changed:
        rows = [_work_row(change, mask) for change in changed]
        page.add(["", title, "", "| | base | head |", "|---|---:|---:|"], rows)
    elif part.changes:
        page.add([""], [f"{title}: {same_work(part)}"])


def _work_row(change: WorkChange, mask: Callable[[str], str]) -> str:
    cells = (code(mask(change.name)), format_work(change.base), format_work(change.head))
    return f"| {' | '.join(cells)} |"


def _title(part: PartWork, mask: Callable[[str], str]) -> str:
    alone = f" of {code(mask(part.only))} alone" if part.only else ""
    return f"Work for each iteration{alone}"


def _fold(title: str) -> list[str]:
    return ["", f"<details><summary>{title}</summary>", ""]
