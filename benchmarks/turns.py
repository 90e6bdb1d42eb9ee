"""Clients that take turns: each once in round one, each once in round two, and the medians."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from statistics import median
from typing import Any, Generic, Protocol, TypeVar

from benchmarks.measuring import BenchmarkError

Figures = TypeVar("Figures")
"""A dataclass of the figures of a turn, each a number, or None where a client has none."""


class Named(Protocol):
    """Who takes turns."""

    @property
    def name(self) -> str: ...


Client = TypeVar("Client", bound=Named)


@dataclass(frozen=True, slots=True)
class Taken(Generic[Figures]):
    """The medians by the clients' names; `sound` when no turn had to be thrown away."""

    medians: dict[str, Figures]
    sound: bool


def in_turns(
    clients: Sequence[Client],
    rounds: int,
    take: Callable[[Client], Figures],
    told: Callable[[Figures], str],
) -> Taken[Figures]:
    """Let each client take its turn in each round, and say what came of it, in a few words."""
    turns: dict[str, list[Figures]] = {client.name: [] for client in clients}
    sound = True
    for number in range(1, rounds + 1):
        for client in clients:
            try:
                figures = take(client)
            except BenchmarkError as error:
                sound = False
                outcome = str(error)
            else:
                turns[client.name].append(figures)
                outcome = told(figures)
            print(f"{client.name}, round {number}: {outcome}", file=sys.stderr, flush=True)
    return Taken({name: median_of(taken) for name, taken in turns.items() if taken}, sound)


def median_of(turns: Sequence[Figures]) -> Figures:
    """The median of each figure by itself."""
    kind: Any = type(turns[0])
    medians: dict[str, float | None] = {}
    for field in fields(kind):
        values = [value for turn in turns if (value := getattr(turn, field.name)) is not None]
        medians[field.name] = median(values) if values else None
    made: Figures = kind(**medians)
    return made
