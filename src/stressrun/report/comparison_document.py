"""`comparison.json`: a comparison as a document with a schema of its own."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from stressrun import __version__
from stressrun.report.cases import Conclusion
from stressrun.run.events import ComparisonFinished, PartWork
from stressrun.verdict.comparison import Finding

REPORT_VERSION = 1


def comparison_text(conclusion: Conclusion[ComparisonFinished]) -> str:
    """The report of a comparison as JSON."""
    return json.dumps(comparison_document(conclusion), indent=2, ensure_ascii=False) + "\n"


def comparison_document(conclusion: Conclusion[ComparisonFinished]) -> dict[str, Any]:
    """Times are seconds, changes are shares of base's figure, work is for each iteration."""
    event, mask = conclusion.event, conclusion.mask.text
    compare = event.scenario.compare
    return {
        "report_version": REPORT_VERSION,
        "run": {
            "id": event.run_id,
            "scenario": mask(event.scenario.name),
            "file": mask(str(event.file)),
            "environment": event.scenario.environment,
            "random_seed": event.scenario.random_seed,
            "started_at": event.started_at.isoformat(),
            "ended_at": event.ended_at.isoformat(),
            "base": mask(event.base),
            "stage": mask(event.stage),
            "pairs": event.pairs,
            "block": compare.block,
            "figure": compare.figure,
            "min_effect": compare.min_effect,
            "reset": compare.reset,
            "stressrun_version": __version__,
        },
        "verdict": event.verdict,
        "exit_code": int(event.exit_code),
        "cause": mask(event.cause),
        "remedy": mask(event.remedy),
        "warnings": [mask(line) for line in conclusion.warnings],
        "residue": [mask(line) for line in event.residue],
        "findings": [_finding(finding, mask) for finding in event.findings],
        "work": [_work(part, mask) for part in event.work],
    }


def _finding(finding: Finding, mask: Callable[[str], str]) -> dict[str, Any]:
    kind, name = finding.row
    base, head = finding.failed
    return {
        "kind": kind,
        "name": mask(name),
        "verdict": finding.verdict,
        "figure": asdict(finding.primary),
        "effect": finding.effect,
        "low": _bound(finding.low),
        "high": _bound(finding.high),
        "smallest": _bound(finding.smallest),
        "pairs": finding.pairs,
        "failed": {"base": base, "head": head},
        "others": [asdict(change) for change in finding.others],
        "reason": mask(finding.reason),
    }


def _bound(change: float | None) -> float | None:
    """JSON has no infinity, which is the bound where few pairs allow none."""
    return change if change is not None and math.isfinite(change) else None


def _work(part: PartWork, mask: Callable[[str], str]) -> dict[str, Any]:
    changes = [
        {**asdict(change), "name": mask(change.name), "changed": change.changed}
        for change in part.changes
    ]
    return {"only": mask(part.only), "changes": changes}
