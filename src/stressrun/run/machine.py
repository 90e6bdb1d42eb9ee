"""Where a run is measured: on which machine, and with what."""

from __future__ import annotations

import hashlib
import math
import os
import platform
import time
from pathlib import Path

import psutil

from stressrun import __version__
from stressrun.monitor.host import pressure
from stressrun.scenario.identity import Identity
from stressrun.services.process import cpu_seconds
from stressrun.verdict.origin import Machine, Origin, Versions

_IDS = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
_CPU = Path("/proc/cpuinfo")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def origin_of(scenario: Identity, postgres: str | None, others_cpu: float | None) -> Origin:
    """The origin of a run that is done here, on a server of a version, if on any."""
    versions = Versions(__version__, platform.python_version(), postgres)
    return Origin(this_machine(), versions, scenario, others_cpu)


class Disk:
    """How much of the time from now on something on the machine waits for its disks."""

    def __init__(self) -> None:
        self._begin = pressure("io")
        self._wall = time.monotonic()

    def share(self) -> float | None:
        """The share of the time so far; None: the system does not say."""
        begin, now = self._begin, pressure("io")
        passed = time.monotonic() - self._wall
        return (now - begin) / passed if begin is not None and now is not None and passed else None


class Neighbours:
    """What others use of the machine's CPU from now on: all but this process and those below it."""

    def __init__(self) -> None:
        self._begin = _used()

    def share(self) -> float | None:
        """Of all the CPU time that there was, that of others; None: there was none yet."""
        passed, busy, own = (now - then for now, then in zip(_used(), self._begin, strict=True))
        return min(1.0, max(0.0, (busy - own) / passed)) if passed > 0 else None


def _used() -> tuple[float, float, float]:
    """Seconds of all cores: those that have passed, those at work, those at work for the run."""
    times = psutil.cpu_times()
    # The time of guests is in that of their hosts already.
    passed = sum(times) - times.guest - times.guest_nice
    return passed, passed - times.idle - times.iowait, cpu_seconds(os.getpid())


def this_machine() -> Machine:
    """What this machine is; a container's is told by its own host name and share of CPU."""
    name = next(filter(None, map(_text, _IDS)), "")
    digest = hashlib.sha256(f"{name}\n{platform.node()}".encode(errors="backslashreplace"))
    system = platform.uname()
    return Machine(
        id=digest.hexdigest()[:16],
        cpu=cpu_model(_text(_CPU)) or system.machine,
        cores=min(len(os.sched_getaffinity(0)), quota(_text(_QUOTA))),
        memory=psutil.virtual_memory().total,
        system=f"{system.system} {system.release} {system.machine}",
    )


def cpu_model(cpuinfo: str) -> str:
    """The first model in a `/proc/cpuinfo`; empty where it names none."""
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip().lower() in ("model name", "hardware", "cpu model"):
            return " ".join(value.split())
    return ""


def quota(text: str) -> float:
    """The cores that a `cpu.max` of a control group allows: `150000 100000` are 1.5."""
    most, _, period = text.partition(" ")
    try:
        return int(most) / int(period)
    except (ValueError, ZeroDivisionError):
        return math.inf


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
