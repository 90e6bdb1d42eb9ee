"""The `monitor:` of a scenario."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from stressrun.metrics.trend import LEAST_SAMPLES
from stressrun.scenario.model import (
    Exporter,
    Monitoring,
    NamedProcess,
    PrometheusServer,
    Stage,
    Threshold,
)
from stressrun.scenario.model.monitoring import PrometheusSource
from stressrun.scenario.nodes import Plain
from stressrun.scenario.part import Part
from stressrun.scenario.selector import Selector, parse_selector
from stressrun.scenario.threshold import stages_of
from stressrun.scenario.urls import http_url
from stressrun.units import format_duration, parse_duration

GENERATOR = "generator"
"""The name of the load generator's own processes."""

# Finer samples would be load, coarser ones would say nothing.
_OFTENEST, _RAREST = 0.1, 60.0
_THERE: Plain = {"url": ""}
_ANY = Selector("", "", ())


def build_monitoring(root: Part, services: Mapping[str, Plain]) -> Monitoring | None:
    """How the run is watched; None where the scenario wants no monitor."""
    if _is_started(services.get(GENERATOR, _THERE)):
        root["services"][GENERATOR].fault(
            "the load generator's own processes have this name", "give it another", at_key=True
        )
    part = root.get("monitor")
    if part is None:
        return Monitoring()
    if not isinstance(part.value, dict):
        return Monitoring() if part.flag() else None
    every = part.get("every")
    return Monitoring(
        1.0 if every is None else every.parsed(_interval, 1.0),
        tuple(_process(name, entry, services) for name, entry in part.entries("processes")),
        tuple(_source(name, entry) for name, entry in part.entries("prometheus")),
    )


def process_names(services: Mapping[str, Plain], root: Part) -> tuple[str, ...]:
    """What has processes to look at: services that the run starts, named ones, the generator."""
    monitor = root.section("monitor")
    started = (name for name, service in services.items() if _is_started(service))
    return (*started, *monitor.section("processes").names(), GENERATOR)


def series_names(root: Part) -> dict[str, tuple[str, ...]]:
    """The names of the series or queries of each source of Prometheus metrics."""
    sources = root.section("monitor").section("prometheus")
    return {
        name: (
            *sources.section(name).section("series").names(),
            *sources.section(name).section("queries").names(),
        )
        for name in sources.names()
    }


def unmonitored(
    threshold: Threshold, stages: Sequence[Stage], monitoring: Monitoring | None
) -> tuple[str, str] | None:
    """Why a threshold on what is monitored would have no data, and what to do about it."""
    if monitoring is None:
        return "monitor: false, so that nothing looks at it", "leave monitor: false out"
    if threshold.metric == "memory_growth":
        return _too_short(threshold, stages, LEAST_SAMPLES * monitoring.interval)
    source = next((each for each in monitoring.prometheus if each.name == threshold.name), None)
    if threshold.subject != "prometheus" or source is None:
        return None
    if isinstance(source, PrometheusServer) != (threshold.metric == "value"):
        asked = "queries have a value only" if threshold.metric != "value" else "series have none"
        return f"{source.name} has no {threshold.metric}: {asked}", ""
    return None


def _too_short(
    threshold: Threshold, stages: Sequence[Stage], least: float
) -> tuple[str, str] | None:
    """Of stages that do not last so many seconds there is no figure, and one without fails."""
    judged = stages_of(threshold, stages)
    short = [stage.name for stage in judged if stage.duration < least]
    if not short:
        return None
    long = [stage.name for stage in judged if stage.name not in short]
    return (
        f"{' and '.join(short)} {'are' if len(short) > 1 else 'is'} too short to tell growth: "
        f"that takes {LEAST_SAMPLES} samples",
        f"ask it of a longer stage: {threshold.text} in {long[0]}"
        if long
        else f"make it at least {format_duration(least)} long, or look more often: "
        "monitor: {every: 200ms}",
    )


def _is_started(service: Plain) -> bool:
    if not isinstance(service, dict) or "url" in service:
        return False
    server = service.get("postgres")
    host = server.get("host") if isinstance(server, dict) else server
    return "postgres" not in service or host == "embedded"


def _process(name: str, part: Part, services: Mapping[str, Plain]) -> NamedProcess:
    if name == GENERATOR or _is_started(services.get(name, _THERE)):
        part.fault(f"{name!r} is watched already", "give it another name", at_key=True)
    pid, port, command = (part.get(key) for key in ("pid", "port", "command"))
    return NamedProcess(
        name,
        None if pid is None else int(pid.number()),
        None if port is None else int(port.number()),
        None if command is None else command.parsed(_pattern, ""),
    )


def _source(name: str, part: Part) -> PrometheusSource:
    if "server" in part:
        queries = {key: query.literal() for key, query in part.entries("queries")}
        return PrometheusServer(name, http_url(part["server"]), queries)
    series = {
        key: _selector(Part(each.literal(), each.place, each.faults))
        for key, each in part.entries("series")
    }
    return Exporter(name, http_url(part["url"]), series)


def _selector(part: Part) -> Selector:
    return part.parsed(parse_selector, _ANY)


def _interval(text: str) -> float:
    seconds = parse_duration(text)
    if not _OFTENEST <= seconds <= _RAREST:
        raise ValueError("expected a duration from 100ms to 1m")
    return seconds


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return text
