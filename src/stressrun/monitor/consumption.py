"""What a family of processes has used between two looks at it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter

from stressrun.monitor.proc import Holding, Process


@dataclass(frozen=True, slots=True)
class Member:
    """A process with what it has, or had when that was last seen; None: it never was."""

    process: Process
    holding: Holding | None


_READ: Callable[[Holding], int | None] = attrgetter("read")
_DIRTIED: Callable[[Holding], int | None] = attrgetter("dirtied")
_PASSED: Callable[[Holding], int | None] = attrgetter("passed")

Members = Mapping[int, Member]
"""A family by the numbers of its processes."""


@dataclass(frozen=True, slots=True)
class Used:
    """Seconds of CPU and bytes of I/O, as of `Holding`; None: not to be seen.

    `cpu` is with what ended processes have left to those that waited for them, `own` without.
    """

    cpu: float = 0.0
    own: float = 0.0
    read: int | None = 0
    dirtied: int | None = 0
    passed: int | None = 0

    def __add__(self, other: Used) -> Used:
        return Used(
            self.cpu + other.cpu,
            self.own + other.own,
            _sum(self.read, other.read),
            _sum(self.dirtied, other.dirtied),
            _sum(self.passed, other.passed),
        )

    @property
    def seconds(self) -> float:
        """Of CPU: nobody waits for the children of a parent that ignores their ends."""
        return max(self.cpu, self.own, 0.0)

    @property
    def written(self) -> int | None:
        """To storage: at most so much, but for what was written to mapped memory."""
        if self.dirtied is None or self.passed is None:
            return None
        return min(self.dirtied, self.passed)


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
        read=_difference(_READ, counted.values(), after.values()),
        dirtied=_difference(_DIRTIED, counted.values(), after.values()),
        passed=_difference(_PASSED, counted.values(), after.values()),
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


def _difference(
    counter: Callable[[Holding], int | None], before: Iterable[Member], after: Iterable[Member]
) -> int | None:
    total = 0
    for sign, members in ((1, after), (-1, before)):
        for member in members:
            value = None if member.holding is None else counter(member.holding)
            if value is None:
                return None
            total += sign * value
    return total


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other
