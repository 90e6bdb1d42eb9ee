"""Mocked third-party services: which requests they answer, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stressrun.data.checks import Check
from stressrun.data.expressions import Json, Template
from stressrun.data.jsonpath import JsonPath


@dataclass(frozen=True, slots=True)
class When:
    """Where an entry applies: in the stages of these names, or in all, and after so many calls."""

    stages: tuple[str, ...] = ()
    after: int = 0


ALWAYS = When()


@dataclass(frozen=True, slots=True)
class MockAnswer:
    """A status, headers and a body, in which there may be what was asked."""

    status: int
    headers: tuple[tuple[str, Template], ...] = ()
    body: Json | Template | None = None
    when: When = ALWAYS


@dataclass(frozen=True, slots=True)
class Between:
    """A time drawn evenly between two, or always the same."""

    shortest: float
    longest: float


@dataclass(frozen=True, slots=True)
class Percentiles:
    """A time with these quantiles, as (quantile, seconds) in ascending order; never over `most`."""

    points: tuple[tuple[float, float], ...]
    most: float | None = None


Delay = Between | Percentiles


@dataclass(frozen=True, slots=True)
class MockLatency:
    """How long an answer takes, of this share of the calls."""

    delay: Delay
    share: float = 1.0
    when: When = ALWAYS


FaultKind = Literal["status", "reset", "close", "hang", "truncate", "slow_body"]


@dataclass(frozen=True, slots=True)
class MockFailure:
    """What becomes of this share of the calls.

    A status has an `answer` of its own; a slow body takes so many `seconds`.
    """

    kind: FaultKind
    share: float = 1.0
    answer: MockAnswer | None = None
    seconds: float = 0.0
    when: When = ALWAYS


@dataclass(frozen=True, slots=True)
class MockLimit:
    """So many calls per second are answered, and after a rest up to `burst` at once."""

    rate: float
    burst: int


@dataclass(frozen=True, slots=True)
class MockRoute:
    """What is answered to requests of a method and a path that pass all checks.

    `on` is the source form and `name` tells it from other routes that have the same; `stages` are
    those in which it is there, none: all. In the path `{name}` is any one segment.
    """

    name: str
    on: str
    method: str
    path: str
    answers: tuple[MockAnswer, ...]
    headers: tuple[tuple[str, Check], ...] = ()
    json: tuple[tuple[JsonPath, Check], ...] = ()
    body: tuple[Check, ...] = ()
    latencies: tuple[MockLatency, ...] = ()
    failures: tuple[MockFailure, ...] = ()
    limit: MockLimit | None = None
    stages: tuple[str, ...] = ()

    @property
    def whens(self) -> list[When]:
        """Where each of its entries applies."""
        return [
            *(answer.when for answer in self.answers),
            *(latency.when for latency in self.latencies),
            *(failure.when for failure in self.failures),
        ]


@dataclass(frozen=True, slots=True)
class MockService:
    """A third party that the run plays itself; the first route that a request fits answers it."""

    name: str
    routes: tuple[MockRoute, ...]
    port: int | None = None

    @property
    def stages_named(self) -> frozenset[str]:
        """The stages in which it is not as it always is."""
        named = [when.stages for route in self.routes for when in route.whens]
        named += [route.stages for route in self.routes]
        return frozenset(stage for stages in named for stage in stages)
