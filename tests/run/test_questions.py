"""The questions themselves, asked of a real server: again while they do not hold, and in vain."""

from __future__ import annotations

from dataclasses import replace

import trio

from stressrun.data.checks import parse_check
from stressrun.metrics.recorder import Recorder
from stressrun.postgres.connection import connect
from stressrun.run.questions import Questions
from stressrun.safety.guard import Guard
from stressrun.scenario.model import Database, Invariant, SqlQuestion
from verdict_samples import STAGES, scenario

ONE = (parse_check("equals", 1),)
COUNT = SqlQuestion("select count(*) from jobs")


def questions(url: str, within: float) -> Questions:
    asked = replace(
        scenario(),
        database=Database(url),
        invariants=(Invariant("jobs", COUNT, ONE, (), within, ()),),
    )
    return Questions(asked, Guard(), run_id="r1", rows={})


async def test_it_is_asked_again_until_it_holds(schema_url: str) -> None:
    async with await connect(schema_url, guard=Guard(), run_id="r2") as worker:
        await worker.execute("create table jobs (id int)")
        answers: list[bool] = []

        async def ask() -> None:
            for answer in await questions(schema_url, 60).ask(STAGES[2], Recorder()):
                answers.append(answer.passed)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            # Twice found empty, so that it has been asked again.
            scans = "select seq_scan >= 2 from pg_stat_user_tables where relname = 'jobs'"
            while await (await worker.execute(scans)).fetchone() != (True,):
                await trio.sleep(0.01)
            assert not answers
            await worker.execute("insert into jobs values (1)")
        assert answers == [True]


async def test_what_never_holds_says_how_long_it_was_asked(schema_url: str) -> None:
    async with await connect(schema_url, guard=Guard(), run_id="r2") as worker:
        await worker.execute("create table jobs (id int)")
    (answer,) = await questions(schema_url, 0.05).ask(STAGES[2], Recorder())
    assert (answer.passed, answer.value, answer.detail) == (False, "0", "still so after 50.0 ms")


async def test_a_database_that_is_gone_has_no_answer() -> None:
    (answer,) = await questions("postgresql://127.0.0.1:1/a", 0).ask(STAGES[2], Recorder())
    assert not answer.passed
    assert answer.value is None
    assert "127.0.0.1:1" in answer.detail
