"""The figures of processes, of the host and of Prometheus metrics that thresholds are held against.

Of several stages the worst counts, and the sum of what is counted; None where it was not seen in
one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from stressrun.load.stage import StageResult
from stressrun.metrics.scraped import QUERY, Series, found
from stressrun.metrics.trend import LEAST_SAMPLES
from stressrun.metrics.usage import MachineUse, ProcessUse
from stressrun.scenario.figures import quantile_of
from stressrun.scenario.model import Threshold

_OF_PROCESS = MappingProxyType({"memory": "memory_max", "memory_growth": "growth"})
_OF_HOST = MappingProxyType({"steal": "stolen", "memory_available": "available"})
_OF_SERIES = MappingProxyType({"min": "least", "max": "most"})
_SUMMED = (
    "restarts",
    "read",
    "written",
    "swapped",
    "disk_read",
    "disk_written",
    "received",
    "sent",
    "increase",
)


def of_monitored(threshold: Threshold, stages: Sequence[StageResult]) -> tuple[float | None, str]:
    """The figure of a threshold; where there is none, why."""
    values = []
    for stage in stages:
        value, why = _of_stage(threshold, stage)
        if value is None:
            return None, f"{why} in stage {stage.stage.name}"
        values.append(value)
    if not values:
        return None, ""
    if threshold.metric in _SUMMED:
        return sum(values), ""
    return (max if threshold.operator in ("<", "<=") else min)(values), ""


def _of_stage(threshold: Threshold, stage: StageResult) -> tuple[float | None, str]:
    if threshold.subject == "prometheus":
        assert threshold.name is not None
        assert threshold.operation is not None
        series = found(stage.metrics, threshold.name, threshold.operation)
        return _of_series(threshold.metric, series)
    if stage.machine is None:
        return None, "nothing was seen"
    if threshold.subject == "host":
        return _of_host(threshold.metric, stage.machine)
    use = next((each for each in stage.machine.processes if each.name == threshold.name), None)
    if use is None or not use.samples:
        return None, _why(stage.machine if use is None else use)
    return _of_process(threshold.metric, use)


def _why(unseen: MachineUse | ProcessUse) -> str:
    return unseen.gaps[0].why if unseen.gaps else "nothing was seen"


def _of_process(metric: str, use: ProcessUse) -> tuple[float | None, str]:
    value: float | None = getattr(use, _OF_PROCESS.get(metric, metric))
    if value is None and metric == "memory_growth":
        if use.samples >= LEAST_SAMPLES:
            return None, "its memory could not be added up in the same way throughout"
        return None, f"{use.samples} samples are too few to tell growth"
    return value, "it is not ours to see"


def _of_host(metric: str, machine: MachineUse) -> tuple[float | None, str]:
    host = machine.host
    if host is None:
        return None, _why(machine)
    if metric == "swapped":
        return host.swapped_in + host.swapped_out, ""
    value: float | None = getattr(host, _OF_HOST.get(metric, metric))
    return value, "the system does not tell it"


def _of_series(metric: str, series: Series | None) -> tuple[float | None, str]:
    if series is None:
        return None, "nothing was seen"
    if series.missing:
        return None, series.missing
    quantile = quantile_of(metric)
    if quantile is None:
        value: float | None = getattr(series, _OF_SERIES.get(metric, metric))
    else:
        value = None if series.buckets is None else series.buckets.quantile(quantile)
    if value is None and quantile is not None and series.buckets is not None:
        return None, f"{series.increase:,.0f} values are too few for a {metric}"
    article = "the answer to a query" if series.kind == QUERY else f"a {series.kind}"
    return value, f"{article} has no {metric}"
