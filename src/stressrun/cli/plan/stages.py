"""The stages of a scenario and their load in its plan."""

from __future__ import annotations

from collections.abc import Callable

from stressrun.cli.plan.wording import duration
from stressrun.load.pacing import Pacing
from stressrun.scenario.model import (
    Arrivals,
    IterationsPerVu,
    Load,
    Ramp,
    Scenario,
    SharedIterations,
    Stage,
    Users,
)


def stage_table(scenario: Scenario) -> str:
    from tabulate import tabulate

    columns = {
        "stage": [stage.name for stage in scenario.stages],
        "duration": [duration(stage.duration) for stage in scenario.stages],
    }
    if scenario.endpoints:
        loads = [stage.endpoints for stage in scenario.stages]
        columns["endpoints"] = [_load(load, "VUs") for load in loads]
        columns["iterations"] = list(map(_planned, loads, scenario.stages))
    if scenario.writes:
        loads = [stage.writes for stage in scenario.stages]
        columns["each write mix"] = [_load(load, "workers") for load in loads]
        columns["operations"] = list(map(_planned, loads, scenario.stages))
    columns["judged"] = ["no" if stage.warmup else "yes" for stage in scenario.stages]
    return tabulate(columns, headers="keys", disable_numparse=True)


def _load(load: Load | None, unit: str) -> str:
    if load is None:
        return "idle"
    match load:
        case Arrivals(rate, _, spacing, catch_up):
            random = ", poisson" if spacing == "poisson" else ""
            ceiling = "" if catch_up else ", late ones dropped"
            return f"{_ramp(rate, lambda value: f'{value:g}/s')}{random}{ceiling}"
        case Users(count):
            return f"{_ramp(count, lambda value: f'{value:.0f}')} {unit}"
        case SharedIterations():
            return f"{load.vus:,} {unit}, shared"
        case IterationsPerVu():
            return f"{load.vus:,} {unit}, {load.iterations:,} each"


def _ramp(ramp: Ramp, form: Callable[[float], str]) -> str:
    return form(ramp.start) if ramp.start == ramp.end else f"{form(ramp.start)} → {form(ramp.end)}"


def _planned(load: Load | None, stage: Stage) -> str:
    """How many iterations begin, where that does not depend on the answers."""
    match load:
        case Arrivals():
            return f"{Pacing(load.rate, stage.duration).count:,}"
        case SharedIterations():
            return f"{load.iterations:,}"
        case IterationsPerVu():
            return f"{load.iterations * load.vus:,}"
    return ""
