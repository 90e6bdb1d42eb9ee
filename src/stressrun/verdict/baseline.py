"""A run held against a stored one: slices at the same place of the same stage are the pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stressrun.load.stage import StageResult
from stressrun.metrics.block import Block
from stressrun.metrics.recorder import RowKey
from stressrun.scenario.model import Comparing
from stressrun.verdict.comparison import Finding, compare, paired
from stressrun.verdict.origin import Origin, differences

Slices = Sequence[Mapping[RowKey, Block]]


@dataclass(frozen=True, slots=True)
class Baseline:
    """A stored run: `file` is where it was read from, `stages` are the slices of those judged."""

    file: str
    run_id: str
    started_at: str
    origin: Origin
    stages: Mapping[str, Slices]


@dataclass(frozen=True, slots=True)
class Against:
    """What came of holding a run against a baseline; `reasons` say why nothing could."""

    baseline: Baseline
    reasons: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def regressed(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.verdict == "regressed"]

    @property
    def undecided(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.verdict == "inconclusive"]

    @property
    def verdict(self) -> str:
        """regressed, inconclusive or passed."""
        if self.regressed:
            return "regressed"
        return "inconclusive" if self.reasons or self.undecided else "passed"


def hold_against(
    baseline: Baseline,
    origin: Origin,
    results: Sequence[StageResult],
    settings: Comparing,
    *,
    usable: bool,
) -> Against:
    """Judge the stages of a run by a baseline, where they can be compared.

    `usable`: all stages were done, and the figures are the target's.
    """
    if not usable:
        return Against(baseline, ("this run was cut short, or is invalid",))
    reasons = differences(baseline.origin, origin)
    pairs = [
        pair
        for result in results
        for pair in zip(baseline.stages.get(result.stage.name, ()), result.slices, strict=False)
    ]
    if not any(rows for pair in pairs for rows in pair):
        reasons.append("no stage that is judged did anything in both runs")
    stored = [block for rows, _ in pairs for block in rows.values() if block.planned]
    if any(settings.figure not in block.figures for block in stored):
        reasons.append(f"it was saved without the {settings.figure} that compare.figure asks for")
    if reasons:
        return Against(baseline, tuple(reasons))
    findings = compare(paired(pairs), settings.figure, settings.baseline_effect)
    return Against(baseline, findings=tuple(findings))
