"""The stages of a scenario and their load."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ramp:
    """A target that moves in a straight line over a stage; constant where both ends agree."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Open model: iterations (or operations) arrive at a rate, whatever the answers do.

    `spacing` is uniform or poisson. Without `catch_up`, what is overdue by more than one interval
    is dropped instead of sent late.
    """

    rate: Ramp
    max_vus: int
    spacing: str = "uniform"
    catch_up: bool = True


@dataclass(frozen=True, slots=True)
class Users:
    """Closed model: so many virtual users (or write workers), each starting when it is free."""

    count: Ramp


@dataclass(frozen=True, slots=True)
class SharedIterations:
    """So many iterations in all, done by virtual users that take the next when they are free."""

    iterations: int
    vus: int


@dataclass(frozen=True, slots=True)
class IterationsPerVu:
    """So many iterations for each virtual user."""

    iterations: int
    vus: int


Load = Arrivals | Users | SharedIterations | IterationsPerVu


@dataclass(frozen=True, slots=True)
class Stage:
    name: str
    duration: float
    warmup: bool
    graceful_stop: float
    endpoints: Load | None
    writes: Load | None
