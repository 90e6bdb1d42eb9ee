"""What a family of processes has used between two looks."""

from __future__ import annotations

import pytest

from stressrun.monitor.consumption import Member, Members, Used, used
from stressrun.monitor.proc import Holding, Process

# Its number, its parent's, its CPU and that of those it has waited for, what it has read.
Told = tuple[int, int, float, float, int | None]


def members(*told: Told, started: int = 1) -> Members:
    return {
        pid: Member(
            Process(pid, parent, 1, started, False, cpu, ended, 1),
            Holding(0, 0, 0, read, 0, 0),
        )
        for pid, parent, cpu, ended, read in told
    }


ROOT: Told = (1, 0, 10.0, 5.0, 1000)


@pytest.mark.parametrize(
    ("before", "after", "cpu", "read"),
    [
        (members(ROOT), members((1, 0, 11.0, 5.0, 1500)), 1.0, 500),
        (members(ROOT), members(ROOT, (2, 1, 0.5, 0.0, 7)), 0.5, 7),
        (members(ROOT), members((1, 0, 10.0, 5.25, 1003)), 0.25, 3),
        (members(ROOT, (2, 1, 3.0, 0.0, 50)), members((1, 0, 10.0, 8.5, 1060)), 0.5, 10),
        (
            members(ROOT, (2, 1, 3.0, 0.0, 50), (3, 2, 1.0, 0.0, 4)),
            members((1, 0, 10.0, 9.5, 1054)),
            0.5,
            0,
        ),
        (members((2, 77, 3.0, 0.0, 50), ROOT), members((1, 0, 10.5, 5.0, 1000)), 0.5, 0),
        (members(ROOT, (2, 1, 3.0, 0.0, 50)), members((1, 0, 10.5, 5.0, 1000)), 0.5, -50),
        (members(ROOT), members((1, 0, 2.0, 1.0, 30), started=2), 3.0, 30),
        (members(ROOT), members((1, 0, 11.0, 5.0, None)), 1.0, None),
        ({}, {}, 0.0, 0),
    ],
    ids=[
        "it went on",
        "a child came",
        "a child came and ended",
        "a child ended",
        "a child ended with a child of its own",
        "one ended of which nobody here is the parent",
        "one ended that nobody waited for",
        "another has its number",
        "its I/O is not ours to see",
        "nobody",
    ],
)
def test_what_was_used_is_counted_once(
    before: Members, after: Members, cpu: float, read: int | None
) -> None:
    found = used(before, after)
    assert found.seconds == pytest.approx(cpu)
    assert found.read == read


def test_what_is_used_in_turn_adds_up_to_what_is_used_at_all() -> None:
    child: Told = (2, 1, 3.0, 0.0, 50)
    # The child has ended, but its parent was looked at before it had waited for it.
    looks = [members(ROOT, child), members(ROOT), members((1, 0, 10.0, 8.5, 1060))]
    total = used(looks[0], looks[1]) + used(looks[1], looks[2])
    assert total.seconds == pytest.approx(used(looks[0], looks[2]).seconds)
    assert total.read == used(looks[0], looks[2]).read
    assert (total + Used(read=None)).read is None
