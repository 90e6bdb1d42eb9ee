"""A signal in each phase of a run: three that ask it to end, and the one that does not ask."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM

import psycopg
import pytest
from aftermath import assert_killed, assert_survived
from runs import PATIENCE, Run
from test_fault_service import SERVER

PHASES = Path(__file__).with_name("phases.yaml")
ASKING = (SIGINT, SIGTERM, SIGHUP)
# Waits until the test lets it go on.
LOCK = "select pg_advisory_xact_lock(42)"
# More than a pipe and a reader's buffer hold: who does not read on stops the run in its report.
LONG_REPORT = json.dumps([f"http p50 < {number}s" for number in range(1, 601)])
SMALL_PIPE = 4096

pytestmark = pytest.mark.faults


@dataclass(frozen=True)
class Around:
    """Where a run is, and how to see from outside what it does."""

    folder: Path
    url: str
    database: psycopg.Connection

    def started(self, *arguments: str | Path, **environment: str) -> Run:
        settings = {"TEST_DATABASE_URL": self.url, "SERVER": SERVER, **environment}
        return Run(self.folder, PHASES, *arguments, **settings)

    def asks(self, statement: str) -> bool:
        """Whether a session of the run's is at a statement."""
        found = self.database.execute(
            "select from pg_stat_activity where query = %s and state = 'active'", (statement,)
        )
        return found.rowcount > 0

    def tables(self) -> int:
        found = self.database.execute(
            "select from pg_class where relnamespace = 'public'::regnamespace"
        )
        return found.rowcount


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.01)


@contextmanager
def validating(around: Around) -> Iterator[Run]:
    pipe = around.folder / "variables"
    os.mkfifo(pipe)
    run = around.started("--env-file", pipe)
    # Whoever reads it waits for a word.
    with pipe.open("w"):
        yield run


def starting_services(around: Around) -> Run:
    begun = around.folder / "begun"
    run = around.started(
        f"--set=services.api.command=[sh, -c, \"touch '{begun}'; exec sleep 600\"]"
    )
    until(begun.exists)
    run.wait_for("stressrun phases")
    return run


def seeding(around: Around) -> Run:
    run = around.started(SEEDING=LOCK)
    run.wait_for("table seeded")
    until(lambda: around.asks(LOCK))
    return run


def ramping(around: Around) -> Run:
    run = around.started(RAMP="60s")
    run.wait_for("stage ramp")
    run.wait_for(" s · endpoints ")
    return run


def steady(around: Around) -> Run:
    run = around.started(STEADY="60s")
    run.wait_for("stage steady")
    run.wait_for(" s · endpoints ")
    return run


def tearing_down(around: Around) -> Run:
    run = around.started(TEARDOWN=LOCK)
    run.wait_for("stage steady")
    until(lambda: around.asks(LOCK))
    return run


def reporting(around: Around) -> Run:
    run = around.started(f"--set=thresholds={LONG_REPORT}")
    assert run.process.stdout is not None
    fcntl.fcntl(run.process.stdout, fcntl.F_SETPIPE_SZ, SMALL_PIPE)
    run.wait_for("thresholds")
    return run


UNDER_WAY = {
    "services": starting_services,
    "seeding": seeding,
    "ramp": ramping,
    "steady": steady,
    "teardown": tearing_down,
    "report": reporting,
}


@pytest.fixture
def around(tmp_path: Path, database_url: str) -> Iterator[Around]:
    with psycopg.connect(database_url, autocommit=True) as database:
        database.execute("select pg_advisory_lock(42)")
        yield Around(tmp_path, database_url, database)


@pytest.mark.parametrize("number", ASKING, ids=lambda number: number.name)
def test_a_signal_before_the_run(around: Around, number: signal.Signals) -> None:
    with validating(around) as run:
        run.signal(number)
        ended = run.end()
    assert (ended.code, ended.output) == (128 + number, f"error: stopped by {number.name}\n")
    assert not (around.folder / ".stressrun").exists()


@pytest.mark.parametrize("number", ASKING, ids=lambda number: number.name)
@pytest.mark.parametrize("phase", UNDER_WAY)
def test_a_signal_in_each_phase(around: Around, phase: str, number: signal.Signals) -> None:
    run = UNDER_WAY[phase](around)
    run.signal(number)
    if phase != "report":
        run.wait_for("again: end at once")
    if phase == "teardown":
        around.database.execute("select pg_advisory_unlock(42)")
    ended = run.end()
    if phase == "report":
        # What has been judged is not unsaid.
        assert_survived(ended, 0, url=around.url, complete=True)
    else:
        cause, complete = f"stopped by {number.name}", phase == "teardown"
        assert_survived(ended, 128 + number, cause, url=around.url, complete=complete)
    assert around.tables() == 0


def test_a_kill_before_the_run(around: Around) -> None:
    with validating(around) as run:
        run.signal(SIGKILL)
        assert run.end().code == -SIGKILL
    assert not (around.folder / ".stressrun").exists()


@pytest.mark.parametrize("phase", UNDER_WAY)
def test_a_kill_in_each_phase(around: Around, phase: str) -> None:
    run = UNDER_WAY[phase](around)
    run.signal(SIGKILL)
    ended = run.end()
    around.database.execute("select pg_advisory_unlock(42)")
    assert_killed(ended, around.url)
    assert around.tables() == 0
