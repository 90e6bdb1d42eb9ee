"""The `stages:` of a scenario."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from stressrun.scenario.model import (
    Arrivals,
    IterationsPerVu,
    Load,
    Ramp,
    SharedIterations,
    Stage,
    Users,
)
from stressrun.scenario.part import Part
from stressrun.units import parse_duration, parse_rate

_LONGEST = 7 * 24 * 3600.0
_HIGHEST_RATE = 1_000_000.0
_GRACEFUL_STOP = 5.0
_MAX_VUS = 100
_MAX_VUS_SECONDS = 2.0
_WRITE_CONNECTIONS = 10


def build_stage(part: Part, *, has_endpoints: bool, has_writes: bool) -> Stage:
    """A stage under its load."""
    for key, present, needed in (
        ("endpoints", has_endpoints, "endpoints"),
        ("writes", has_writes, "write mixes"),
    ):
        if key in part and not present:
            hint = f"leave it out, or add {key}: to the scenario"
            part[key].fault(f"the scenario has no {needed} to put load on", hint)
    if "endpoints" not in part and "writes" not in part:
        part.fault("a stage without load", "add endpoints: {rate: 50/s} or writes: {workers: 4}")
    duration = part["duration"].parsed(parse_duration, 1.0)
    if not 0 < duration <= _LONGEST:
        part["duration"].fault("a stage lasts more than 0 seconds and no more than a week")
    endpoints, writes = part.get("endpoints"), part.get("writes")
    return Stage(
        part["name"].text(),
        duration,
        "warmup" in part and part["warmup"].flag(),
        part.duration("graceful_stop", _GRACEFUL_STOP),
        None if endpoints is None else _endpoint_load(endpoints),
        None if writes is None else _write_load(writes),
    )


def _endpoint_load(part: Part) -> Load:
    if "iterations" in part:
        return SharedIterations(part.integer("iterations", 1), part.integer("vus", 1))
    if "iterations_per_vu" in part:
        return IterationsPerVu(part.integer("iterations_per_vu", 1), part.integer("vus", 1))
    if "vus" in part:
        return Users(_ramp(part["vus"], Part.number))
    rate = _ramp(part["rate"], _rate)
    most = max(_MAX_VUS, ceil(_MAX_VUS_SECONDS * _peak(rate)))
    spacing, catch_up = part.get("spacing"), part.get("catch_up")
    return Arrivals(
        rate,
        part.integer("max_vus", most),
        "uniform" if spacing is None else spacing.text(),
        catch_up is None or catch_up.flag(),
    )


def _write_load(part: Part) -> Load:
    if "workers" in part:
        return Users(_ramp(part["workers"], Part.number))
    return Arrivals(_ramp(part["rate"], _rate), part.integer("max_workers", _WRITE_CONNECTIONS))


def _ramp(part: Part, read: Callable[[Part], float]) -> Ramp:
    if isinstance(part.value, dict):
        ramp = Ramp(read(part["from"]), read(part["to"]))
    else:
        value = read(part)
        ramp = Ramp(value, value)
    if _peak(ramp) == 0 and part.sound:
        part.fault("a load of 0 is none", "leave it out, and the stage is idle in it")
    return ramp


def _rate(part: Part) -> float:
    rate = part.parsed(parse_rate, 1.0)
    if rate <= _HIGHEST_RATE:
        return rate
    part.fault(f"a rate is at most {_HIGHEST_RATE:,.0f}/s")
    return _HIGHEST_RATE


def _peak(ramp: Ramp) -> float:
    return max(ramp.start, ramp.end)
