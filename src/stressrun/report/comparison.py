"""What came out of a comparison: as text, and as `comparison.json`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stressrun import __version__
from stressrun.report.files import write_whole
from stressrun.report.tables import table
from stressrun.run.events import ComparisonFinished, PartWork
from stressrun.units import format_duration
from stressrun.verdict.comparison import Change, Finding, format_change
from stressrun.verdict.work import WorkChange

REPORT_VERSION = 1
_MOST_WORK = 12


def write_comparison(event: ComparisonFinished, directory: Path) -> Path:
    """Write `comparison.json` into a directory and return its path. Raises ReportError."""
    path = directory / "comparison.json"
    write_whole(path, json.dumps(_document(event), indent=2, ensure_ascii=False) + "\n")
    return path


def comparison_lines(event: ComparisonFinished) -> Iterator[str]:
    """The findings, the other figures, the work for each request, and the verdict."""
    if event.findings:
        yield ""
        yield _findings(event.findings)
        for finding in event.findings:
            if finding.reason:
                yield f"  {finding.name}: {finding.reason}"
        yield ""
        yield "not judged"
        yield ""
        yield _others(event.findings)
    for part in event.work:
        yield from _work(part)
    yield ""
    for line in event.residue:
        yield f"left behind: {line}"
    judgement = event.judgement
    yield f"verdict: {judgement.verdict} (exit code {int(judgement.exit_code)})"
    if judgement.cause:
        yield f"cause: {judgement.cause}"
    if judgement.remedy:
        yield f"remedy: {judgement.remedy}"


def _findings(findings: Sequence[Finding]) -> str:
    figure = findings[0].primary.figure
    headers = ("", f"base {figure}", f"head {figure}", "change", "between", "could see", "verdict")
    return table(headers, [_row(finding) for finding in findings])


def _row(finding: Finding) -> list[str]:
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


def _others(findings: Sequence[Finding]) -> str:
    names = [change.figure for change in findings[0].others]
    rows = [[finding.name, *map(_other, finding.others)] for finding in findings]
    return table(("", *names), rows)


def _other(change: Change) -> str:
    if change.base is None and change.head is None:
        return "—"
    return f"{_time(change.base)} → {_time(change.head)} ({_change(change.ratio)})"


def _work(part: PartWork) -> Iterator[str]:
    if not part.changes:
        return
    changed = [change for change in part.changes if change.changed]
    times = [change for change in part.changes if change.seconds]
    of = f" of {part.only} alone" if part.only else ""
    yield ""
    yield f"work for each iteration{of}"
    if not changed:
        counts = len(part.changes) - len(times)
        yield f"  the same by all of {counts} counts of the database's"
    for change in changed[:_MOST_WORK]:
        yield f"  {change.name}: {change.base:.3g} → {change.head:.3g}"
    if len(changed) > _MOST_WORK:
        yield f"  {len(changed) - _MOST_WORK} more: see comparison.json"
    for change in times:
        base, head = format_duration(change.base), format_duration(change.head)
        ratio = change.head / change.base - 1 if change.base else None
        yield f"  {change.name}: {base} → {head} ({_change(ratio)})"


def _time(seconds: float | None) -> str:
    return "—" if seconds is None else format_duration(seconds)


def _change(change: float | None) -> str:
    return "—" if change is None else format_change(change)


def _document(event: ComparisonFinished) -> dict[str, Any]:
    """Times are seconds, changes are shares of base's figure, work is for each request."""
    judgement = event.judgement
    return {
        "report_version": REPORT_VERSION,
        "run": {
            "id": event.run_id,
            "scenario": event.scenario.name,
            "file": str(event.file),
            "random_seed": event.scenario.random_seed,
            "base": event.base,
            "stage": event.stage,
            "pairs": event.pairs,
            "block": event.scenario.compare.block,
            "min_effect": event.scenario.compare.min_effect,
            "stressrun_version": __version__,
        },
        "verdict": judgement.verdict,
        "exit_code": int(judgement.exit_code),
        "cause": judgement.cause,
        "remedy": judgement.remedy,
        "residue": list(event.residue),
        "findings": [_finding(finding) for finding in event.findings],
        "work": [
            {"only": part.only, "changes": [_work_change(change) for change in part.changes]}
            for part in event.work
        ],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    kind, name = finding.row
    base, head = finding.failed
    return {
        "kind": kind,
        "name": name,
        "verdict": finding.verdict,
        "figure": asdict(finding.primary),
        "effect": finding.effect,
        "low": finding.low,
        "high": finding.high,
        "smallest": finding.smallest,
        "pairs": finding.pairs,
        "failed": {"base": base, "head": head},
        "others": [asdict(change) for change in finding.others],
        "reason": finding.reason,
    }


def _work_change(change: WorkChange) -> dict[str, Any]:
    return {**asdict(change), "changed": change.changed}
