"""Where figures come from, and whether those of two runs can be held against each other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from stressrun.scenario.identity import Identity
from stressrun.units import format_size

# What a kernel leaves of the same memory differs by less from one start to the next.
_SAME_MEMORY = 0.02
# Runs of one build beyond these were called regressed in a third of all cases: docs/baseline.md.
_MOST_OTHERS = 0.5
_MORE_OTHERS = 0.1


@dataclass(frozen=True, slots=True)
class Machine:
    """What a run was measured on; `id` tells it from others of the same make.

    `cores` are those that may be used, `memory` is in bytes, `system` is the kernel and its kind.
    """

    id: str
    cpu: str
    cores: float
    memory: int
    system: str

    def __str__(self) -> str:
        cores = "1 core" if self.cores == 1 else f"{self.cores:g} cores"
        return f"{cores} of {self.cpu}, {format_size(self.memory)}, {self.system}"

    def is_like(self, other: Machine) -> bool:
        """Whether it is made alike, whichever it is."""
        return (self.cpu, self.cores, self.system) == (
            other.cpu,
            other.cores,
            other.system,
        ) and math.isclose(self.memory, other.memory, rel_tol=_SAME_MEMORY)


@dataclass(frozen=True, slots=True)
class Versions:
    """What measured, and which PostgreSQL was measured, if one."""

    stressrun: str
    python: str
    postgresql: str | None


@dataclass(frozen=True, slots=True)
class Origin:
    """The machine, the programs and the scenario of a run.

    `others_cpu` is the share of the machine's CPU time that others than the run used during its
    stages; None: it is not known.
    """

    machine: Machine
    versions: Versions
    scenario: Identity
    others_cpu: float | None = None

    @property
    def too_busy(self) -> bool:
        """Whether others used so much of the machine that the figures may be of their making."""
        return self.others_cpu is not None and self.others_cpu > _MOST_OTHERS


def differences(then: Origin, now: Origin) -> list[str]:
    """Why the figures of an earlier run say nothing about those of this one, in words."""
    return list(_differences(then, now))


def _differences(then: Origin, now: Origin) -> Iterator[str]:
    if not then.machine.is_like(now.machine):
        yield f"it was measured on another machine: {then.machine}; this one has {now.machine}"
    elif then.machine.id != now.machine.id:
        yield f"it was measured on another machine, if one like this: {then.machine}"
    measured_by, this = then.versions.stressrun, now.versions.stressrun
    if measured_by != this:
        yield f"stressrun {measured_by} measured it, and this is {this}"
    if then.scenario.hash != now.scenario.hash:
        yield f"the scenario is another: {_other(then.scenario, now.scenario)}"
    if then.others_cpu is None or now.others_cpu is None:
        return
    before, after = (f"{share * 100:.0f} %" for share in (then.others_cpu, now.others_cpu))
    both = f"{before} of the machine's CPU then, {after} now"
    if then.too_busy or now.too_busy:
        yield f"others were too busy: they used {both}"
    elif abs(then.others_cpu - now.others_cpu) > _MORE_OTHERS:
        yield f"others were not as busy: they used {both}"


def _other(then: Identity, now: Identity) -> str:
    if then.name != now.name:
        return f"that was {then.name!r}, this is {now.name!r}"
    changed = then.changed(now)
    return f"changed are {', '.join(changed)}" if changed else "it has another hash"
