"""Samples put together to lock waits: who waited for whom, and how long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from looks import MS, look, waiter

from stressrun.monitor.lock_waits import MOST_PAIRS, LockTally
from stressrun.postgres.findings import LockWaits
from stressrun.postgres.observation import Sample, Waiter


def seen(*samples: Sample, start: int = 0) -> LockWaits:
    tally = LockTally(start * MS)
    for sample in samples:
        tally.see(sample)
    return tally.finish()


def times(waits: LockWaits) -> tuple[int, float, float]:
    """Count, and total and longest in milliseconds."""
    return waits.count, round(waits.total * 1000, 6), round(waits.longest * 1000, 6)


def test_a_wait_lasts_from_its_begin_to_when_it_was_last_seen() -> None:
    waits = seen(
        look(100, waiter(1, 9, waited=30)),
        look(200, waiter(1, 9, waited=130)),
        look(300),
    )
    assert times(waits) == (1, 130, 130)
    (pair,) = waits.pairs
    assert (pair.place, pair.blocker.pid, pair.waiter.pid) == ("products", 9, 1)
    assert pair.waiter.application == "app 1"


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        # It waits since before it was seen the first time: the same.
        (waiter(1, 9, waited=130), (1, 130, 130)),
        # It began to wait in between: another one of the same two.
        (waiter(1, 9, waited=40, since=2), (2, 70, 40)),
        # However exactly its beginning is known.
        (waiter(1, 9, waited=90), (1, 130, 130)),
        # It waits on, for another blocker: its time is counted once.
        (waiter(1, 8, waited=130), (2, 130, 100)),
        (waiter(1, 9, waited=130, on="orders"), (2, 130, 100)),
        # Another session waits.
        (waiter(2, 9, waited=20), (2, 50, 30)),
    ],
)
def test_what_makes_two_looks_one_wait(second: Waiter, expected: tuple[int, float, float]) -> None:
    assert times(seen(look(100, waiter(1, 9, waited=30)), look(200, second))) == expected


def test_where_the_server_does_not_say_since_when_it_begins_when_it_is_first_seen() -> None:
    first = look(100, waiter(1, 9, waited=None))
    assert times(seen(first, look(200, waiter(1, 9, waited=None)))) == (1, 100, 100)
    assert times(seen(first, look(200, waiter(1, 9, waited=None, since=2)))) == (2, 0, 0)
    assert times(seen(first)) == (1, 0, 0)


def test_a_wait_that_a_stage_finds_counts_from_the_stage_s_start() -> None:
    assert times(seen(look(150, waiter(1, 9, waited=5000)), start=100)) == (1, 50, 50)


def test_waits_are_grouped_by_statements_and_place() -> None:
    statements = {1: "update a", 2: "update a", 3: "delete", 9: "hold"}
    waits = seen(
        look(100, waiter(1, 9, waited=50), waiter(2, 9, waited=80), statements=statements),
        look(200, waiter(3, 9, waited=20), statements=statements),
    )
    assert [(pair.count, pair.waiter.statement, pair.waiter.pid) for pair in waits.pairs] == [
        (2, "update a", 2),
        (1, "delete", 3),
    ]
    assert waits.others == 0


def test_who_else_blocks_with_the_same_statement_is_named_beside() -> None:
    both = {1: "update a", 2: "update a", 8: "hold", 9: "hold"}
    waits = seen(
        look(100, waiter(1, 9, waited=50), waiter(2, 8, waited=80), statements=both),
    )
    assert [(pair.count, pair.blocker.application) for pair in waits.pairs] == [
        (1, "app 8"),
        (1, "app 9"),
    ]


def test_a_lock_of_another_kind_than_of_rows_or_tables_is_named() -> None:
    (pair,) = seen(look(100, waiter(1, 9, waited=10, lock="extend"))).pairs
    assert pair.place == "products (extend lock)"


def test_waits_shorter_than_the_time_between_samples_are_counted_by_the_samples() -> None:
    # Of two sessions one waits whenever it is looked, each time anew.
    waits = seen(*(look(100 * n, waiter(n, 9, waited=10)) for n in range(1, 11)), look(1100))
    assert waits.total == pytest.approx(0.1)
    assert waits.estimated == pytest.approx(1.0)


def test_only_so_many_pairs_are_named() -> None:
    statements = {pid: f"update t{pid}" for pid in range(1, 30)}
    waits = seen(
        *(look(100 * pid, waiter(pid, 99, waited=pid), statements=statements) for pid in statements)
    )
    assert len(waits.pairs) == MOST_PAIRS
    assert waits.pairs[0].waiter.pid == 29
    assert (waits.count, waits.others) == (29, 29 - MOST_PAIRS)


def test_memory_is_bounded_whatever_is_seen() -> None:
    tally = LockTally(0)
    for number in range(1, 2001):
        tally.see(
            look(
                100 * number,
                waiter(number, 9999, waited=1, on=f"table_{number}"),
                statements={number: f"update t{number}"},
            )
        )
    waits = tally.finish()
    assert waits.count == 2000
    assert len(tally.by_place) <= 51
    assert times(waits)[1] == 2000


def test_a_prepared_transaction_blocks_without_a_process() -> None:
    (pair,) = seen(look(100, waiter(1, 0, waited=10))).pairs
    assert (pair.blocker.pid, pair.blocker.state) == (0, "prepared transaction")


@pytest.mark.parametrize(
    ("waiters", "expected"),
    [
        # 1 waits for the row, the others for their turn to.
        ([waiter(1, 9), waiter(2, 1), waiter(3, 1, 2)], {1: 9, 2: 9, 3: 9}),
        # Each waits for a table of its own.
        ([waiter(1, 9), waiter(2, 1, on="orders")], {1: 9, 2: 1}),
        # A deadlock: each keeps waiting for the one before it.
        ([waiter(1, 2), waiter(2, 1)], {1: 2, 2: 1}),
        ([waiter(1, 2), waiter(2, 3), waiter(3, 2)], {1: 2, 2: 3, 3: 2}),
        # Locks that belong to no table are no common queue.
        ([waiter(1, 9, on=None), waiter(2, 1, on=None)], {1: 9, 2: 1}),
    ],
)
def test_the_holder_is_the_one_that_a_queue_waits_for(
    waiters: list[Waiter], expected: dict[int, int]
) -> None:
    sample = look(100, *waiters)
    assert sample.holders() == expected


def test_of_several_blockers_the_one_with_the_oldest_transaction_is_named() -> None:
    sample = look(100, waiter(1, 7, 8, 9), ages={7: 1.0, 8: 5.0, 9: 2.0})
    assert sample.holders() == {1: 8}


looks = st.lists(
    st.dictionaries(
        st.integers(1, 4), st.tuples(st.integers(8, 9), st.integers(0, 300)), max_size=4
    ),
    max_size=12,
)


@given(looks)
def test_no_session_waits_longer_than_there_was_time(
    shown: list[dict[int, tuple[int, int]]],
) -> None:
    samples = [
        look(
            100 * (number + 1),
            *(waiter(pid, blocker, waited=waited) for pid, (blocker, waited) in waits.items()),
        )
        for number, waits in enumerate(shown)
    ]
    waits = seen(*samples)
    end = 100 * len(samples) / 1000
    assert waits.longest <= end
    assert waits.total <= 4 * end + 1e-9
    assert waits.count <= sum(map(len, shown))
    assert abs(sum(pair.total for pair in waits.pairs) - waits.total) < 1e-9
