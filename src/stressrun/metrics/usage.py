"""What processes and their host used over a stage. Seconds, bytes, shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from stressrun.metrics.gap import Gap

PROPORTIONAL, RESIDENT = "proportional", "resident"


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """What a service's or mock's processes used, or others of one name; `kind` is whose they are.

    CPU is of one core. `memory` is proportional, of what processes share a part each (Pss), or
    resident: what is private to each, and once what the largest of them shares, so that what a
    fork still shares with its parent counts twice; `memory_kind` says which. `growth` is in bytes
    per second: 0.0 where it is not beyond noise, None of a stage too short to tell.
    `threads`, `descriptors` and `processes` are the most at once. `restarts` are processes that
    took the place of others. None: nobody let us see it, or it was not there.
    """

    name: str
    kind: str
    samples: int
    gaps: tuple[Gap, ...]
    cpu: float | None
    cpu_max: float | None
    memory: float | None
    memory_max: int | None
    memory_kind: str
    growth: float | None
    threads: int | None
    descriptors: int | None
    processes: int | None
    read: int | None
    written: int | None
    restarts: int


@dataclass(frozen=True, slots=True)
class HostUse:
    """What the host did, others on it among them; CPU is of all its `cores`.

    `stolen` was given to other machines by what this one runs on. `available` is the least. The
    network is without the loopback. A `pressure` is the share of time in which somebody waited for
    it; None: the kernel does not say.
    """

    cores: int
    cpu: float
    cpu_max: float
    user: float
    system: float
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
    context_switches: float
    cpu_pressure: float | None
    memory_pressure: float | None
    io_pressure: float | None


@dataclass(frozen=True, slots=True)
class MachineUse:
    """A stage as its machine saw it, looked at each `interval` seconds.

    To look took `cost` of one core. `processes` stand with that first that used most CPU; without
    a `host` nothing of it was seen.
    """

    interval: float
    samples: int
    cost: float
    gaps: tuple[Gap, ...]
    processes: tuple[ProcessUse, ...]
    host: HostUse | None

    def masked(self, mask: Callable[[str], str]) -> MachineUse:
        """The same with the secrets taken out of all texts."""
        processes = tuple(
            replace(each, gaps=masked_gaps(each.gaps, mask)) for each in self.processes
        )
        return replace(self, gaps=masked_gaps(self.gaps, mask), processes=processes)


def masked_gaps(gaps: tuple[Gap, ...], mask: Callable[[str], str]) -> tuple[Gap, ...]:
    return tuple(replace(gap, why=mask(gap.why)) for gap in gaps)
