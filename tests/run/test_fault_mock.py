"""Faults of mocked third parties."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import psutil
import pytest
from aftermath import assert_killed, assert_survived
from runs import Run, stressrun

MOCKED = Path(__file__).with_name("mocked.yaml")
PATIENCE = 10.0

pytestmark = pytest.mark.faults


def failing(directory: Path, *arguments: str) -> Run:
    """A run in the stage in which its mock fails."""
    run = Run(directory, MOCKED, "--set=report.interval=250ms", *arguments)
    run.wait_for("stage outage")
    run.wait_for(" s · endpoints ")
    return run


def process_of_mock(run: Run) -> psutil.Process:
    (found,) = (
        process
        for process in psutil.Process(run.process.pid).children()
        if process.environ().get("STRESSRUN_SERVICE", "").endswith("/pay")
    )
    return found


def test_a_port_of_a_mock_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = stressrun(tmp_path, MOCKED, f"--set=services.pay.port={port}")
    assert_survived(ended, 3, f"mock 'pay' cannot have its port {port}: Address already in use")
    assert ended.report["stages"] == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_mock_that_ends(number: signal.Signals, tmp_path: Path) -> None:
    run = failing(tmp_path)
    process_of_mock(run).send_signal(number)
    run.call()
    cause = f"service pay ended by itself in stage outage (killed by {number.name})"
    assert_survived(run.end(), 4, cause)


def test_a_mock_that_is_frozen(tmp_path: Path) -> None:
    run = failing(tmp_path, "--set=http.timeout=1s")
    process_of_mock(run).suspend()
    run.call()
    assert_survived(run.end(), 4, "the mock pay has said nothing for 10 s", grace=5 + PATIENCE)


def test_a_mock_of_a_run_that_is_stopped(tmp_path: Path) -> None:
    run = failing(tmp_path)
    run.signal(signal.SIGINT)
    assert_survived(run.end(), 130, "stopped by SIGINT")


def test_a_mock_of_a_run_that_is_killed(tmp_path: Path) -> None:
    run = failing(tmp_path)
    run.signal(signal.SIGKILL)
    assert_killed(run.end())
