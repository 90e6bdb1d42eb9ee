"""Reports as a CI system finds them: through the command line, at every end of a run."""

from __future__ import annotations

import re
import shutil
import signal
from pathlib import Path
from xml.etree import ElementTree

import pytest
from runs import Ended, Run, assert_nothing_is_left, assert_told, stressrun

SCENARIO = Path(__file__).with_name("reported.yaml")
ALL = "junit=r/junit.xml,markdown=r/page.md,gitlab-metrics=r/metrics.txt,json=r/report.json"
NAMES = ["junit.xml", "metrics.txt", "page.md", "report.json"]
FAILED = SCENARIO.read_text().splitlines().index("  - http p50 < ${LIMIT:-1us} in second") + 1


def cases(directory: Path) -> dict[str | None, list[str]]:
    """What stands within each case of the JUnit report."""
    root = ElementTree.parse(directory / "r" / "junit.xml").getroot()
    return {case.get("name"): [child.tag for child in case] for case in root.iter("testcase")}


def written(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / "r").iterdir())


def on_github(directory: Path) -> dict[str, str]:
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_WORKSPACE": str(directory),
        "GITHUB_STEP_SUMMARY": str(directory / "summary"),
    }


def commands(ended: Ended) -> list[str]:
    """What GitHub's runner does as it reads the output, in which a command may be indented."""
    obeyed, stopped = [], ""
    for line in map(str.strip, ended.output.splitlines()):
        if stopped:
            stopped = "" if line == f"::{stopped}::" else stopped
        elif line.startswith("::stop-commands::"):
            stopped = line.removeprefix("::stop-commands::")
        elif line.startswith("::"):
            obeyed.append(line)
    assert not stopped
    return obeyed


def test_on_github_a_threshold_that_failed_is_marked_on_its_line(tmp_path: Path) -> None:
    folder = tmp_path / "load tests, 50%"
    folder.mkdir()
    shutil.copy(SCENARIO, folder)
    (folder / "summary").write_text("of another step\n")
    environment = {**on_github(tmp_path), "GITHUB_STEP_SUMMARY": str(folder / "summary")}
    ended = stressrun(folder, "reported.yaml", "--report", ALL, **environment)
    assert_told(ended, 1, "threshold failed: http p50 < 1us in second")
    (error,) = commands(ended)
    assert error.startswith(
        f"::error file=load tests%2C 50%25/reported.yaml,line={FAILED},"
        "title=threshold failed%3A http p50 < 1us in second::"
    )
    page = (folder / "r" / "page.md").read_text()
    assert (folder / "summary").read_text() == f"of another step\n\n{page}"
    assert "@" not in re.sub("<code>.*?</code>|```.*?```", "", page, flags=re.DOTALL)
    assert cases(folder) == {
        "the run has a verdict": [],
        "http p50 < 10s": ["system-out"],
        "http p50 < 1us in second": ["failure"],
        "generator distortion <= 100%": ["system-out"],
        "http achieved >= 95% in first": ["system-out"],
        "http achieved >= 95% in second": ["system-out"],
        "http errors < 1%": ["system-out"],
    }
    assert written(folder) == NAMES
    own = folder / ".stressrun" / ended.run_id / "report.json"
    assert (folder / "r" / "report.json").read_text() == own.read_text()
    assert "stressrun_passed 0" in (folder / "r" / "metrics.txt").read_text().splitlines()
    assert_nothing_is_left(ended)


@pytest.mark.faults
def test_a_run_that_is_stopped_has_all_reports_and_none_is_green(tmp_path: Path) -> None:
    run = Run(tmp_path, SCENARIO, f"--report={ALL}", SECOND="60s", **on_github(tmp_path))
    run.wait_for("stage second")
    run.signal(signal.SIGINT)
    ended = run.end()
    assert_told(ended, 130, "stopped by SIGINT")
    assert written(tmp_path) == NAMES
    found = cases(tmp_path)
    assert found.pop("the run has a verdict") == ["error"]
    assert set(map(tuple, found.values())) == {("skipped",)}
    assert "interrupted" in (tmp_path / "r" / "page.md").read_text().splitlines()[0]
    assert commands(ended) == [
        "::error title=stress test%3A interrupted::stopped by SIGINT%0Arun it again for a verdict"
    ]
    assert_nothing_is_left(ended)


def test_what_a_service_says_is_no_command_to_github(tmp_path: Path) -> None:
    (tmp_path / "say.py").write_text("raise SystemExit('::error::from the service')")
    command = "--set=services.api.command=python say.py"
    ended = stressrun(tmp_path, SCENARIO, command, f"--report={ALL}", **on_github(tmp_path))
    assert_told(ended, 3, "service 'api' ended with exit status 1 before it was ready")
    assert "::error::from the service" in ended.output
    (error,) = commands(ended)
    assert error.startswith("::error title=stress test%3A error::service 'api' ended with")
    assert cases(tmp_path)["the run has a verdict"] == ["error"]
    assert written(tmp_path) == NAMES


@pytest.mark.faults
def test_a_report_whose_place_is_lost_during_the_run_ends_it_with_7(tmp_path: Path) -> None:
    reports = "--report=none,junit=lost/junit.xml,markdown=r/page.md"
    environment = {**on_github(tmp_path), "LIMIT": "10s"}
    run = Run(tmp_path, SCENARIO, reports, **environment)
    run.wait_for("stage first")
    (tmp_path / "lost").rmdir()
    (tmp_path / "lost").write_text("a file where the folder was")
    ended = run.end()
    assert ended.code == 7, ended.output
    assert "error: the report could not be written to lost/junit.xml" in ended.output
    assert "remedy: make room or choose another place for it" in ended.output
    assert ended.report["verdict"] == "passed"
    assert written(tmp_path) == ["page.md"], "the others are written all the same"
    assert commands(ended) == []
    assert not (tmp_path / "summary").exists()
    assert_nothing_is_left(ended)


@pytest.mark.faults
def test_places_that_can_hold_no_report_are_told_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    for option, code, message in (
        ("junit=taken/junit.xml", 7, "no report can be written to taken/junit.xml"),
        ("junit=r/a,markdown=./r/a", 2, "--report: two reports in r/a"),
        ("junit=x/report.json", 2, "--report: two reports in x/report.json"),
        ("junti=a", 2, "--report: no kind of report is 'junti'"),
    ):
        ended = stressrun(tmp_path, SCENARIO, "--report", option, "--report-dir=x")
        assert (ended.code, message in ended.output) == (code, True), ended.output
        assert "remedy: " in ended.output
        assert "stressrun reported" not in ended.output
    environment = {**on_github(tmp_path), "GITHUB_STEP_SUMMARY": "nowhere/summary"}
    ended = stressrun(tmp_path, SCENARIO, **environment)
    assert ended.code == 7, ended.output
    assert "no report can be added to nowhere/summary" in ended.output
    assert "remedy: do without it: --report none" in ended.output
