"""`comparison.json`: a comparison as a document with a schema of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from stressrun import __version__
from stressrun.report.cases import Conclusion
from stressrun.report.findings import finding_part
from stressrun.run.events import ComparisonFinished, PartWork

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
        "findings": [finding_part(finding, mask) for finding in event.findings],
        "work": [_work(part, mask) for part in event.work],
    }


def _work(part: PartWork, mask: Callable[[str], str]) -> dict[str, Any]:
    changes = [
        {**asdict(change), "name": mask(change.name), "changed": change.changed}
        for change in part.changes
    ]
    return {"only": mask(part.only), "changes": changes}
