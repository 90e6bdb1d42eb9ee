"""What the scrapes of one stage come to, of each chosen series."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from stressrun.metrics.scraped import COUNTER, HISTOGRAM, Buckets, Series
from stressrun.monitor.exposition import AbsentError, Labels, Read, UnreadableError
from stressrun.scenario.selector import Selector

# What comes and goes is remembered for a stage: labels whose values are ever new would fill memory.
_MOST_SERIES = 50_000


class Increase:
    """How much counters have grown, each by its labels: those that begin anew count from zero."""

    def __init__(self) -> None:
        self.by_labels: dict[Labels, float] = {}
        self._last: dict[Labels, float] | None = None

    def see(self, values: Mapping[Labels, float]) -> None:
        """Take a scrape; the first is what is counted from."""
        first, last = self._last is None, self._last or {}
        for labels, value in values.items():
            if not math.isfinite(value):
                continue
            before = value if first else last.get(labels, 0.0)
            grown = value - before if value >= before else value
            self.by_labels[labels] = self.by_labels.get(labels, 0.0) + grown
            last[labels] = value
        self._last = last

    @property
    def total(self) -> float:
        return sum(self.by_labels.values())

    def buckets(self) -> Buckets:
        """Of a histogram's buckets, those of all its series added up by their bounds."""
        sums: dict[float, float] = {}
        for labels, grown in self.by_labels.items():
            bound = _bound(dict(labels).get("le", ""))
            if bound is not None:
                sums[bound] = sums.get(bound, 0.0) + grown
        bounds = tuple(sorted(sums))
        counts: list[float] = []
        for bound in bounds:
            # One that was scraped in between can be a little less than the one below it.
            counts.append(max(sums[bound], counts[-1] if counts else 0.0))
        return Buckets(bounds, tuple(counts))


class SeriesWatch:
    """Gathers what a chosen series comes to in a stage."""

    def __init__(self, name: str, selector: Selector) -> None:
        self._name = name
        self._selector = selector
        self._kind = ""
        self._missing = self._gave_up = ""
        self._values = Increase()
        self._sums = Increase()
        self._number = 0
        self._total = 0.0
        self._least = math.inf
        self._most = -math.inf
        self._last: float | None = None

    def see(self, found: Read | UnreadableError) -> None:
        """Take what a scrape found."""
        if self._gave_up:
            return
        if isinstance(found, AbsentError):
            # What is counted for the first time appears then, and has been nothing before.
            self._values.see({})
            self._sums.see({})
            self._missing = "" if self._kind else str(found)
            return
        if isinstance(found, UnreadableError):
            self._missing = str(found)
            return
        self._missing, self._kind = "", found.kind
        if found.kind in (COUNTER, HISTOGRAM):
            self._values.see(found.values)
            self._sums.see(found.sums)
            if len(self._values.by_labels) > _MOST_SERIES:
                self._give_up()
            return
        value = sum(found.values.values())
        if math.isfinite(value):
            self._number += 1
            self._total += value
            self._least, self._most = min(self._least, value), max(self._most, value)
        self._last = value if math.isfinite(value) else None

    def finish(self, seconds: float, missing: str) -> Series:
        """What there is to say of a stage of so many seconds; `missing`: why there is nothing."""
        why = missing or self._gave_up or self._missing
        series = Series(self._name, self._selector.text, self._kind or "unknown", missing=why)
        if why or not self._kind:
            return series
        found = self._found(series, seconds)
        figures = (found.increase, found.rate, found.mean)
        if all(figure is None or math.isfinite(figure) for figure in figures):
            return found
        return replace(series, missing="its numbers add up to more than a number can be")

    def _give_up(self) -> None:
        self._gave_up = (
            f"more than {_MOST_SERIES:,} series of it came and went in the stage: "
            "choose fewer by their labels"
        )
        self._values, self._sums = Increase(), Increase()

    def _found(self, series: Series, seconds: float) -> Series:
        if self._kind == COUNTER:
            grown = self._values.total
            return replace(series, increase=grown, rate=grown / seconds)
        if self._kind == HISTOGRAM:
            buckets = self._values.buckets()
            count = buckets.counts[-1] if buckets.counts else 0.0
            mean = self._sums.total / count if count and self._sums.by_labels else None
            return replace(series, increase=count, rate=count / seconds, mean=mean, buckets=buckets)
        if not self._number:
            return replace(series, missing="it was no number in any sample")
        return replace(
            series,
            mean=self._total / self._number,
            least=self._least,
            most=self._most,
            last=self._last,
        )


def _bound(text: str) -> float | None:
    try:
        bound = float(text)
    except ValueError:
        return None
    return None if math.isnan(bound) or bound == -math.inf else bound
