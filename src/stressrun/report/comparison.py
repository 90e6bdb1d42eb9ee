"""What came out of a comparison, as text: rows, tables and lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stressrun.report.tables import table
from stressrun.run.events import ComparisonFinished, PartWork
from stressrun.units import format_duration
from stressrun.verdict.comparison import Change, Finding, format_change
from stressrun.verdict.work import WorkChange, format_work

_MOST_WORK = 12


def comparison_lines(event: ComparisonFinished) -> Iterator[str]:
    """The findings, the other figures, the work for each iteration, and the verdict."""
    if event.findings:
        yield ""
    yield from figure_lines(event)
    yield ""
    for line in event.residue:
        yield f"left behind: {line}"
    yield f"verdict: {event.verdict} (exit code {int(event.exit_code)})"
    if event.cause:
        yield f"cause: {event.cause}"
    if event.remedy:
        yield f"remedy: {event.remedy}"


def figure_lines(event: ComparisonFinished) -> Iterator[str]:
    """All that was measured: the findings, the other figures, the work for each iteration."""
    if event.findings:
        yield table(
            ("", *finding_columns(event.scenario.compare.figure)), map(finding_row, event.findings)
        )
        for finding in event.findings:
            if finding.reason:
                yield f"  {finding.name}: {finding.reason}"
        yield ""
        yield "not judged"
        yield ""
        yield others_table(event.findings)
    for part in event.work:
        if part.changes:
            yield ""
            yield f"work for each iteration{f' of {part.only} alone' if part.only else ''}"
            yield from (f"  {line}" for line in _work(part))


def finding_columns(figure: str, base: str = "base", head: str = "head") -> tuple[str, ...]:
    """What stands above the columns of `finding_row`, from the second on."""
    return (f"{base} {figure}", f"{head} {figure}", "change", "between", "could see", "verdict")


def finding_row(finding: Finding) -> list[str]:
    """A finding in a row: its name, then its figures and its verdict."""
    between = smallest = "—"
    if finding.low is not None and finding.high is not None and finding.smallest is not None:
        between = f"{format_change(finding.low)} … {format_change(finding.high)}"
        smallest = format_change(finding.smallest)
    return [
        finding.name,
        _time(finding.primary.base),
        _time(finding.primary.head),
        _change(finding.effect),
        between,
        smallest,
        finding.verdict,
    ]


def finding_found(finding: Finding) -> str:
    """`regressed: p95 +12 %, +8.0 % to +16 %, from 20.0 ms to 22.4 ms`; or why that is not told."""
    times = ""
    if finding.effect is not None:
        base, head = _time(finding.primary.base), _time(finding.primary.head)
        times = f", from {base} to {head}"
    return f"{finding.verdict}: {finding.told}{times}"


def others_table(findings: Sequence[Finding]) -> str:
    """The figures that are shown and not judged, a row for each finding."""
    names = [change.figure for change in findings[0].others]
    rows = [[finding.name, *map(_other, finding.others)] for finding in findings]
    return table(("", *names), rows)


def _other(change: Change) -> str:
    if change.base is None and change.head is None:
        return "—"
    return f"{_time(change.base)} → {_time(change.head)} ({_change(change.ratio)})"


def changed_work(part: PartWork) -> list[WorkChange]:
    """What head does more or less of than base."""
    return [change for change in part.changes if change.changed]


def same_work(part: PartWork) -> str:
    """That no count has changed, with how many there are."""
    counts = sum(not change.seconds for change in part.changes)
    return f"the same by all of {counts} counts of servers and mocks"


def work_line(change: WorkChange) -> str:
    """`orders: index scans: 1 → 3`; of CPU time also by how much."""
    if not change.seconds:
        return f"{change.name}: {format_work(change.base)} → {format_work(change.head)}"
    base, head = format_duration(change.base), format_duration(change.head)
    ratio = change.head / change.base - 1 if change.base else None
    return f"{change.name}: {base} → {head} ({_change(ratio)})"


def _work(part: PartWork) -> Iterator[str]:
    changed = changed_work(part)
    if not changed:
        yield same_work(part)
    yield from map(work_line, changed[:_MOST_WORK])
    if len(changed) > _MOST_WORK:
        yield f"{len(changed) - _MOST_WORK} more: see comparison.json"
    yield from (work_line(change) for change in part.changes if change.seconds)


def _time(seconds: float | None) -> str:
    return "—" if seconds is None else format_duration(seconds)


def _change(change: float | None) -> str:
    return "—" if change is None else format_change(change)
