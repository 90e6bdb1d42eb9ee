"""What a run watches besides its database: processes, the host, and Prometheus metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stressrun.scenario.selector import Selector


@dataclass(frozen=True, slots=True)
class NamedProcess:
    """Processes that the run did not start, found by exactly one of the three.

    By their number, by the `port` that they listen on, or by a `command` line in which the regular
    expression is found; their descendants belong to them.
    """

    name: str
    pid: int | None = None
    port: int | None = None
    command: str | None = None


@dataclass(frozen=True, slots=True)
class Exporter:
    """Metrics in Prometheus' text format at a URL, of which some series are read."""

    name: str
    url: str
    series: Mapping[str, Selector]


@dataclass(frozen=True, slots=True)
class PrometheusServer:
    """A Prometheus server at a URL, which is asked PromQL queries at the end of each stage."""

    name: str
    url: str
    queries: Mapping[str, str]


PrometheusSource = Exporter | PrometheusServer


@dataclass(frozen=True, slots=True)
class Monitoring:
    """How often (seconds) processes, host and exporters are looked at, and which of them.

    The processes of services and of the load generator are looked at besides those `processes`.
    """

    interval: float = 1.0
    processes: tuple[NamedProcess, ...] = ()
    prometheus: tuple[PrometheusSource, ...] = ()
