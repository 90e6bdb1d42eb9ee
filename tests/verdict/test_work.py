"""Work for each iteration, from what a server has counted over the same arrivals on both sides."""

from __future__ import annotations

from dataclasses import replace

import pytest

from findings_samples import COUNTED
from stressrun.postgres.statistics import TableActivity
from stressrun.verdict.work import NO_WORK, Work, WorkChange, counted, work_changes

ORDERS = TableActivity("orders", 5, 500, 200, 100, 0, 0, 0, 0, 0)
STATISTICS = replace(COUNTED, tables=(ORDERS,))


def test_a_query_more_is_an_index_scan_more() -> None:
    base = Work(100, {"api": 0.2}, counted(STATISTICS))
    more = replace(ORDERS, index_scans=300)
    head = Work(100, {"api": 0.3}, counted(replace(STATISTICS, tables=(more,))))
    changed = [change for change in work_changes(base, head) if change.changed]
    assert [change.name for change in changed] == ["orders: index scans"]
    assert changed[0].head - changed[0].base == 1.0


def test_the_same_work_for_fewer_requests_is_more_for_each() -> None:
    changes = work_changes(Work(100, {}, counted(STATISTICS)), Work(50, {}, counted(STATISTICS)))
    assert all(change.changed for change in changes if change.base > 0.5)


def test_cpu_time_varies_and_is_shown_only() -> None:
    (change,) = work_changes(Work(100, {"api": 0.1}, {}), Work(100, {"api": 0.5}, {}))
    assert change == WorkChange("CPU of api", 0.001, 0.005, seconds=True)
    assert not change.changed


@pytest.mark.parametrize(
    ("iterations", "base", "head", "changed"),
    [
        (1000, 10_000, 10_400, False),
        (1000, 0, 15, False),
        (1000, 1000, 2000, True),
        (1000, 0, 1000, True),
        (1000, 1000, 0, True),
        # What pools and the server do by themselves is much of little.
        (100, 14, 30, False),
        (100, 100, 200, True),
    ],
)
def test_what_varies_by_itself_is_no_change(
    iterations: int, base: int, head: int, changed: bool
) -> None:
    (change,) = work_changes(
        Work(iterations, {}, {"transactions": base}), Work(iterations, {}, {"transactions": head})
    )
    assert change.changed is changed


def test_work_adds_up() -> None:
    one = Work(10, {"api": 1.0}, {"transactions": 5})
    other = Work(5, {"api": 0.5, "db": 1.0}, {"blocks": 7})
    both = Work(15, {"api": 1.5, "db": 1.0}, {"transactions": 5, "blocks": 7})
    assert NO_WORK + one + other == both
