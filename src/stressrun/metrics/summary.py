"""A histogram's figures, as reports and thresholds read them."""

from __future__ import annotations

from dataclasses import dataclass

from stressrun.metrics.histogram import Histogram

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}


@dataclass(frozen=True, slots=True)
class Summary:
    """Seconds; None where there are too few values to say."""

    mean: float | None
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    p999: float | None
    max: float | None


def summarise(histogram: Histogram) -> Summary:
    """The figures of a histogram of nanoseconds, in seconds."""
    if not histogram.count:
        return Summary(None, None, None, None, None, None, None)
    percentiles = {name: _seconds(histogram.quantile(q)) for name, q in PERCENTILES.items()}
    return Summary(mean=histogram.mean / 1e9, max=histogram.maximum / 1e9, **percentiles)


def _seconds(nanoseconds: float | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / 1e9
