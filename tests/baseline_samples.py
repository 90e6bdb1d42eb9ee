"""Stored runs and slices put together by hand, for what compares, reads and shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from stressrun.load.stage import StageResult
from stressrun.metrics.block import Block
from stressrun.metrics.recorder import RowKey
from stressrun.scenario.model import Comparing
from stressrun.verdict.baseline import Against, Baseline, Slices, hold_against
from verdict_samples import ORIGIN, results

BROWSE: RowKey = ("endpoint", "browse")
INSERT: RowKey = ("operation", "audit.insert")
FIGURES = ("mean", "p50", "p95", "p99")


def block(seconds: float | None, count: int = 100, failed: int = 0) -> Block:
    """So many that all took the same time."""
    return Block(count, failed, 0, count, dict.fromkeys(FIGURES, seconds))


def slices(*seconds: float, key: RowKey = BROWSE) -> list[Mapping[RowKey, Block]]:
    return [{key: block(each)} for each in seconds]


def stored(stages: Mapping[str, Slices] | None = None, **changes: Any) -> Baseline:
    """A run in which each of eight slices of `peak` had about 10 ms."""
    tenths = {"peak": slices(*(0.01 + n / 1e5 for n in range(8)))}
    baseline = Baseline("base.json", "r0", "2026-01-01T00:00:00+00:00", ORIGIN, stages or tenths)
    return replace(baseline, **changes)


def judged(*seconds: float, key: RowKey = BROWSE) -> list[StageResult]:
    """The sample's results, with slices of `peak`."""
    found = results()
    found[2].slices = slices(*seconds, key=key)
    return found


def held(
    baseline: Baseline,
    stages: Sequence[StageResult],
    settings: Comparing | None = None,
    *,
    usable: bool = True,
) -> Against:
    return hold_against(baseline, ORIGIN, stages, settings or Comparing(), usable=usable)


SLOWER = held(stored(), judged(*((0.01 + n / 1e5) * (1.40 + n / 100) for n in range(8))))
SAME = held(stored(), judged(*(0.0101 + n / 1e5 for n in range(8))))
ELSEWHERE = Against(stored(), ("it was measured on another machine: a; this one has b", "more"))
