"""The generator's own figures of a stage, as lines for the console."""

from __future__ import annotations

from stressrun.load.stage import StageResult
from stressrun.metrics.histogram import Histogram
from stressrun.metrics.recorder import LEAST_LAG
from stressrun.metrics.summary import summarise
from stressrun.scenario.model import Arrivals
from stressrun.units import format_duration, format_share
from stressrun.verdict.distortion import SATURATED, busiest

# A stop that somebody who reads the stage's figures should know of, whatever it has moved.
_LONG = 100_000_000
_MUCH = 0.1


def generator_lines(result: StageResult) -> list[str]:
    """What the load generator did itself, and what of it a reader of the figures has to know."""
    generator = result.generator
    named = (("lag", result.books.lag), ("loop lag", result.books.loop_lag))
    parts = [f"{name} {_times(lag)}" for name, lag in named if lag.count]
    many = f" (the busiest of {generator.workers} workers)" if generator.workers > 1 else ""
    parts.append(f"CPU {format_share(generator.cpu_share)} of a core{many}")
    if generator.waiting_seconds is not None:
        parts.append(f"waited for a core {format_duration(generator.waiting_seconds)}")
    return [f"generator: {' · '.join(parts)}", *_late(result), *_limits(result)]


def _times(histogram: Histogram) -> str:
    figures = summarise(histogram)
    shown = (("p50", figures.p50), ("p99", figures.p99), ("max", figures.max))
    return ", ".join(f"{name} {format_duration(time)}" for name, time in shown if time is not None)


def _late(result: StageResult) -> list[str]:
    """That starts were late by long, or else that something stopped the generator."""
    books, lines = result.books, []
    if books.lag.maximum >= _LONG:
        longest, least = (format_duration(time / 1e9) for time in (books.lag.maximum, LEAST_LAG))
        share = format_share(books.lag.above(LEAST_LAG) / books.lag.count)
        lines.append(
            f"warning: starts were late by up to {longest}, {share} of them by more than {least}"
        )
    elif books.loop_lag.maximum >= _LONG:
        stop = format_duration(books.loop_lag.maximum / 1e9)
        lines.append(f"warning: the generator came to nothing for up to {stop}")
    if books.missed:
        lines.append(f"warning: the generator was too late for {books.missed:,} arrivals")
    return lines


def _limits(result: StageResult) -> list[str]:
    """That what was as fast as it could be was so by the generator's own limit, too."""
    lines = []
    loads = {"endpoints": result.stage.endpoints, "writes": result.stage.writes}
    for load in (name for name, wanted in loads.items() if not isinstance(wanted, Arrivals)):
        busy = busiest(result, load)
        waiting = max((use.waiting_share or 0.0 for use in result.generator.of(load)), default=0.0)
        if busy >= SATURATED:
            lines.append(
                f"warning: the generator used {format_share(busy)} of its core: the {load} were as "
                "fast as it is, not as the target"
            )
        elif waiting >= _MUCH:
            lines.append(
                f"warning: the generator waited for a core in {format_share(waiting)} of the time: "
                f"the times of the {load} hold that"
            )
    return lines
