"""The figures that thresholds look at: those of each subject, and their units."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from stressrun.scenario.model import Threshold
from stressrun.units import COUNT, DURATION, GROWTH, NUMBER, RATE, RATIO, SHARE, SIZE, Unit

LOADS = ("http", "endpoint", "write")
"""Subjects that are requests, iterations or operations."""

MONITORED = ("process", "host", "prometheus")
"""Subjects that are sampled beside the load."""

OF_ITERATIONS = ("achieved", "dropped")
"""Figures of http that are of its iterations: a request that never began is none."""

RECOVERED = 3
"""For so many whole seconds a service must be as before to have recovered."""

ERRORS_OF_KIND = "errors."
_PERCENTILE = re.compile(r"p([0-9]{2,5})")
_STATUS = re.compile(r"[1-5]([0-9]{2}|xx)")
_SQLSTATE = re.compile(r"[0-9A-Z]{5}")

_TIMES = {"mean": DURATION, "max": DURATION}
_OF_LOAD = {
    **_TIMES,
    "errors": SHARE,
    "dropped": SHARE,
    "achieved": SHARE,
    "rate": RATE,
    "count": COUNT,
}
_OF_SUBJECT: Mapping[str, Mapping[str, Unit]] = MappingProxyType(
    {
        **dict.fromkeys(LOADS, _OF_LOAD),
        "postgres": {
            "connections": COUNT,
            "free_connections": COUNT,
            "active": COUNT,
            "idle_in_transaction": COUNT,
            "longest_transaction": DURATION,
            "lock_waits": COUNT,
            "longest_lock_wait": DURATION,
            "deadlocks": COUNT,
            "rollbacks": COUNT,
            "cache_hits": SHARE,
            "wal": SIZE,
            "temp_files": COUNT,
        },
        "mock": {
            "calls": COUNT,
            "rate": RATE,
            "amplification": RATIO,
            "failures": SHARE,
            "unmatched": COUNT,
            "abandoned": COUNT,
            "recovery": DURATION,
            "lag.p50": DURATION,
            "lag.p95": DURATION,
            "lag.p99": DURATION,
            "lag.mean": DURATION,
            "lag.max": DURATION,
        },
        "generator": {
            **_TIMES,
            "distortion": SHARE,
            "cpu": SHARE,
            "waiting": SHARE,
            "stall": DURATION,
            "gc_pause": DURATION,
        },
        "process": {
            "cpu": SHARE,
            "cpu_max": SHARE,
            "memory": SIZE,
            "memory_growth": GROWTH,
            "threads": COUNT,
            "descriptors": COUNT,
            "processes": COUNT,
            "restarts": COUNT,
            "read": SIZE,
            "written": SIZE,
        },
        "host": {
            "cpu": SHARE,
            "cpu_max": SHARE,
            "steal": SHARE,
            "iowait": SHARE,
            "load": NUMBER,
            "memory_available": SIZE,
            "swapped": SIZE,
            "disk_read": SIZE,
            "disk_written": SIZE,
            "received": SIZE,
            "sent": SIZE,
            "cpu_pressure": SHARE,
            "memory_pressure": SHARE,
            "io_pressure": SHARE,
        },
        "prometheus": {
            "rate": NUMBER,
            "increase": NUMBER,
            "mean": NUMBER,
            "min": NUMBER,
            "max": NUMBER,
            "last": NUMBER,
            "value": NUMBER,
        },
    }
)
SUBJECTS = tuple(_OF_SUBJECT)

_KINDS = {
    "http": (
        "timeout",
        "connect_timeout",
        "refused",
        "reset",
        "closed",
        "unreachable",
        "dns",
        "tls",
        "status",
        "slow",
        "expect",
        "capture",
        "malformed",
        "oversized",
        "excess_data",
        "bad_chunk",
        "wrong_Content_Length",
        "unexpected_upgrade",
        "http2",
        "no_http2",
        "socket_error",
        "no_row_left",
        "generator",
    ),
    "write": (
        "connection_lost",
        "no_connection",
        "no_keys",
        "no_rows",
        "no_row_left",
        "foreign_row",
        "bad_value",
    ),
}


def unit_of(subject: str, metric: str) -> Unit | None:
    """The unit of a subject's metric; None where it has no such metric."""
    figures = _OF_SUBJECT[subject]
    if _PERCENTILE.fullmatch(metric) and "mean" in figures:
        return figures["mean"]
    if metric.startswith(ERRORS_OF_KIND) and subject in LOADS:
        return SHARE if _is_kind(subject, metric.removeprefix(ERRORS_OF_KIND)) else None
    return figures.get(metric)


def metrics_of(subject: str) -> tuple[str, ...]:
    """What there is to choose from, percentiles by their best known ones."""
    figures = tuple(_OF_SUBJECT[subject])
    return ("p50", "p95", "p99", *figures) if "mean" in figures else figures


def kinds_of(subject: str) -> tuple[str, ...]:
    """The kinds of errors that have a name, besides statuses and SQLSTATEs."""
    return _KINDS["write" if subject == "write" else "http"]


def quantile_of(metric: str) -> float | None:
    """Of a percentile its quantile: 0.95 of p95, 0.999 of p999."""
    match = _PERCENTILE.fullmatch(metric)
    return None if match is None else int(match[1]) / 10 ** len(match[1])


def is_latency(threshold: Threshold) -> bool:
    """Whether a threshold is on how long requests, iterations or operations take."""
    return threshold.subject in LOADS and unit_of(threshold.subject, threshold.metric) is DURATION


def is_of_kind(error: str, kind: str) -> bool:
    """Whether what reports call an error (`status 503`, `40P01 deadlock_detected`) is of a kind."""
    if _STATUS.fullmatch(kind):
        return error.startswith(f"status {kind.rstrip('x')}")
    words = re.sub(r"[^0-9A-Za-z]+", "_", error)
    return words == kind or words.startswith(f"{kind}_")


def _is_kind(subject: str, kind: str) -> bool:
    pattern = _SQLSTATE if subject == "write" else _STATUS
    return kind in kinds_of(subject) or pattern.fullmatch(kind) is not None
