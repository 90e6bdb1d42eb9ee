"""How long the same requests took, by three measures, in fixed memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stressrun.metrics.histogram import Histogram


class Times:
    """Service time, response time, and the time from the send to the first byte; nanoseconds.

    Of most requests the three are one: started when intended, answered in one piece. These are
    recorded once, in `_alike`; those that only started late in `_in_one_piece` and `_response`.
    """

    __slots__ = ("_alike", "_first_byte", "_in_one_piece", "_response", "_service")

    def __init__(self) -> None:
        self._alike = Histogram()
        self._in_one_piece = Histogram()
        self._service = Histogram()
        self._response = Histogram()
        self._first_byte = Histogram()

    def record(self, service: int, response: int, first_byte: int | None = None) -> None:
        """Count one request; without a time of its own the first byte is the end."""
        if first_byte is not None and first_byte != service:
            self._service.record(service)
            self._response.record(response)
            self._first_byte.record(first_byte)
        elif service == response:
            self._alike.record(service)
        else:
            self._in_one_piece.record(service)
            self._response.record(response)

    def record_unsent(self, response: int) -> None:
        """Count a request that was never sent: it has no service time."""
        self._response.record(response)

    @property
    def service(self) -> Histogram:
        """From the send to the end of the answer."""
        return merged(self._alike, self._in_one_piece, self._service)

    @property
    def response(self) -> Histogram:
        """From the intended start to the end of the answer."""
        return merged(self._alike, self._response)

    @property
    def first_byte(self) -> Histogram:
        """From the send to the first byte of the answer."""
        return merged(self._alike, self._in_one_piece, self._first_byte)

    def merge(self, other: Times) -> None:
        """Add another's counts to this one's."""
        for part in _PARTS:
            getattr(self, part).merge(getattr(other, part))

    def drain(self) -> dict[str, list[int]]:
        """The content as JSON for `from_wire`; empties it."""
        return {part: getattr(self, part).drain() for part in _PARTS}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Sequence[int]]) -> Times:
        """The times that `drain` described."""
        times = cls()
        for part in _PARTS:
            setattr(times, part, Histogram.from_wire(wire[part]))
        return times


_PARTS = ("_alike", "_in_one_piece", "_service", "_response", "_first_byte")


def merged(*histograms: Histogram) -> Histogram:
    """One histogram of all that is in some."""
    total = Histogram()
    for histogram in histograms:
        total.merge(histogram)
    return total
