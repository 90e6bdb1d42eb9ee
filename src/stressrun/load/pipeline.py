"""Operations that a writer sends together, without waiting for the answers in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import psycopg
from psycopg import pq
from psycopg.abc import PQGen

from stressrun.load.writers import Task
from stressrun.postgres.operations import Single
from stressrun.postgres.session import Session


def send_all(tasks: Sequence[Task], session: Session, clock: Callable[[], int]) -> PQGen[None]:
    """Send all tasks and count each when its answer is there. Raises psycopg.Error."""
    calls = []
    for task in tasks:
        assert isinstance(task.operation, Single)
        calls.append((task.operation.query, task.plan))

    def ended(number: int, outcome: pq.abc.PGresult | psycopg.Error) -> None:
        _settle(tasks[number], outcome, clock())

    return session.run_all(calls, ended)


def _settle(task: Task, outcome: pq.abc.PGresult | psycopg.Error, now: int) -> None:
    if isinstance(outcome, psycopg.Error):
        task.fail(outcome, now)
        return
    assert isinstance(task.operation, Single)
    try:
        done = task.operation.read(outcome, task.plan)
    except psycopg.Error as error:
        # Of this one alone: the answers to the others are still to come.
        task.fail(error, now)
    else:
        task.succeed(done, now)
