"""Comparisons that have ended, put together by hand, for the reports on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from report_samples import START
from stressrun.errors import ExitCode, Position
from stressrun.report.cases import Conclusion, conclude_comparison
from stressrun.run.events import ComparisonFinished, PartWork
from stressrun.safety.masking import Mask
from stressrun.scenario.nodes import Place
from stressrun.verdict.comparison import Change, Finding
from stressrun.verdict.work import WorkChange
from verdict_samples import scenario

OTHERS = (Change("mean", 0.009, 0.010), Change("p50", None, None))
UNCHANGED = Finding(
    ("endpoint", "browse"),
    "unchanged",
    Change("p95", 0.010, 0.0101),
    OTHERS,
    (0.0, 0.0),
    8,
    effect=0.01,
    low=-0.02,
    high=0.03,
    smallest=0.05,
)
REGRESSED = replace(
    UNCHANGED,
    row=("endpoint", "checkout"),
    verdict="regressed",
    primary=Change("p95", 0.020, 0.030),
    effect=0.5,
    low=0.4,
    high=math.inf,
    smallest=0.1,
)
INCONCLUSIVE = Finding(
    ("operation", "audit.insert"),
    "inconclusive",
    Change("p95", None, None),
    OTHERS,
    (0.0, 0.01),
    0,
    reason="a block has too few for a p95, which needs 20",
)
IMPROVED = replace(
    UNCHANGED, row=("operation", "audit.update"), verdict="improved", effect=-0.3, high=-0.2
)
FINDINGS = (UNCHANGED, IMPROVED, INCONCLUSIVE, REGRESSED)
WORK = PartWork(
    "",
    (
        WorkChange("orders: index scans", 1.0, 3.0, changed=True),
        WorkChange("transactions", 1.0, 1.0),
        WorkChange("orders: rows read in sequential scans", 1_350.2, 1_350.4),
        WorkChange("CPU of api", 0.002, 0.003, seconds=True),
    ),
)


def compared(**changes: Any) -> ComparisonFinished:
    """A comparison of the sample scenario in which the checkout has regressed."""
    event = ComparisonFinished(
        run_id="r1",
        scenario=scenario(),
        file=Path("sample.yaml"),
        started_at=START,
        ended_at=START + timedelta(seconds=42),
        base="1a2b3c4d5, origin/main",
        stage="peak",
        pairs=8,
        findings=FINDINGS,
        work=(WORK,),
        verdict="failed",
        exit_code=ExitCode.FAILED,
        cause="regressed: endpoint checkout (p95 +50 %, +40 % to ∞)",
        remedy="for each iteration it does other work: orders: index scans 1 → 3",
    )
    return replace(event, **changes)


def where(place: Place) -> Position:
    """The endpoints from the line 21 on, the write mixes from the line 31 on."""
    section, index = place
    return Position(
        "load/sample.yaml", {"endpoints": 21, "writes": 31}[str(section)] + int(index), 3
    )


def concluded(
    event: ComparisonFinished | None = None, secrets: Sequence[str] = ()
) -> Conclusion[ComparisonFinished]:
    return conclude_comparison(event or compared(), where, Mask(secrets))


def named(text: str) -> ComparisonFinished:
    """A comparison in which everything that has a name has this one."""
    event = compared()
    sample = event.scenario
    endpoints = tuple(replace(endpoint, name=text) for endpoint in sample.endpoints)
    findings = [replace(REGRESSED, row=("endpoint", text)), replace(INCONCLUSIVE, reason=text)]
    changes = tuple(replace(change, name=text) for change in WORK.changes)
    return replace(
        event,
        scenario=replace(sample, name=text, endpoints=endpoints),
        base=text,
        stage=text,
        findings=tuple(findings),
        work=(PartWork("", changes), PartWork(text, changes)),
        cause=text,
        remedy=text,
        warnings=(text,),
        residue=(text,),
    )
