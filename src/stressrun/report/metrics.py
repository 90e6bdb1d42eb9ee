"""Prometheus metrics of a stage: lines for the console, and their part of `report.json`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from stressrun.load.stage import StageResult
from stressrun.metrics.scraped import Scraped, Series
from stressrun.report.machine import gap_lines, gap_parts, machine_lines
from stressrun.units import format_number

_QUANTILES = (0.5, 0.95, 0.99)


def monitored_lines(result: StageResult) -> list[str]:
    """All that was watched of a stage beside its database."""
    machine = [] if result.machine is None else machine_lines(result.machine)
    return [*machine, *metrics_lines(result.metrics)]


def metrics_lines(sources: Sequence[Scraped]) -> list[str]:
    """A line for each source and for each of its series."""
    return [line for source in sources for line in _source(source)]


def metrics_part(sources: Sequence[Scraped]) -> list[dict[str, Any]]:
    """The stage's `metrics` in `report.json`."""
    return [
        {
            "name": source.name,
            "samples": source.samples,
            "gaps": gap_parts(source.gaps),
            "series": [_part(series) for series in source.series],
        }
        for source in sources
    ]


def _part(series: Series) -> dict[str, Any]:
    part = asdict(series)
    del part["buckets"]
    for q in _QUANTILES:
        part[_name(q)] = None if series.buckets is None else series.buckets.quantile(q)
    return part


def _source(source: Scraped) -> Iterator[str]:
    yield f"metrics of {source.name}:"
    width = max((len(series.name) for series in source.series), default=0)
    told = {gap.why for gap in source.gaps}
    for series in source.series:
        figures = [f"{name} {format_number(value)}" for name, value in _figures(series)]
        shown = " · ".join(figures) or series.missing or "nothing"
        if shown not in told:
            yield f"  {series.name:<{width}}  {shown}"
    yield from gap_lines(source.gaps, "  ")


def _figures(series: Series) -> Iterator[tuple[str, float]]:
    figures = [
        ("rate", series.rate),
        ("mean", series.mean),
        ("min", series.least),
        ("max", series.most),
        ("last", series.last),
        ("value", series.value),
    ]
    if series.buckets is not None:
        figures += [(_name(q), series.buckets.quantile(q)) for q in _QUANTILES]
    yield from ((name, value) for name, value in figures if value is not None)


def _name(q: float) -> str:
    return f"p{q * 100:.0f}"
