"""What a family of processes has used between two looks at it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stressrun.monitor.proc import Holding, Process


@dataclass(frozen=True, slots=True)
class Member:
    """A process with what it has, or had when that was last seen; None: it never was."""

    process: Process
    holding: Holding | None


Members = Mapping[int, Member]
"""A family by the numbers of its processes."""


@dataclass(frozen=True, slots=True)
class Used:
    """Seconds of CPU and bytes of I/O; None: not to be seen.

    `cpu` is with what ended processes have left to those that waited for them, `own` without.
    """

    cpu: float = 0.0
    own: float = 0.0
    read: int | None = 0
    written: int | None = 0

    def __add__(self, other: Used) -> Used:
        return Used(
            self.cpu + other.cpu,
            self.own + other.own,
            _sum(self.read, other.read),
            _sum(self.written, other.written),
        )

    @property
    def seconds(self) -> float:
        """Of CPU: nobody waits for the children of a parent that ignores their ends."""
        return max(self.cpu, self.own, 0.0)


def used(before: Members, after: Members) -> Used:
    """What a family has used in between, with what came and ended meanwhile.

    The kernel adds all that a process has used to the one that waits for its end; so what was seen
    of it before has to be taken off.
    """
    counted = {
        pid: member
        for pid, member in before.items()
        if _same(after, member) is not None or _is_waited_for(member, before, after)
    }
    own = sum(
        member.process.cpu - (0.0 if (old := _same(before, member)) is None else old.process.cpu)
        for member in after.values()
    )
    return Used(
        cpu=_seconds(after.values()) - _seconds(counted.values()),
        own=own,
        read=_difference([_read(m) for m in after.values()], map(_read, counted.values())),
        written=_difference([_written(m) for m in after.values()], map(_written, counted.values())),
    )


def _same(members: Members, member: Member) -> Member | None:
    found = members.get(member.process.pid)
    return found if found and found.process.started == member.process.started else None


def _is_waited_for(member: Member, before: Members, after: Members) -> bool:
    """Whether one that has ended has an ancestor left in the family, who got what it had used."""
    seen = set()
    parent = before.get(member.process.parent)
    while parent is not None and parent.process.pid not in seen:
        if _same(after, parent) is not None:
            return True
        seen.add(parent.process.pid)
        parent = before.get(parent.process.parent)
    return False


def _seconds(members: Iterable[Member]) -> float:
    return sum(member.process.cpu + member.process.cpu_of_ended for member in members)


def _read(member: Member) -> int | None:
    return None if member.holding is None else member.holding.read


def _written(member: Member) -> int | None:
    return None if member.holding is None else member.holding.written


def _difference(after: Iterable[int | None], before: Iterable[int | None]) -> int | None:
    total = 0
    for sign, values in ((1, after), (-1, before)):
        for value in values:
            if value is None:
                return None
            total += sign * value
    return total


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other
