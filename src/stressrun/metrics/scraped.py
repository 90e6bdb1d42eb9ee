"""What a Prometheus exporter or server said of a stage."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from stressrun.metrics.gap import Gap
from stressrun.metrics.usage import masked_gaps

COUNTER, GAUGE, HISTOGRAM, QUERY = "counter", "gauge", "histogram", "query"


@dataclass(frozen=True, slots=True)
class Buckets:
    """How many observations of a stage are at most `bound`, for all bounds from the least on."""

    bounds: tuple[float, ...]
    counts: tuple[float, ...]

    def quantile(self, q: float) -> float | None:
        """As PromQL's histogram_quantile: straight lines within a bucket.

        None without buckets, of fewer than 1/(1 − q) observations, and of numbers out of bounds.
        What is in the last bucket, of no upper bound, counts as the bound below it.
        """
        if not self.counts or not math.isinf(self.bounds[-1]) or len(self.bounds) < 2:
            return None
        total = self.counts[-1]
        if total * (1 - q) < 1 - 1e-9 or not math.isfinite(total):
            return None
        rank = q * total
        index = next(i for i, count in enumerate(self.counts) if count >= rank)
        if index == len(self.bounds) - 1:
            return self.bounds[-2]
        upper = self.bounds[index]
        if index == 0 and upper <= 0:
            return upper
        lower = self.bounds[index - 1] if index else 0.0
        below = self.counts[index - 1] if index else 0.0
        within = self.counts[index] - below
        return lower + (upper - lower) * (rank - below) / within if within else upper


@dataclass(frozen=True, slots=True)
class Series:
    """The figures of a chosen series, or the answer to a query; `source` is how it was asked for.

    A counter and a histogram have `increase` and `rate` (per second), a gauge `mean`, `least`,
    `most` and `last`, a histogram the `mean` of what it observed and its `buckets`, a query its
    `value`. `missing` says why there is nothing.
    """

    name: str
    source: str
    kind: str
    increase: float | None = None
    rate: float | None = None
    mean: float | None = None
    least: float | None = None
    most: float | None = None
    last: float | None = None
    value: float | None = None
    buckets: Buckets | None = None
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Scraped:
    """All that was asked of one exporter or server, by the name that the scenario gives it."""

    name: str
    samples: int
    gaps: tuple[Gap, ...]
    series: tuple[Series, ...]

    def masked(self, mask: Callable[[str], str]) -> Scraped:
        """The same with the secrets taken out of all texts."""
        series = tuple(
            replace(each, source=mask(each.source), missing=mask(each.missing))
            for each in self.series
        )
        return replace(self, gaps=masked_gaps(self.gaps, mask), series=series)


def found(scraped: Sequence[Scraped], name: str, series: str) -> Series | None:
    """A series by its name and that of its source; None: it was not asked for."""
    return next(
        (
            each
            for source in scraped
            if source.name == name
            for each in source.series
            if each.name == series
        ),
        None,
    )
