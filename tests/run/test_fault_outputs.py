"""Faults of where a run writes to, its disk and its output, and of the clock that dates it."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from aftermath import assert_clean, assert_nothing_runs, assert_survived
from namespaces import inside
from runs import Ended, Run, row_of, stressrun
from test_fault_service import LIGHT, SERVER, TICK

SHORT = {"SERVER": SERVER, "DURATION": "300ms"}
STEPPING = """
import datetime, os, time

class Stepped(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return super().now(tz) + datetime.timedelta(seconds=step())

def step():
    return float(os.environ["STEP"]) if os.path.exists(os.environ["STEPPED"]) else 0.0

def stepped(tell, unit):
    return lambda: tell() + type(tell())(step() * unit)

datetime.datetime = Stepped
time.time = stepped(time.time, 1)
time.time_ns = stepped(time.time_ns, 10**9)
"""


@pytest.mark.faults
def test_a_disk_that_is_too_full_for_the_report(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    where = inside(f"mount -t tmpfs -o size=4k none '{disk}'")
    ended = stressrun(tmp_path, LIGHT, "--report-dir", disk, inside=where, **SHORT)
    assert ended.code == 7, ended.output
    assert f"error: the report could not be written to {disk}/report.json: " in ended.output
    assert "No space left on device\nremedy: make room" in ended.output
    assert "verdict: passed (exit code 0)\n" in ended.output
    assert "Traceback" not in ended.output
    assert_nothing_runs(ended)
    assert_clean(ended, left=False)


def test_a_reader_of_the_output_that_goes(tmp_path: Path) -> None:
    run = Run(tmp_path, LIGHT, **SHORT)
    line = run.wait_for("stressrun light")
    assert run.process.stdout is not None
    run.process.stdout.close()
    ended = Ended(run.process.wait(60), line, tmp_path)
    assert ended.code == 0
    assert ended.report["verdict"] == "passed"
    assert_nothing_runs(ended)
    assert_clean(ended, left=False)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("redirection", "environment"),
    [(">&-", {}), (">/dev/full", {}), (">ascii", {"PYTHONIOENCODING": "ascii"})],
    ids=["closed", "full", "without the characters"],
)
def test_an_output_of_any_kind(
    tmp_path: Path, redirection: str, environment: dict[str, str]
) -> None:
    redirected = ["sh", "-c", f'exec "$@" {redirection}', "sh"]
    ended = stressrun(tmp_path, LIGHT, inside=redirected, **SHORT, **environment)
    assert (ended.code, ended.output) == (0, "")
    (report,) = tmp_path.glob(".stressrun/*/report.json")
    ended = Ended(0, f" · run {report.parent.name}\n", tmp_path)
    assert ended.report["verdict"] == "passed"
    assert_nothing_runs(ended)
    assert_clean(ended, left=False)


@pytest.mark.faults
@pytest.mark.parametrize("hours", [1, -1])
def test_a_wall_clock_that_jumps(tmp_path: Path, hours: int) -> None:
    (tmp_path / "sitecustomize.py").write_text(STEPPING)
    stepped = tmp_path / "stepped"
    environment = {
        "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}",
        "STEP": str(hours * 3600),
        "STEPPED": str(stepped),
    }
    run = Run(tmp_path, LIGHT, SERVER=SERVER, DURATION="1s", **environment)
    run.wait_for(TICK)
    stepped.touch()
    ended = run.end()
    assert_survived(ended, 0, grace=2, complete=True)
    began, over = (
        datetime.fromisoformat(ended.report["run"][key]) for key in ("started_at", "ended_at")
    )
    assert abs(over - began - timedelta(hours=hours)) < timedelta(minutes=5)
    (stage,) = ended.report["stages"]
    assert stage["elapsed"] == pytest.approx(1)
    row = row_of(ended)
    assert (row["planned"], row["failed"]) == (40, 0)
    assert row["response"]["max"] < 60
