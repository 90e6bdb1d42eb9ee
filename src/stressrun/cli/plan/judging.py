"""Thresholds and invariants in a plan."""

from __future__ import annotations

from stressrun.cli.plan.monitoring import monitored_subject
from stressrun.cli.plan.wording import duration
from stressrun.data.checks import describe
from stressrun.scenario.figures import OF_ITERATIONS
from stressrun.scenario.model import (
    CountQuestion,
    Invariant,
    RequestQuestion,
    Scenario,
    SqlQuestion,
    Threshold,
)
from stressrun.scenario.threshold import stages_of
from stressrun.scenario.wording import one_of


def threshold_line(threshold: Threshold, scenario: Scenario) -> str:
    stages = ", ".join(stage.name for stage in stages_of(threshold, scenario.stages))
    window = f", over each {duration(threshold.window)}" if threshold.window else ""
    abort = ""
    if threshold.abort:
        after = f" after {duration(threshold.after)}" if threshold.after else ""
        abort = f"; ends the run{after}"
    built_in = "; built in" if threshold.built_in else ""
    return f"{threshold.text}: {_subject(threshold)} in {stages}{window}{abort}{built_in}"


def _subject(threshold: Threshold) -> str:
    match threshold.subject:
        case "http":
            return "all iterations" if threshold.metric in OF_ITERATIONS else "all requests"
        case "endpoint":
            return f"iterations of {threshold.name}"
        case "write":
            operation = threshold.operation
            whose = f"operation {operation}" if operation else "operations"
            return f"{whose} of {threshold.name}"
        case "mock":
            return f"calls of {threshold.name}"
        case "postgres":
            return "the database"
        case "process" | "host" | "prometheus":
            return monitored_subject(threshold)
        case _:
            return "the generator"


def invariant_line(invariant: Invariant) -> str:
    after = one_of(invariant.stages) if invariant.stages else "each stage"
    again = f", asked again for {duration(invariant.within)}" if invariant.within else ""
    expected = invariant.expected
    match expected:
        case tuple():
            wanted = " and ".join(map(describe, expected))
        case CountQuestion():
            wanted = f"as many as {expected.text} succeeded"
        case SqlQuestion():
            wanted = f"the same as sql: {' '.join(expected.sql.split())}"
        case RequestQuestion():
            wanted = f"the same as request: {expected.request.name}"
    return f"{invariant.name}: {wanted}, after {after}{again}"
