"""The budget of a run: what is planned is held against it, and what is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import trio

from stressrun.errors import RefusedError
from stressrun.load.pacing import Pacing
from stressrun.load.rows import seeds_of
from stressrun.metrics.recorder import Recorder, Row
from stressrun.scenario.model import (
    Arrivals,
    Budget,
    Group,
    IterationsPerVu,
    Load,
    Request,
    Scenario,
    SharedIterations,
    Stage,
    Step,
    WriteMix,
)
from stressrun.scenario.sql import first_word
from stressrun.units import format_duration, format_size

_CHANGING = frozenset({"insert", "update", "delete", "merge", "copy", "truncate"})
_IN_BATCHES = ("insert", "copy")
_ENDS_BY_ITSELF = (SharedIterations, IterationsPerVu)

FORMATS: Mapping[str, Callable[[float], str]] = {
    "requests": lambda number: f"{number:,.0f} requests",
    "rows": lambda number: f"{number:,.0f} rows",
    "bytes": format_size,
    "duration": format_duration,
}


def limits(budget: Budget) -> dict[str, float]:
    """What the budget limits, by the keys of the scenario."""
    every = {name: getattr(budget, name) for name in FORMATS}
    return {name: limit for name, limit in every.items() if limit is not None}


def planned(scenario: Scenario) -> dict[str, float]:
    """What the load is going to use at the least, as far as it does not depend on the answers.

    Iterations are spread by their weights; what stands under a `when`, virtual users without a
    number of iterations, redirects and retries come on top.
    """
    return {
        "requests": sum(_requests(scenario, stage) for stage in scenario.stages),
        "rows": _seeded(scenario) + sum(_rows(scenario, stage) for stage in scenario.stages),
        "duration": sum(map(_seconds, scenario.stages)),
    }


def check_budget(scenario: Scenario) -> None:
    """See that the budget allows what is planned. Raises RefusedError."""
    hold_against(scenario.budget, planned(scenario))


def hold_against(budget: Budget, plan: Mapping[str, float]) -> None:
    """See that a budget allows a plan. Raises RefusedError."""
    for name, limit in limits(budget).items():
        if plan.get(name, 0) > limit:
            shown = FORMATS[name]
            raise RefusedError(
                f"the guard refused the scenario: its budget is {shown(limit)}, "
                f"and at least {shown(plan[name])} are planned",
                hint=f"raise budget.{name}, or plan less: `stressrun plan` shows what there is",
            )


class Spending:
    """What a run has used of its budget; `crossed` is set when that is more than there is."""

    def __init__(self, scenario: Scenario) -> None:
        self._limits = limits(scenario.budget)
        self._single = {each.name for each in scenario.endpoints if each.single is not None}
        self._changing = {
            f"{mix.name}.{operation}"
            for mix in scenario.writes
            for operation in mix.weights
            if changes_rows(mix, operation)
        }
        self._used: dict[str, float] = {"requests": 0, "rows": _seeded(scenario), "bytes": 0}
        self._over: str | None = None
        self.crossed = trio.Event()

    def heard(self, books: Recorder) -> None:
        """Add news of the workers."""
        if not self._limits:
            return
        for (kind, name), row in books.rows.items():
            if kind in ("step", "login") or (kind == "endpoint" and name in self._single):
                self._used["requests"] += _sent(row)
            elif kind != "operation":
                continue
            elif name in self._changing:
                self._used["rows"] += row.rows
            self._used["bytes"] += row.bytes_sent + row.bytes_received
        for name, used in self._used.items():
            if used > self._limits.get(name, used):
                self._cross(name)

    async def watch_time(self) -> None:
        """Cross the budget when its time is over."""
        await trio.sleep(self._limits.get("duration", float("inf")))
        self._cross("duration")

    def check(self) -> None:
        """Raises RefusedError once the budget has been crossed."""
        if self._over is None:
            return
        shown, limit = FORMATS[self._over], self._limits[self._over]
        used = self._used.get(self._over)
        done = "its time is over" if used is None else f"{shown(used)} so far"
        raise RefusedError(
            f"the guard ended the run: its budget is {shown(limit)}, {done}",
            hint=f"raise budget.{self._over}, or plan less: `stressrun plan` shows what there is",
        )

    def _cross(self, name: str) -> None:
        self._over = self._over or name
        self.crossed.set()


def changes_rows(mix: WriteMix, operation: str) -> bool:
    """Whether an operation of a mix writes rows, or is not known to write none."""
    named = [each for each in mix.named if each.name == operation]
    if not named:
        return operation != "select"
    words = (first_word(statement.source)[0] for each in named for statement in each.statements)
    return not _CHANGING.isdisjoint(words)


def _sent(row: Row) -> int:
    """Requests that were sent, or that had their chance to be."""
    ended = row.succeeded + row.failed + row.interrupted + row.unknown
    return ended + row.retried + row.redirected


def _requests(scenario: Scenario, stage: Stage) -> float:
    total = sum(endpoint.weight for endpoint in scenario.endpoints)
    if not total:
        return 0
    each = sum(e.weight * sum(_counted(e.steps)) for e in scenario.endpoints) / total
    return _iterations(stage.endpoints, stage.duration) * each


def _counted(steps: Sequence[Step]) -> Iterator[int]:
    for step in steps:
        if isinstance(step, Request):
            yield 1
        elif isinstance(step, Group) and step.when is None:
            yield step.repeat * sum(_counted(step.steps))


def _rows(scenario: Scenario, stage: Stage) -> float:
    operations = _iterations(stage.writes, stage.duration)
    return sum(operations * _rows_each(mix) for mix in scenario.writes)


def _rows_each(mix: WriteMix) -> float:
    """How many rows an operation of a mix writes on the average; of its own SQL, none are known."""
    own = {each.name for each in mix.named}
    batches = sum(
        weight * (mix.batch if name in _IN_BATCHES else 1)
        for name, weight in mix.weights.items()
        if name not in own and changes_rows(mix, name)
    )
    return batches / sum(mix.weights.values())


def _iterations(load: Load | None, duration: float) -> int:
    match load:
        case Arrivals():
            return Pacing(load.rate, duration).count
        case SharedIterations():
            return load.iterations
        case IterationsPerVu():
            return load.iterations * load.vus
    return 0


def _seconds(stage: Stage) -> float:
    """How long a stage lasts at the least: its iterations may be done sooner."""
    loads = [load for load in (stage.endpoints, stage.writes) if load is not None]
    by_itself = loads and all(isinstance(load, _ENDS_BY_ITSELF) for load in loads)
    return 0.0 if by_itself else stage.duration


def _seeded(scenario: Scenario) -> int:
    return sum(seed.rows for seed in seeds_of(scenario))
