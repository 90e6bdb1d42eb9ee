"""What one stage did, row by row: the books of a worker, merged in the controller.

A row is an endpoint, a step of one, a login, or a database operation. For every row
planned = succeeded + failed + dropped + interrupted + unknown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from stressrun.metrics.excerpt import MOST, MOST_OF_DETAIL, shortened
from stressrun.metrics.histogram import Histogram
from stressrun.metrics.slowest import Slowest
from stressrun.metrics.times import Times, merged

RowKey = tuple[str, str]
_COUNTERS = (
    "planned",
    "succeeded",
    "failed",
    "dropped",
    "interrupted",
    "unknown",
    "retried",
    "redirected",
    "bytes_sent",
    "bytes_received",
    "rows",
    "rows_added",
)
_SAMPLES = 3
LEAST_LAG = 1_000_000
"""Nanoseconds of lag that are worth keeping: less is what any machine needs to wake a process."""
_SAMPLED_KINDS = 20


@dataclass(frozen=True, slots=True)
class Sample:
    """A failure as it happened: what was sent and what came back, as excerpts."""

    error: str
    detail: str
    request: str
    answer: str

    def masked(self, mask: Callable[[str], str]) -> Sample:
        """The sample with its texts as `mask` leaves them, then cut to a readable size.

        The kind is stressrun's own word.
        """
        return Sample(
            self.error,
            shortened(mask(self.detail), MOST_OF_DETAIL),
            shortened(mask(self.request), MOST),
            shortened(mask(self.answer), MOST),
        )


class Row:
    """Counters and times of one row; `samples` are the first failures of each kind.

    `rows` of the database were written or found, `rows_added` inserted less deleted. `lagged` are
    the response times that hold a lag of the generator's, `unlagged` the same without it.
    """

    __slots__ = (
        *_COUNTERS,
        "errors",
        "failed_times",
        "lagged",
        "samples",
        "succeeded_times",
        "unlagged",
    )

    def __init__(self) -> None:
        self.planned = 0
        self.succeeded = 0
        self.failed = 0
        self.dropped = 0
        self.interrupted = 0
        self.unknown = 0
        self.retried = 0
        self.redirected = 0
        self.bytes_sent = 0
        self.bytes_received = 0
        self.rows = 0
        self.rows_added = 0
        self.errors: defaultdict[str, int] = defaultdict(int)
        self.samples: dict[str, list[Sample]] = {}
        self.succeeded_times = Times()
        self.failed_times = Times()
        self.lagged = Histogram()
        self.unlagged = Histogram()

    def succeed(
        self,
        service: int,
        response: int,
        sent: int,
        received: int,
        first_byte: int | None = None,
    ) -> None:
        """Count one success; times in nanoseconds, sizes in bytes."""
        self.succeeded += 1
        self.bytes_sent += sent
        self.bytes_received += received
        self.succeeded_times.record(service, response, first_byte)

    def fail(
        self,
        error: str,
        service: int | None,
        response: int,
        sent: int,
        received: int,
        first_byte: int | None = None,
    ) -> None:
        """Count one failure under its kind; what was never sent has no service time."""
        self.failed += 1
        self.errors[error] += 1
        self.bytes_sent += sent
        self.bytes_received += received
        if service is None:
            self.failed_times.record_unsent(response)
        else:
            self.failed_times.record(service, response, first_byte)

    def lag(self, response: int, lag: int) -> None:
        """Tell that of a response time that was counted so much was the generator's own."""
        self.lagged.record(response)
        self.unlagged.record(max(0, response - lag))

    def refuse(self, error: str) -> str:
        """Count a failure of something that could not even begin, and has no times."""
        self.failed += 1
        self.errors[error] += 1
        return error

    def wants_sample(self, error: str) -> bool:
        """Whether a failure of this kind is still to be kept as a sample."""
        kept = self.samples.get(error)
        return len(self.samples) < _SAMPLED_KINDS if kept is None else len(kept) < _SAMPLES

    def keep(self, sample: Sample) -> None:
        """Keep a sample that is wanted."""
        self.samples.setdefault(sample.error, []).append(sample)

    @property
    def service(self) -> Histogram:
        """Service times of all that was answered or failed."""
        return merged(self.succeeded_times.service, self.failed_times.service)

    @property
    def response(self) -> Histogram:
        """Response times of all that was answered or failed."""
        return merged(self.succeeded_times.response, self.failed_times.response)

    @property
    def response_without_lag(self) -> Histogram:
        """Response times without what the generator's own lag added to them."""
        return self.response.replacing(self.lagged, self.unlagged)

    @property
    def first_byte(self) -> Histogram:
        """Times to the first byte of all that was answered or failed."""
        return merged(self.succeeded_times.first_byte, self.failed_times.first_byte)

    def merge(self, other: Row) -> None:
        """Add another row's counts to this one's."""
        for counter in _COUNTERS:
            setattr(self, counter, getattr(self, counter) + getattr(other, counter))
        for error, count in other.errors.items():
            self.errors[error] += count
        for samples in other.samples.values():
            for sample in samples:
                if self.wants_sample(sample.error):
                    self.keep(sample)
        for times in (*_TIMES, *_LAG):
            getattr(self, times).merge(getattr(other, times))

    def drain(self) -> dict[str, Any]:
        """The content as JSON for `from_wire`; empties the row."""
        wire: dict[str, Any] = {counter: getattr(self, counter) for counter in _COUNTERS}
        for counter in _COUNTERS:
            setattr(self, counter, 0)
        wire["errors"] = dict(self.errors)
        self.errors.clear()
        for times in (*_TIMES, *_LAG):
            wire[times] = getattr(self, times).drain()
        wire["samples"] = [asdict(sample) for kept in self.samples.values() for sample in kept]
        self.samples.clear()
        return wire

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Row:
        """The row that `drain` described."""
        row = cls()
        for counter in _COUNTERS:
            setattr(row, counter, wire[counter])
        row.errors.update(wire["errors"])
        for times in _TIMES:
            setattr(row, times, Times.from_wire(wire[times]))
        for histogram in _LAG:
            setattr(row, histogram, Histogram.from_wire(wire[histogram]))
        for sample in wire["samples"]:
            row.keep(Sample(**sample))
        return row


_TIMES = ("succeeded_times", "failed_times")
_LAG = ("lagged", "unlagged")


class Recorder:
    """All rows of a stage, how late its generator was, and how its connections were opened.

    `missed` arrivals were dropped because the generator was late, though a virtual user was free.

    `lag` is how late iterations started that a virtual user was free for; `loop_lag` is how late a
    worker's loop came to look at the clock, at even instants; `connect` and `tls` are the times of
    each connection's opening and of its TLS handshake; nanoseconds. The `slowest` requests, and
    what was `made` that has to be undone, are news only: they are told, and not merged.
    """

    def __init__(self) -> None:
        self.rows: dict[RowKey, Row] = {}
        self.missed = 0
        self.lag = Histogram()
        self.loop_lag = Histogram()
        self.connect = Histogram()
        self.tls = Histogram()
        self.slowest = Slowest()
        self.made: list[tuple[str, str]] = []

    def row(self, kind: str, name: str) -> Row:
        """The row of a kind (endpoint, step, login, operation) and name, made where missing."""
        key = (kind, name)
        if key not in self.rows:
            self.rows[key] = Row()
        return self.rows[key]

    def mask(self, mask: Callable[[str], str]) -> None:
        """Have `mask` take the secrets out of all samples."""
        for row in self.rows.values():
            for kept in row.samples.values():
                kept[:] = [sample.masked(mask) for sample in kept]

    def settle(self) -> None:
        """Count as unknown what has no outcome: its worker was lost before it could tell."""
        for row in self.rows.values():
            told = row.succeeded + row.failed + row.dropped + row.interrupted + row.unknown
            row.unknown += row.planned - told

    def merge(self, other: Recorder) -> None:
        """Add another recorder's books to this one's."""
        for key, row in other.rows.items():
            self.row(*key).merge(row)
        self.missed += other.missed
        for histogram in _HISTOGRAMS:
            getattr(self, histogram).merge(getattr(other, histogram))

    def drain(self) -> dict[str, Any]:
        """The content as JSON for `from_wire`; empties the rows but keeps them."""
        answered = sum(row.succeeded + row.failed for row in self.rows.values())
        wire: dict[str, Any] = {
            histogram: getattr(self, histogram).drain() for histogram in _HISTOGRAMS
        }
        wire["missed"], self.missed = self.missed, 0
        wire["slowest"] = self.slowest.drain(answered)
        wire["made"] = self.made.copy()
        self.made.clear()
        wire["rows"] = [[kind, name, row.drain()] for (kind, name), row in self.rows.items()]
        return wire

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Recorder:
        """The recorder that `drain` described."""
        recorder = cls()
        for kind, name, row in wire["rows"]:
            recorder.rows[kind, name] = Row.from_wire(row)
        for histogram in _HISTOGRAMS:
            setattr(recorder, histogram, Histogram.from_wire(wire[histogram]))
        recorder.missed = wire["missed"]
        recorder.slowest = Slowest.from_wire(wire["slowest"])
        recorder.made = [(by, undo) for by, undo in wire["made"]]
        return recorder


_HISTOGRAMS = ("lag", "loop_lag", "connect", "tls")
