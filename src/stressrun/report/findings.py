"""Findings as JSON: of base and head, and of a run and its baseline."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from stressrun.verdict.comparison import Finding


def finding_part(finding: Finding, mask: Callable[[str], str]) -> dict[str, Any]:
    """A finding; changes are shares of base's figure."""
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
