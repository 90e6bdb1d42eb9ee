"""Runs that have ended, put together by hand, for the reports on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from stressrun.errors import ExitCode, Position
from stressrun.load.stage import StageResult
from stressrun.report.cases import Case, Conclusion, conclude
from stressrun.run.events import RunFinished
from stressrun.safety.masking import Mask
from stressrun.scenario.nodes import Place
from stressrun.verdict.thresholds import evaluate
from verdict_samples import ORIGIN, results, scenario

THRESHOLDS = (
    "http p95 < 1ms",
    "http errors < 1%",
    "endpoint checkout p99 < 1s in peak",
    "write audit.insert p95 < 1s in peak",
)
"""Of the sample's results: 400 ms, 0.42 %, no data, 5 ms."""

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

# What a server may answer, and what means something to a format that a report is written in.
anything = st.text(max_size=40) | st.text("a.w:@#|`*_<>[]()\\~$&%\"'\n\r\t\x00\x1b ", max_size=40)


def finished(
    *thresholds: str, stages: Sequence[StageResult] | None = None, **changes: Any
) -> RunFinished:
    """A run over the sample's results, judged by its thresholds."""
    given = scenario(*(thresholds or THRESHOLDS))
    given = replace(
        given,
        thresholds=tuple(
            replace(threshold, place=("thresholds", index))
            for index, threshold in enumerate(given.thresholds)
        ),
    )
    found = tuple(results() if stages is None else stages)
    event = RunFinished(
        run_id="r1",
        scenario=given,
        file=Path("sample.yaml"),
        origin=ORIGIN,
        started_at=START,
        ended_at=START + timedelta(seconds=42),
        stages=found,
        thresholds=tuple(evaluate(given, found)),
        invariants=(),
        verdict="failed",
        exit_code=ExitCode.FAILED,
        cause="threshold failed: http p95 < 1ms and 1 more",
        remedy="look at the tables",
    )
    return replace(event, **changes)


def where(place: Place) -> Position:
    """A threshold on each line from the eleventh."""
    return Position("load/sample.yaml", 11 + int(place[1]), 5)


def concluded(event: RunFinished | None = None, secrets: Sequence[str] = ()) -> Conclusion:
    return conclude(event or finished(), where, Mask(secrets))


def with_cases(texts: Sequence[str]) -> Conclusion:
    """A run with a failed case of each text."""
    sample = concluded()
    cases = (
        Case("threshold", text, (None, "peak")[index % 2], "failed", text, Position(text, 1, 1))
        for index, text in enumerate(texts)
    )
    return replace(sample, cases=tuple(cases))
