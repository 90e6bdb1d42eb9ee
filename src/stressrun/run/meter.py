"""What a worker does itself: its CPU, what kept it from running, and what it may use."""

from __future__ import annotations

import gc
import os
import resource
import time
from pathlib import Path

from stressrun.load.stage import WorkerReading

# Nanoseconds on a core, nanoseconds runnable without one, and how often it got one.
_SCHEDULING = Path("/proc/self/schedstat")
_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


class GeneratorMeter:
    """What the generator itself did since the last reading: CPU, stalls of its loop, GC pauses."""

    def __init__(self) -> None:
        self._stall = 0.0
        self._pause = 0.0
        self._collecting_since = 0.0
        self._cpu = time.process_time()
        self._wall = time.monotonic()
        self._waiting = _waiting()
        self._ports = _ports()
        gc.callbacks.append(self._collected)

    def woken(self, late: float) -> None:
        """Note that the loop woke a task so many seconds late."""
        self._stall = max(self._stall, late)

    def read(self) -> WorkerReading:
        """What there was since the last reading; begins anew."""
        cpu, wall, waiting = time.process_time(), time.monotonic(), _waiting()
        waited = None
        if waiting is not None and self._waiting is not None:
            waited = waiting - self._waiting
        reading = WorkerReading(
            cpu_seconds=cpu - self._cpu,
            wall_seconds=wall - self._wall,
            waiting_seconds=waited,
            longest_stall=self._stall,
            longest_gc_pause=self._pause,
            cores=_cores(),
            descriptors=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            ports=self._ports,
        )
        self._cpu, self._wall, self._waiting = cpu, wall, waiting
        self._stall = self._pause = 0.0
        return reading

    def _collected(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._collecting_since = time.monotonic()
        else:
            self._pause = max(self._pause, time.monotonic() - self._collecting_since)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _waiting() -> float | None:
    """For how many seconds the main thread has waited for a core; None: nobody counts it."""
    try:
        return int(_SCHEDULING.read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None


def _ports() -> int | None:
    """How many local ports connections to one address can have."""
    try:
        first, last = map(int, _PORTS.read_text().split())
    except (OSError, ValueError):
        return None
    return last - first + 1
