"""What a mocked service was asked in a stage, and what it made of it: route by route."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stressrun.metrics.histogram import Histogram

_MOST_NAMED = 20
_LONGEST_NAME = 100
OTHERS = "others"
"""Stands for requests without a route, beyond those that are named."""


@dataclass(slots=True)
class RouteCalls:
    """The calls of a route.

    Some were `limited` by its rate, `failures` are those that were made to fail, by kind; others
    were `abandoned` by the client before the answer was due, or were `waiting` for it when the
    stage had ended. `statuses` are what was answered. `latency` is how long the answers were to
    take, `lag` how much later than that they were sent, in nanoseconds.
    """

    calls: int = 0
    limited: int = 0
    abandoned: int = 0
    waiting: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    latency: Histogram = field(default_factory=Histogram)
    lag: Histogram = field(default_factory=Histogram)

    @property
    def failed(self) -> int:
        """The calls that were made to fail, those over the limit among them."""
        return self.failures.total() + self.limited

    def merge(self, other: RouteCalls) -> None:
        """Add the calls of another route, or of another stage."""
        self.calls += other.calls
        self.limited += other.limited
        self.abandoned += other.abandoned
        self.waiting += other.waiting
        self.statuses.update(other.statuses)
        self.failures.update(other.failures)
        self.latency.merge(other.latency)
        self.lag.merge(other.lag)

    def wire(self) -> dict[str, Any]:
        """The content as JSON for `from_wire`; the histograms are emptied."""
        return {
            "calls": self.calls,
            "limited": self.limited,
            "abandoned": self.abandoned,
            "waiting": self.waiting,
            "statuses": [*self.statuses.items()],
            "failures": dict(self.failures),
            "latency": self.latency.drain(),
            "lag": self.lag.drain(),
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> RouteCalls:
        """The calls that `wire` described."""
        return cls(
            wire["calls"],
            wire["limited"],
            wire["abandoned"],
            wire["waiting"],
            Counter(dict(wire["statuses"])),
            Counter(wire["failures"]),
            Histogram.from_wire(wire["latency"]),
            Histogram.from_wire(wire["lag"]),
        )


@dataclass(slots=True)
class MockCalls:
    """The calls of a mock in a stage, by the names of its routes.

    `unmatched` are requests that no route fits, by method and path; `refused` what was no request
    that could be answered, by its kind. `loop_lag` is how late its loop came to even instants, and
    to the stage's start, in nanoseconds; it used so many `cpu_seconds` in `seconds`.
    """

    routes: dict[str, RouteCalls] = field(default_factory=dict)
    unmatched: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    loop_lag: Histogram = field(default_factory=Histogram)
    cpu_seconds: float = 0.0
    seconds: float = 0.0

    @property
    def total(self) -> RouteCalls:
        """All routes as one; what no route fits is not in it."""
        total = RouteCalls()
        for route in self.routes.values():
            total.merge(route)
        return total

    @property
    def calls(self) -> int:
        """All requests, those that no route fits among them."""
        return sum(route.calls for route in self.routes.values()) + self.unmatched.total()

    @property
    def cpu_share(self) -> float:
        """The share of a core that it used."""
        return self.cpu_seconds / self.seconds if self.seconds else 0.0

    def miss(self, request: str) -> None:
        """Count a request that no route fits; what is not printable of it is shown as `?`."""
        name = "".join(c if c.isprintable() else "?" for c in request[:_LONGEST_NAME])
        known = name in self.unmatched or len(self.unmatched) < _MOST_NAMED
        self.unmatched[name if known else OTHERS] += 1

    def wire(self) -> dict[str, Any]:
        """The content as JSON for `from_wire`; the histograms are emptied."""
        return {
            "routes": {name: route.wire() for name, route in self.routes.items()},
            "unmatched": dict(self.unmatched),
            "refused": dict(self.refused),
            "loop_lag": self.loop_lag.drain(),
            "cpu_seconds": self.cpu_seconds,
            "seconds": self.seconds,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> MockCalls:
        """The calls that `wire` described."""
        return cls(
            {name: RouteCalls.from_wire(route) for name, route in wire["routes"].items()},
            Counter(wire["unmatched"]),
            Counter(wire["refused"]),
            Histogram.from_wire(wire["loop_lag"]),
            wire["cpu_seconds"],
            wire["seconds"],
        )
