"""What the host of a run does, others on it among them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

from stressrun.metrics.usage import HostUse

N = TypeVar("N", int, float)

_PRESSURE = Path("/proc/pressure")
_LEAST = 500_000_000


@dataclass(frozen=True, slots=True)
class Sample:
    """Counters since the host's start, and what is so now; times are seconds of all cores."""

    instant: int
    user: float
    system: float
    idle: float
    iowait: float
    stolen: float
    load: float
    available: int
    memory: int
    swapped_in: int
    swapped_out: int
    disk_read: int | None
    disk_written: int | None
    received: int
    sent: int
    context_switches: int
    cpu_pressure: float | None
    memory_pressure: float | None
    io_pressure: float | None

    @property
    def passed(self) -> float:
        return self.user + self.system + self.idle + self.iowait + self.stolen

    @property
    def busy(self) -> float:
        return self.user + self.system + self.stolen


def sample(instant: int) -> Sample:
    """The host now, in nanoseconds of the monotonic clock."""
    times, memory, swap = psutil.cpu_times(), psutil.virtual_memory(), psutil.swap_memory()
    disk_read, disk_written = _disks()
    network = [
        counters for name, counters in psutil.net_io_counters(pernic=True).items() if name != "lo"
    ]
    return Sample(
        instant=instant,
        # The time of guests is in that of their hosts already.
        user=times.user + times.nice,
        system=times.system + times.irq + times.softirq,
        idle=times.idle,
        iowait=times.iowait,
        stolen=times.steal,
        load=os.getloadavg()[0],
        available=memory.available,
        memory=memory.total,
        swapped_in=swap.sin,
        swapped_out=swap.sout,
        disk_read=disk_read,
        disk_written=disk_written,
        received=sum(each.bytes_recv for each in network),
        sent=sum(each.bytes_sent for each in network),
        context_switches=psutil.cpu_stats().ctx_switches,
        cpu_pressure=pressure("cpu"),
        memory_pressure=pressure("memory"),
        io_pressure=pressure("io"),
    )


def _disks() -> tuple[int | None, int | None]:
    """Bytes read and written; None where the system does not tell, or not as psutil knows it."""
    try:
        counters = psutil.disk_io_counters()
    except Exception:  # psutil's own, or a ValueError: the rest of the host says as much without
        counters = None
    return (None, None) if counters is None else (counters.read_bytes, counters.write_bytes)


def stalled(text: str) -> float | None:
    """For how many seconds some task has waited, of a file in `/proc/pressure`."""
    for line in text.splitlines():
        kind, *words = line.split()
        if kind == "some":
            fields = dict(word.partition("=")[::2] for word in words)
            return int(fields["total"]) / 1e6
    return None


def between(first: Sample, last: Sample, *, cpu_max: float, available: int) -> HostUse | None:
    """What the host did from one sample to another; None: no time has passed."""
    seconds, passed = (last.instant - first.instant) / 1e9, last.passed - first.passed
    if seconds <= 0 or passed <= 0:
        return None
    cpu = min(1.0, _grown(first.busy, last.busy) / passed)  # all of it, but for rounding
    return HostUse(
        cores=os.cpu_count() or 1,
        cpu=cpu,
        cpu_max=max(cpu, cpu_max),
        user=_grown(first.user, last.user) / passed,
        system=_grown(first.system, last.system) / passed,
        iowait=_grown(first.iowait, last.iowait) / passed,
        stolen=_grown(first.stolen, last.stolen) / passed,
        load=last.load,
        available=available,
        memory=last.memory,
        swapped_in=_grown(first.swapped_in, last.swapped_in),
        swapped_out=_grown(first.swapped_out, last.swapped_out),
        disk_read=_told(first.disk_read, last.disk_read),
        disk_written=_told(first.disk_written, last.disk_written),
        received=_grown(first.received, last.received),
        sent=_grown(first.sent, last.sent),
        context_switches=_grown(first.context_switches, last.context_switches) / seconds,
        cpu_pressure=_waited(first.cpu_pressure, last.cpu_pressure, seconds),
        memory_pressure=_waited(first.memory_pressure, last.memory_pressure, seconds),
        io_pressure=_waited(first.io_pressure, last.io_pressure, seconds),
    )


class HostWatch:
    """Gathers what a stage of the host comes to, from its first sample on."""

    def __init__(self, first: Sample) -> None:
        self._first = self._since = self._last = first
        self._available = first.available
        self._cpu_max = 0.0

    def see(self, now: Sample) -> None:
        """Take a sample."""
        self._available = min(self._available, now.available)
        passed = now.passed - self._since.passed
        if now.instant - self._since.instant >= _LEAST and passed > 0:
            self._cpu_max = max(self._cpu_max, min(1.0, (now.busy - self._since.busy) / passed))
            self._since = now
        self._last = now

    def finish(self) -> HostUse | None:
        """What there was from the first sample to the last; None: no time has passed."""
        return between(self._first, self._last, cpu_max=self._cpu_max, available=self._available)


def _grown(then: N, now: N) -> N:
    """How much a counter has grown; where something that it added up is gone, it is less."""
    return now - then if now > then else now - now


def _told(then: int | None, now: int | None) -> int | None:
    return None if then is None or now is None else _grown(then, now)


def _waited(then: float | None, now: float | None, seconds: float) -> float | None:
    return None if then is None or now is None else min(1.0, _grown(then, now) / seconds)


def pressure(resource: str) -> float | None:
    """For how many seconds some task has waited for cpu, memory or io; None: nobody counts it."""
    try:
        return stalled((_PRESSURE / resource).read_text())
    except (OSError, ValueError, KeyError):
        return None
