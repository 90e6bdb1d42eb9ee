"""Faults of the generator: workers that are killed, stopped or starved, and what only seems so."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from aftermath import assert_survived
from runs import Run, row_of, stressrun

PHASES = Path(__file__).with_name("phases.yaml")
STARVED = Path(__file__).with_name("generator.yaml")
SERVER = str(Path(__file__).with_name("delayed.py"))
TIME = r"[\d.]+ (?:µs|ms|s)"
# A good second.
_TICKS = 5


def worker(run: Run, name: str) -> psutil.Process:
    (found,) = (
        process
        for process in psutil.Process(run.process.pid).children()
        if process.environ().get("STRESSRUN_SERVICE", "").endswith(f"/worker-{name}")
    )
    return found


def let_tick(run: Run, ticks: int) -> None:
    """Wait for so many report intervals, each a quarter of a second."""
    for _ in range(ticks):
        run.wait_for(" s · endpoints ")


@contextmanager
def stopped(process: psutil.Process) -> Iterator[None]:
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("number", "said", "patience"),
    [
        (signal.SIGKILL, "the worker writes ended by itself (killed by SIGKILL)", 0),
        (signal.SIGSTOP, "the worker writes has said nothing for 10 s", 10),
    ],
    ids=["killed", "frozen"],
)
def test_a_lost_worker_makes_a_run_invalid(
    tmp_path: Path, database_url: str, number: signal.Signals, said: str, patience: float
) -> None:
    settings = {"TEST_DATABASE_URL": database_url, "SERVER": SERVER, "STEADY": "60s"}
    run = Run(tmp_path, PHASES, **settings)
    run.wait_for("stage steady")
    let_tick(run, 1)
    worker(run, "writes").send_signal(number)
    run.call()
    ended = run.end()
    assert_survived(ended, 4, said, url=database_url, grace=5 + patience)
    row = row_of(ended, "home", stage=1)
    assert row["succeeded"] > 0


def test_a_generator_that_was_stopped_makes_a_run_invalid(tmp_path: Path) -> None:
    run = Run(tmp_path, STARVED, SERVER=SERVER)
    run.wait_for("stage only")
    let_tick(run, 1)
    with stopped(worker(run, "endpoints-0")):
        let_tick(run, _TICKS)
    ended = run.end()
    assert_survived(ended, 4, complete=True)
    assert ended.report["verdict"] == "invalid"
    assert re.fullmatch(
        rf"the generator was stopped for {TIME}: "
        rf"http p95 in stage only was {TIME}, {TIME} without the generator's lag",
        ended.report["cause"],
    )
    assert ended.report["remedy"].startswith("something suspended it or its machine")
    (stage,) = ended.report["stages"]
    (row,) = stage["rows"]
    assert row["response"]["p95"] > 0.5 > row["response_without_lag"]["p95"]
    assert 0.05 < stage["generator"]["late_share"] < 0.6


@pytest.mark.faults
def test_a_stop_that_no_judged_figure_holds_is_only_told(tmp_path: Path) -> None:
    run = Run(tmp_path, STARVED, "--set=thresholds.0=http p50 < 10s", SERVER=SERVER)
    run.wait_for("stage only")
    let_tick(run, 1)
    with stopped(worker(run, "endpoints-0")):
        let_tick(run, _TICKS)
    ended = run.end()
    assert_survived(ended, 0, complete=True)
    told = rf"warning: starts were late by up to {TIME}, [\d.]+ % of them by more than 1.00 ms"
    assert re.search(told, ended.output)


@contextmanager
def competitor(core: int) -> Iterator[None]:
    """A process that keeps a core busy."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        os.sched_setaffinity(process.pid, {core})
        yield
    finally:
        process.kill()
        process.wait()


def let_others_go_first(process: psutil.Process, core: int) -> None:
    """Pin a process to a core, where it has the least share of all."""
    os.sched_setaffinity(process.pid, {core})
    process.nice(19)
    # Where the scheduler shares between sessions first, it is the session that has to be nice.
    group = Path(f"/proc/{process.pid}/autogroup")
    if group.exists():
        group.write_text("19")


@pytest.mark.faults
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes cannot be pinned here")
def test_a_generator_without_a_core_makes_a_run_invalid(tmp_path: Path) -> None:
    core = min(os.sched_getaffinity(0))
    # More than the least share of a core that the scheduler gives to whoever wants one.
    settings = ("--set=stages.only.endpoints.rate=200/s", "--set=stages.only.duration=5s")
    run = Run(tmp_path, STARVED, *settings, SERVER=SERVER, ALLOWED="5%")
    run.wait_for("stage only")
    for name in ("endpoints-0", "endpoints-1"):
        let_others_go_first(worker(run, name), core)
    with competitor(core):
        # Few: who has no core tells late.
        let_tick(run, 3)
    ended = run.end()
    assert_survived(ended, 4, "http p95 in stage only was ", complete=True)
    assert ended.report["stages"][0]["generator"]["lag"]["p95"] > 0.001
    if Path("/proc/self/schedstat").exists():
        assert ended.report["cause"].startswith("the generator waited for a core for ")
        assert "others, the target among them, used the machine's " in ended.report["remedy"]


@pytest.mark.faults
def test_virtual_users_that_are_all_busy_are_the_target_s_doing(tmp_path: Path) -> None:
    ended = stressrun(
        tmp_path,
        STARVED,
        "--set=stages.only.endpoints.max_vus=10",
        "--set=thresholds.0=http max < 200ms",
        SERVER=SERVER,
        DELAY="0.3",
    )
    assert_survived(ended, 1, "threshold failed: http max < 200ms", complete=True)
    (row,) = ended.report["stages"][0]["rows"]
    assert row["dropped"] > 10
    assert row["response"]["max"] > 1 > row["service"]["max"]
