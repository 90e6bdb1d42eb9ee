"""The generator's own figures of a stage, as lines for the console."""

from __future__ import annotations

from stressrun.load.stage import StageResult
from stressrun.metrics.recorder import LEAST_LAG
from stressrun.metrics.summary import summarise
from stressrun.scenario.model import Arrivals
from stressrun.units import format_duration, format_share
from stressrun.verdict.distortion import SATURATED, busiest

# A stop that somebody who reads the stage's figures should know of, whatever it has moved.
_LONG = 100_000_000


def generator_lines(result: StageResult) -> list[str]:
    """What the load generator did itself, and what of it a reader of the figures has to know."""
    generator = result.generator
    lag = summarise(result.books.lag)
    parts = []
    if lag.max is not None:
        figures = (("p50", lag.p50), ("p99", lag.p99), ("max", lag.max))
        shown = [f"{name} {format_duration(time)}" for name, time in figures if time is not None]
        parts.append(f"lag {', '.join(shown)}")
    many = f" (the busiest of {generator.workers} workers)" if generator.workers > 1 else ""
    parts.append(f"CPU {format_share(generator.cpu_share)} of a core{many}")
    if generator.waiting_seconds is not None:
        parts.append(f"waited for a core {format_duration(generator.waiting_seconds)}")
    parts.append(f"longest stall {format_duration(generator.longest_stall)}")
    return [f"generator: {' · '.join(parts)}", *_late(result), *_limits(result)]


def _late(result: StageResult) -> list[str]:
    """That something stopped the generator, and for how many it started late."""
    lag, loop_lag = result.books.lag, result.books.loop_lag
    longest = max(lag.maximum, loop_lag.maximum)
    if longest < _LONG:
        return []
    line = f"warning: the generator came to nothing for up to {format_duration(longest / 1e9)}"
    if lag.count:
        share = format_share(lag.above(LEAST_LAG) / lag.count)
        line += f": {share} of the starts were late by more than {format_duration(LEAST_LAG / 1e9)}"
    return [line]


def _limits(result: StageResult) -> list[str]:
    """That what was as fast as it can be was so by the generator's own limit."""
    loads = {"endpoints": result.stage.endpoints, "writes": result.stage.writes}
    return [
        f"warning: the generator used {format_share(share)} of its core, so that the {load} were "
        "as fast as it is, not as the target"
        for load, wanted in loads.items()
        if not isinstance(wanted, Arrivals) and (share := busiest(result, load)) >= SATURATED
    ]
