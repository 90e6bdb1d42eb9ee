"""Slow requests held against lock waits: which were under way while somebody waited.

A request is looked at when the waits of its time are known, and only counted then: in histograms,
for it is not known yet which times will be over the p99.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping

from stressrun.metrics.histogram import Histogram
from stressrun.metrics.slowest import Slowest
from stressrun.monitor.intervals import Intervals
from stressrun.postgres.findings import Overlap, SlowRequests

ENOUGH = 10
"""Requests of which a share can be stated."""


class Overlaps:
    """Counts the slow requests of a stage, by the places whose lock waits they overlapped."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, int]] = deque()
        self._kept_above = 0
        self._all = Histogram()
        self._unknown = Histogram()
        self._overlapping = Histogram()
        self._by_place: defaultdict[str, Histogram] = defaultdict(Histogram)

    def hear(self, slowest: Slowest) -> None:
        """Take a worker's slowest requests since it last told."""
        if slowest.active:
            self._kept_above = max(self._kept_above, slowest.limit)
            self._waiting.extend(slowest.kept)

    def settle(self, until: int, waits: Mapping[str, Intervals], gaps: Intervals) -> None:
        """Count the requests that ended until an instant, up to which all waits are known."""
        later: deque[tuple[int, int]] = deque()
        for response, end in self._waiting:
            if end > until:
                later.append((response, end))
            else:
                self._count(response, end, waits, gaps)
        self._waiting = later

    def finish(
        self, requests: Histogram, start: int, end: int, waits: Mapping[str, Intervals]
    ) -> SlowRequests | None:
        """Tell of the requests of a stage over the p99 of all; None: too few for that."""
        p99 = requests.quantile(0.99)
        if p99 is None:
            return None
        over = max(p99, float(self._kept_above))
        count = self._all.above(over)
        by_place = {place: times.above(over) for place, times in self._by_place.items()}
        overlaps = [
            Overlap(
                place=place,
                count=overlapping,
                share=overlapping / count if count >= ENOUGH else None,
                by_chance=waits[place].reached(start, end, round(over)) / max(1, end - start),
            )
            for place, overlapping in by_place.items()
            if overlapping
        ]
        return SlowRequests(
            over=over / 1e9,
            is_p99=over == p99,
            count=count,
            unknown=self._unknown.above(over),
            overlapping=self._overlapping.above(over),
            overlaps=tuple(sorted(overlaps, key=lambda overlap: -overlap.count)),
        )

    def _count(
        self, response: int, end: int, waits: Mapping[str, Intervals], gaps: Intervals
    ) -> None:
        begin = end - response
        oldest = max((intervals.known_since for intervals in waits.values()), default=0)
        if begin < oldest or gaps.overlap(begin, end):
            self._unknown.record(response)
            return
        self._all.record(response)
        places = [place for place, intervals in waits.items() if intervals.overlap(begin, end)]
        for place in places:
            self._by_place[place].record(response)
        if places:
            self._overlapping.record(response)
