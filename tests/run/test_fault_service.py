"""Faults of the service under test."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import psutil
import pytest
from aftermath import assert_survived
from runs import Run, row_of, stressrun

LIGHT = Path(__file__).with_name("light.yaml")
SERVER = str(Path(__file__).with_name("delayed.py"))
GRACE = 1.0
TICK = " s · endpoints "

pytestmark = pytest.mark.faults


def loading(directory: Path, *arguments: str, **environment: str) -> Run:
    """A run that has got answers."""
    run = Run(directory, LIGHT, *arguments, SERVER=SERVER, **environment)
    run.wait_for(TICK)
    run.wait_for(TICK)
    return run


def service(run: Run) -> psutil.Process:
    """The process that answers."""
    (found,) = (
        process
        for process in psutil.Process(run.process.pid).children(recursive=True)
        if SERVER in process.cmdline()
    )
    return found


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = stressrun(
            tmp_path, LIGHT, f"--set=services.api.port={port}", SERVER=SERVER, DURATION="300ms"
        )
    cause = f"service 'api' cannot have its port {port}: another process listens there"
    assert_survived(ended, 3, cause)
    assert ended.report["stages"] == []


def test_an_api_that_is_killed(tmp_path: Path) -> None:
    run = loading(tmp_path)
    service(run).kill()
    run.call()
    ended = run.end()
    assert_survived(ended, 4, "service api ended by itself in stage load", grace=GRACE)
    assert ended.report["verdict"] == "invalid"


def test_an_api_that_is_frozen(tmp_path: Path) -> None:
    run = loading(tmp_path, DURATION="2s", TIMEOUT="500ms")
    service(run).suspend()
    ended = run.end()
    assert_survived(ended, 1, "threshold failed: http errors < 50%", grace=2 + GRACE, complete=True)
    assert row_of(ended)["errors"].keys() == {"timeout"}


def test_an_api_that_is_restarted_amid_a_stage(tmp_path: Path) -> None:
    script = f"while true; do python '{SERVER}' 0; done"
    run = loading(tmp_path, f'--set=services.api.command=[sh, -c, "{script}"]')
    service(run).kill()
    run.wait_for(" failed")
    while " failed" in run.wait_for(TICK):
        pass
    run.signal(signal.SIGINT)
    ended = run.end()
    assert_survived(ended, 130, "stopped by SIGINT", grace=GRACE)
    row = row_of(ended)
    assert row["errors"].keys() <= {"refused", "reset", "closed"}
    assert 0 < row["failed"] < row["succeeded"] + row["failed"]
