"""What a benchmark prints: tables as Markdown, and goals with what was reached of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tabulate import tabulate


@dataclass(frozen=True, slots=True)
class Goal:
    """What the engine wants to reach: a value and its limit. No value: there was no such turn.

    A figure of CPU time is by that of the worker; `all_processes` is the same by the CPU of all
    under load, as it is for the peers.
    """

    text: str
    limit: float
    value: float | None
    all_processes: float | None = None
    at_most: bool = False

    @property
    def failed(self) -> bool:
        return self.value is not None and not self._holds(self.value)

    @property
    def outcome(self) -> str:
        if self.value is None:
            return "no figure"
        if self.failed:
            return "not met"
        if self.all_processes is None or self._holds(self.all_processes):
            return "met"
        return "met by the worker alone"

    def _holds(self, value: float) -> bool:
        return value <= self.limit if self.at_most else value >= self.limit


def goals_table(goals: Sequence[Goal]) -> str:
    """The goals, each with its limit, what was reached, and the outcome."""
    return table(
        ("goal", "limit", "reached", "… by all processes", ""),
        [
            (
                goal.text,
                ("≤ " if goal.at_most else "≥ ") + number(goal.limit),
                number(goal.value),
                number(goal.all_processes),
                goal.outcome,
            )
            for goal in goals
        ],
    )


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells; all but the first column are aligned to the right."""
    return tabulate(
        rows,
        headers=headers,
        tablefmt="github",
        disable_numparse=True,
        colalign=["left"] + ["right"] * (len(headers) - 1),
    )


def number(value: float | None) -> str:
    """Two decimal places below a hundred, `—` where there is no figure."""
    if value is None or value >= 100 or value == int(value):
        return whole(value)
    return f"{value:.2f}"


def whole(value: float | None) -> str:
    return "—" if value is None else f"{value:,.0f}"


def scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
