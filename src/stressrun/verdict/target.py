"""Whether what was to be measured was there: then nothing is said of how it did."""

from __future__ import annotations

from collections.abc import Sequence

from stressrun.load.stage import StageResult
from stressrun.units import format_duration
from stressrun.verdict.judgement import Fault

# Of a stage's time: workers that wait for a database do nothing that could be slow or fail.
_MOST_LOST = 0.05


def lost_target(results: Sequence[StageResult]) -> Fault | None:
    """A judged stage in which the database took no connections for a good part of the time."""
    for result in results:
        lost = result.pool.lost_seconds
        if not result.stage.warmup and lost > _MOST_LOST * result.elapsed:
            return Fault(
                f"the database took no connections for {format_duration(lost)} of stage "
                f"{result.stage.name}",
                "see the server's own log",
            )
    return None
