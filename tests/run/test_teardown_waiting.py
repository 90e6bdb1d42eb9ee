"""A database that is away for a moment is waited for; one that stays away is not for ever."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from ledgers import break_ledger
from stressrun.run import teardown
from stressrun.safety.guard import Guard
from stressrun.safety.ledger import Entry, Ledger, open_ledger

RUN = "run-1"
NOBODY = "postgresql://app@127.0.0.1:1/app"


async def undone(ledger: Ledger, told: list[str], **options: float) -> teardown.Undone:
    return await teardown.undo_data(ledger, Guard(), RUN, told.append, **options)


async def test_all_that_is_left_is_waited_for_only_once(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    with open_ledger(tmp_path) as ledger:
        for number in range(3):
            ledger.record(RUN, "sql", url=NOBODY, sql=f"select {number}")
        ledger.record(RUN, "table", url=NOBODY, table="t")
        told: list[str] = []
        begin = trio.current_time()
        result = await undone(ledger, told)
    assert teardown.PATIENCE <= trio.current_time() - begin < teardown.PATIENCE + 1
    assert len(result.left) == 4
    assert len(told) == 1
    assert told[0].startswith("waiting up to 10 s for the database: the database 127.0.0.1:1/app")


async def test_what_goes_with_the_run_or_was_never_there_is_not_waited_for(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    begin = trio.current_time()
    with open_ledger(tmp_path) as ledger:
        ledger.record(RUN, "sql", url=NOBODY, sql="select 1", disposable=True)
        assert (await undone(ledger, [])).left == []
        ledger.record(RUN, "sql", url=NOBODY, sql="select 1")
        assert len((await undone(ledger, [], patience=0)).left) == 1
    assert trio.current_time() - begin < 1


async def test_a_step_that_is_wrong_is_not_tried_again(tmp_path: Path, database_url: str) -> None:
    told: list[str] = []
    with open_ledger(tmp_path) as ledger:
        ledger.record(RUN, "sql", url=database_url, sql="delete from nowhere")
        (left,) = (await undone(ledger, told)).left
    assert 'relation "nowhere" does not exist' in left
    assert told == []


@pytest.mark.parametrize(
    ("kind", "seconds"),
    [("sql", 30), ("request", 600), ("owned", 600), ("rows", 600), ("table", 600)],
)
def test_data_has_its_time_and_a_statement_has_less(kind: str, seconds: float) -> None:
    assert teardown.time_for(Entry(1, RUN, kind, {})) == seconds


async def test_a_ledger_that_cannot_be_read_is_what_is_left(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        ledger.record(RUN, "sql", url=NOBODY, sql="select 1")
        break_ledger(tmp_path)
        (left,) = (await undone(ledger, [])).left
    assert "the ledger could not be used" in left
