"""The thresholds of a scenario: what must hold, and whether there will be data to judge it by."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from stressrun.scenario.figures import LOADS, MONITORED, RECOVERED
from stressrun.scenario.model import Database, Monitoring, Stage, Threshold, Users, WriteMix
from stressrun.scenario.monitoring import unmonitored
from stressrun.scenario.part import Part
from stressrun.scenario.threshold import Names, ThresholdError, parse_threshold, stages_of
from stressrun.units import format_duration

_OF_LOAD = (("achieved", ">= 95%"), ("errors", "< 1%"))
_OF_GENERATOR = (("distortion", "< 5%"),)


def build_thresholds(
    root: Part,
    names: Names,
    stages: Sequence[Stage],
    writes: Sequence[WriteMix],
    database: Database | None,
    monitoring: Monitoring | None,
) -> tuple[Threshold, ...]:
    """All thresholds, the built-in ones last; `database` is what its own monitor looks at."""
    watched = database is not None and database.sample_interval is not None
    found = (
        _threshold(part, names, stages, writes, monitoring, watched=watched)
        for part in root.items("thresholds")
    )
    thresholds = [threshold for threshold in found if threshold is not None]
    part = root.get("built_in_thresholds")
    if (part is None or part.flag()) and len(stages) == len(names.stages):
        thresholds += _built_in(names, stages, thresholds)
    return tuple(thresholds)


def _built_in(
    names: Names, stages: Sequence[Stage], written: Sequence[Threshold]
) -> Iterator[Threshold]:
    """What is expected of every run, where no threshold says otherwise of the same figure.

    Without them a service that hangs or refuses would pass every threshold on its latency, and a
    generator that is starved would be taken for a slow service.
    """
    subjects = ["http"] if names.endpoints else []
    subjects += [f"write {mix}" for mix in names.writes]
    expected = [(subject, _OF_LOAD) for subject in subjects] + [("generator", _OF_GENERATOR)]
    for subject, figures in expected:
        for metric, limit in figures:
            said = {
                threshold.stage
                for threshold in written
                if threshold.text.split()[: len(subject.split()) + 1] == [*subject.split(), metric]
            }
            for place in _places(metric, subject.partition(" ")[0], said, stages):
                text = f"{subject} {metric} {limit}{place}"
                try:
                    threshold = replace(parse_threshold(text, names), built_in=True)
                except ThresholdError:
                    continue  # a name is wrong, which is told where it stands
                if stages_of(threshold, stages):
                    yield threshold


def _places(
    metric: str, subject: str, said: Collection[str | None], stages: Sequence[Stage]
) -> list[str]:
    """Where to expect it: in no stage of which something is `said`."""
    if None in said:
        return []
    if metric != "achieved" and not said:
        return [""]
    return [
        f" in {stage.name}"
        for stage in stages
        if not stage.warmup
        and stage.name not in said
        and (metric != "achieved" or _is_planned(stage, subject))
    ]


def _threshold(
    part: Part,
    names: Names,
    stages: Sequence[Stage],
    writes: Sequence[WriteMix],
    monitoring: Monitoring | None,
    *,
    watched: bool,
) -> Threshold | None:
    check = part if isinstance(part.value, str) else part["check"]
    try:
        threshold = replace(parse_threshold(check.text(), names), place=part.place)
    except ThresholdError as error:
        check.fault(error.message, error.hint, offset=error.offset)
        return None
    if isinstance(part.value, dict):
        threshold = _with_abort(threshold, part)
    unseen = _unseen(threshold, stages) or _never_recovering(threshold, stages, names)
    if len(stages) == len(names.stages) and unseen:
        check.fault(*unseen)
    if threshold.subject == "postgres" and not watched:
        check.fault("no monitor looks at the database", "give the scenario a database to look at")
    if threshold.subject in MONITORED and (unseen := unmonitored(threshold, stages, monitoring)):
        check.fault(*unseen)
    mix = next((mix for mix in writes if mix.name == threshold.name), None)
    if mix is not None and threshold.operation and threshold.operation not in mix.weights:
        message = f"the mix of {mix.name} has no {threshold.operation}, so nothing could be judged"
        check.fault(message, f"give it a weight: mix: {{{threshold.operation}: 10}}")
    return threshold


def _with_abort(threshold: Threshold, part: Part) -> Threshold:
    abort = (flag := part.get("abort")) is not None and flag.flag()
    after = part.get("after")
    if after is not None and not abort:
        after.fault("there is no abort that could wait for it", "add abort: true", at_key=True)
    if abort and threshold.subject not in LOADS:
        part["abort"].fault(f"figures of {threshold.subject} are known at a stage's end only")
    return replace(threshold, abort=abort, after=part.duration("after", 0.0))


def _unseen(threshold: Threshold, stages: Sequence[Stage]) -> tuple[str, str] | None:
    """Why a threshold would have no data, and what to do about it."""
    seen = stages_of(threshold, stages)
    if not seen:
        what = "writes" if threshold.subject == "write" else "endpoints"
        if threshold.stage is None:
            return (
                f"no stage that is judged puts load on the {what}",
                "warm-up stages are judged where they are named",
            )
        return f"{threshold.stage} puts no load on the {what}", ""
    longest = max(stage.duration for stage in seen)
    if threshold.window is not None and threshold.window > longest:
        return (
            f"no stage that it looks at lasts for {format_duration(threshold.window)}",
            f"make the window at most {format_duration(longest)}",
        )
    if threshold.metric == "achieved" and not any(
        _is_planned(stage, threshold.subject) for stage in seen
    ):
        return (
            "virtual users and workers have no plan to achieve",
            "give a stage a rate, or a number of iterations",
        )
    return None


def _never_recovering(
    threshold: Threshold, stages: Sequence[Stage], names: Names
) -> tuple[str, str] | None:
    """Why there is no stage for a service to recover from."""
    if (threshold.subject, threshold.metric) != ("mock", "recovery"):
        return None
    named = names.mocks.get(threshold.name or "")
    seen = stages_of(threshold, stages)
    if named is None or any(
        stage in seen and stage.name in named and following.name not in named and _shows(following)
        for stage, following in pairwise(stages)
    ):
        return None
    return (
        f"the mock {threshold.name} names no stage here that is followed by one it does not name, "
        f"of {RECOVERED} s with load on the endpoints",
        "such as fail: {status: 503, in: outage}, and a stage after it",
    )


def _shows(following: Stage) -> bool:
    """Whether a stage can show that a service has recovered."""
    return following.endpoints is not None and following.duration >= RECOVERED


def _is_planned(stage: Stage, subject: str) -> bool:
    """Whether a stage's load is a plan to keep: users do as much as the answers allow."""
    load = stage.writes if subject == "write" else stage.endpoints
    return load is not None and not isinstance(load, Users)
