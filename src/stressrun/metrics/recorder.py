"""What one stage did, row by row: the books of a worker, merged in the controller.

A row is an endpoint, a step of one, or a database operation. For every row
planned = succeeded + failed + dropped + interrupted + unknown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from stressrun.metrics.histogram import Histogram

RowKey = tuple[str, str]
_COUNTERS = (
    "planned",
    "succeeded",
    "failed",
    "dropped",
    "interrupted",
    "unknown",
    "retried",
    "bytes_sent",
    "bytes_received",
)


class Row:
    """Counters and histograms of one row. Times are nanoseconds; response includes waiting."""

    __slots__ = (
        *_COUNTERS,
        "errors",
        "failed_response",
        "failed_service",
        "succeeded_response",
        "succeeded_service",
    )

    def __init__(self) -> None:
        self.planned = 0
        self.succeeded = 0
        self.failed = 0
        self.dropped = 0
        self.interrupted = 0
        self.unknown = 0
        self.retried = 0
        self.bytes_sent = 0
        self.bytes_received = 0
        self.errors: defaultdict[str, int] = defaultdict(int)
        self.succeeded_service = Histogram()
        self.succeeded_response = Histogram()
        self.failed_service = Histogram()
        self.failed_response = Histogram()

    def succeed(self, service: int, response: int, sent: int, received: int) -> None:
        """Count one success."""
        self.succeeded += 1
        self.bytes_sent += sent
        self.bytes_received += received
        self.succeeded_service.record(service)
        self.succeeded_response.record(response)

    def fail(
        self, error: str, service: int | None, response: int, sent: int, received: int
    ) -> None:
        """Count one failure under its kind; what was never sent has no service time."""
        self.failed += 1
        self.errors[error] += 1
        self.bytes_sent += sent
        self.bytes_received += received
        if service is not None:
            self.failed_service.record(service)
        self.failed_response.record(response)

    @property
    def service(self) -> Histogram:
        """Service times of all that was answered or failed."""
        return _merged(self.succeeded_service, self.failed_service)

    @property
    def response(self) -> Histogram:
        """Response times of all that was answered or failed."""
        return _merged(self.succeeded_response, self.failed_response)

    def merge(self, other: Row) -> None:
        """Add another row's counts to this one's."""
        for counter in _COUNTERS:
            setattr(self, counter, getattr(self, counter) + getattr(other, counter))
        for error, count in other.errors.items():
            self.errors[error] += count
        for histogram in _HISTOGRAMS:
            getattr(self, histogram).merge(getattr(other, histogram))

    def drain(self) -> dict[str, Any]:
        """The content as JSON for `from_wire`; empties the row."""
        wire: dict[str, Any] = {counter: getattr(self, counter) for counter in _COUNTERS}
        for counter in _COUNTERS:
            setattr(self, counter, 0)
        wire["errors"] = dict(self.errors)
        self.errors.clear()
        for histogram in _HISTOGRAMS:
            wire[histogram] = getattr(self, histogram).drain()
        return wire

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Row:
        """The row that `drain` described."""
        row = cls()
        for counter in _COUNTERS:
            setattr(row, counter, wire[counter])
        row.errors.update(wire["errors"])
        for histogram in _HISTOGRAMS:
            setattr(row, histogram, Histogram.from_wire(wire[histogram]))
        return row


_HISTOGRAMS = ("succeeded_service", "succeeded_response", "failed_service", "failed_response")


class Recorder:
    """All rows of a stage, and how late its generator was."""

    def __init__(self) -> None:
        self.rows: dict[RowKey, Row] = {}
        self.lag = Histogram()

    def row(self, kind: str, name: str) -> Row:
        """The row of a kind (endpoint, step, operation) and name, made where missing."""
        key = (kind, name)
        if key not in self.rows:
            self.rows[key] = Row()
        return self.rows[key]

    def settle(self) -> None:
        """Count as unknown what has no outcome: its worker was lost before it could tell."""
        for row in self.rows.values():
            told = row.succeeded + row.failed + row.dropped + row.interrupted + row.unknown
            row.unknown += row.planned - told

    def merge(self, other: Recorder) -> None:
        """Add another recorder's books to this one's."""
        for key, row in other.rows.items():
            self.row(*key).merge(row)
        self.lag.merge(other.lag)

    def drain(self) -> dict[str, Any]:
        """The content as JSON for `from_wire`; empties the rows but keeps them."""
        return {
            "rows": [[kind, name, row.drain()] for (kind, name), row in self.rows.items()],
            "lag": self.lag.drain(),
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Recorder:
        """The recorder that `drain` described."""
        recorder = cls()
        for kind, name, row in wire["rows"]:
            recorder.rows[kind, name] = Row.from_wire(row)
        recorder.lag = Histogram.from_wire(wire["lag"])
        return recorder


def _merged(*histograms: Histogram) -> Histogram:
    merged = Histogram()
    for histogram in histograms:
        merged.merge(histogram)
    return merged
