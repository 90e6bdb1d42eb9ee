"""Whether a stage delivered its load: figures of a stage that did not judge nothing.

What was dropped or never answered is in no percentile, and failures are often quick: a service
that hangs or refuses would pass every latency threshold. Arrivals and given numbers of iterations
are a plan to be kept; virtual users do as much as the answers allow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stressrun.load.stage import StageResult
from stressrun.metrics.recorder import Row
from stressrun.scenario.model import Users
from stressrun.units import format_share

LEAST_ACHIEVED = 0.95
MOST_ERRORS = 0.2


def undelivered(results: Sequence[StageResult]) -> list[str]:
    """What is wrong with the load of judged stages, a line each."""
    lines = []
    for result in results:
        stage = result.stage
        if stage.warmup:
            continue
        for kind, load in (
            ("endpoint", result.stage.endpoints),
            ("operation", result.stage.writes),
        ):
            if load is not None:
                rows = [row for key, row in result.books.rows.items() if key[0] == kind]
                lines += _faults(stage.name, rows, has_plan=not isinstance(load, Users))
    return lines


def _faults(stage: str, rows: Iterable[Row], *, has_plan: bool) -> list[str]:
    total = Row()
    for row in rows:
        total.merge(row)
    ended = total.succeeded + total.failed
    if total.planned and has_plan and ended < LEAST_ACHIEVED * total.planned:
        share = format_share(ended / total.planned)
        return [
            f"stage {stage} achieved {share} of its plan: "
            f"{total.dropped:,} dropped, {total.interrupted:,} interrupted"
        ]
    if ended and total.failed > MOST_ERRORS * ended:
        return [f"in stage {stage} {format_share(total.failed / ended)} failed"]
    return []
