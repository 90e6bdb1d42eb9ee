"""What a plan tells of the monitors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stressrun.scenario.model import (
    Exporter,
    Monitoring,
    NamedProcess,
    PrometheusServer,
    Scenario,
    Threshold,
)
from stressrun.units import format_duration


def monitoring_lines(scenario: Scenario) -> Iterator[str]:
    """What is not as it is by default: services, generator and host, each second."""
    monitoring = scenario.monitoring
    if monitoring is None:
        yield "neither processes nor the host"
        return
    if monitoring.interval != Monitoring().interval:
        yield f"every {format_duration(monitoring.interval)}"
    for named in monitoring.processes:
        yield f"process {named.name}: {_found_by(named)}"
    for source in monitoring.prometheus:
        match source:
            case Exporter(name, url, series):
                yield f"metrics of {name}: {url}"
                yield from _listed({key: selector.text for key, selector in series.items()})
            case PrometheusServer(name, url, queries):
                yield f"metrics of {name}: asked of {url} at each stage's end"
                yield from _listed(queries)


def monitored_subject(threshold: Threshold) -> str:
    """What a threshold looks at that is watched beside the load."""
    match threshold.subject:
        case "process":
            return f"the processes of {threshold.name}"
        case "prometheus":
            return f"{threshold.operation} of the metrics of {threshold.name}"
        case _:
            return "the host"


def _found_by(named: NamedProcess) -> str:
    if named.pid is not None:
        return f"number {named.pid}"
    if named.port is not None:
        return f"what listens on port {named.port}"
    return f"command lines with {named.command!r} in them"


def _listed(texts: Mapping[str, str]) -> Iterator[str]:
    return (f"  {name}: {' '.join(text.split())}" for name, text in texts.items())
