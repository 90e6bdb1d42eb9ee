"""Stored baselines through the command line: saved, held against, shown and accepted."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from delayed_service import write_service
from runs import Ended, Run, assert_nothing_is_left, assert_told, stressrun

# Five stages of a slice each, for an endpoint with a factor of a hundred: sure on a busy machine.
SCENARIO = """\
version: 1
name: stored
services:
  api: {command: "python service.py ${services.api.port}", ready: {get: /, within: 30s}}
base_url: ${services.api.url}
endpoints: [{name: home, request: GET /}]
stages:
  - {name: warm-up, duration: 100ms, warmup: true, endpoints: {rate: 100/s}}
  - {name: one, duration: 300ms, endpoints: {rate: 100/s}}
  - {name: two, duration: 300ms, endpoints: {rate: 100/s}}
  - {name: three, duration: 300ms, endpoints: {rate: 100/s}}
  - {name: four, duration: 300ms, endpoints: {rate: 100/s}}
  - {name: five, duration: 300ms, endpoints: {rate: 100/s}}
built_in_thresholds: false
compare: {figure: p50, baseline_effect: 900%}
"""
FILE = "the bäse 'line'.json"
QUOTED = """'the bäse '"'"'line'"'"'.json'"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_service(tmp_path, 0.002)
    (tmp_path / "s.yaml").write_text(SCENARIO)
    return tmp_path


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """A run that has saved its baseline."""
    folder = tmp_path_factory.mktemp("saved")
    write_service(folder, 0.002)
    (folder / "s.yaml").write_text(SCENARIO)
    ended = stressrun(folder, "s.yaml", "--save-baseline", FILE)
    assert_told(ended, 0)
    assert f"\nbaseline: {FILE}\n" in ended.output
    assert 0 <= json.loads((folder / FILE).read_text())["others_cpu"] <= 1
    assert_nothing_is_left(ended)
    return ended


@pytest.fixture
def baseline(saved: Ended, project: Path) -> Path:
    (project / FILE).write_bytes((saved.directory / FILE).read_bytes())
    # What else the machine does while tests run is to make none of them inconclusive.
    edit(project / FILE, others_cpu=None)
    return project / FILE


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_same_again_passes_and_a_slower_service_has_regressed(baseline: Path) -> None:
    folder = baseline.parent
    same = stressrun(folder, "s.yaml", "--baseline", FILE, "--strict")
    assert_told(same, 0)
    assert same.report["baseline"]["verdict"] == "passed"
    before = baseline.read_bytes()

    write_service(folder, 0.2)
    slower = stressrun(
        folder, "s.yaml", "--baseline", FILE, "--save-baseline", FILE, "--report=junit=j.xml"
    )
    assert_told(slower, 1, "regressed against the baseline: endpoint home (p50 +")
    assert f"stressrun baseline accept {QUOTED} {slower.run_id}\n" in slower.output
    (finding,) = slower.report["baseline"]["findings"]
    assert (finding["name"], finding["verdict"], finding["pairs"]) == ("home", "regressed", 5)
    assert finding["figure"]["head"] >= 0.2
    (failure,) = ElementTree.parse(folder / "j.xml").iter("failure")
    assert failure.get("type") == "baseline"
    assert "\nbaseline: none was saved: the run is failed\n" in slower.output
    assert baseline.read_bytes() == before
    assert_nothing_is_left(slower)

    accepted = stressrun(folder, "baseline", "accept", FILE)
    assert accepted.code == 0, accepted.output
    assert accepted.output.startswith(f"{FILE}: the baseline is run {slower.run_id} from now on\n")
    assert "  that run failed: regressed against the baseline: " in accepted.output
    assert json.loads(baseline.read_text())["run"]["id"] == slower.run_id
    older = stressrun(folder, "baseline", "accept", FILE, same.run_id)
    assert (older.code, older.output.count("\n")) == (0, 1)


def test_what_is_saved_is_what_an_accepted_run_gives_and_can_be_shown(saved: Ended) -> None:
    folder = saved.directory
    report = f".stressrun/{saved.run_id}/report.json"
    accepted = stressrun(folder, "baseline", "accept", "new/accepted.json", report)
    assert accepted.code == 0, accepted.output
    assert (folder / "new" / "accepted.json").read_bytes() == (folder / FILE).read_bytes()
    shown = stressrun(folder, "baseline", "show", FILE)
    assert shown.code == 0, shown.output
    assert shown.output.startswith(f"run {saved.run_id} of stored (")
    assert "stage five · 1 slice\n" in shown.output
    assert "warm-up" not in shown.output


@pytest.mark.faults
def test_on_another_machine_or_of_another_scenario_it_is_inconclusive(baseline: Path) -> None:
    folder = baseline.parent
    machine = json.loads(baseline.read_text())["machine"]
    edit(baseline, machine={**machine, "cpu": "Other CPU", "cores": 64})
    options = ("s.yaml", f"--baseline={FILE}", "--set=random_seed=7")
    ended = stressrun(folder, *options, "--report=junit=j.xml,markdown=p.md")
    assert_told(ended, 0)
    first, second = ended.report["baseline"]["reasons"]
    assert first.startswith("it was measured on another machine: 64 cores of Other CPU, ")
    assert second == "the scenario is another: changed are random_seed"
    for line in (first, second):
        assert f"\n  inconclusive: {line}\n" in ended.output
    (skipped,) = ElementTree.parse(folder / "j.xml").iter("skipped")
    assert skipped.get("message") == f"inconclusive: {first}; {second}"
    assert "➖" in (folder / "p.md").read_text()

    strict = stressrun(folder, *options, "--strict", f"--save-baseline={FILE}")
    assert_told(strict, 4, "inconclusive against the baseline: it was measured on another machine:")
    assert strict.report["verdict"] == "inconclusive"
    assert json.loads(baseline.read_text())["machine"]["cores"] == 64


@pytest.mark.faults
def test_a_run_that_is_stopped_leaves_the_baseline_as_it_was(baseline: Path) -> None:
    before = baseline.read_bytes()
    options = (f"--save-baseline={FILE}", f"--baseline={FILE}", "--set=stages.three.duration=60s")
    run = Run(baseline.parent, "s.yaml", *options)
    run.wait_for("stage three")
    run.signal(signal.SIGINT)
    ended = run.end()
    assert_told(ended, 130, "stopped by SIGINT")
    assert "\nbaseline: none was saved: the run is interrupted\n" in ended.output
    assert ended.report["baseline"]["reasons"] == ["this run was cut short, or is invalid"]
    assert baseline.read_bytes() == before
    assert not list(baseline.parent.glob(".*unfinished"))
    refused = stressrun(baseline.parent, "baseline", "accept", FILE)
    assert refused.code == 2, refused.output
    assert "is no baseline, it is interrupted: stopped by SIGINT" in refused.output
    assert baseline.read_bytes() == before
    assert_nothing_is_left(ended)


@pytest.mark.faults
def test_what_is_wrong_with_it_is_told_before_the_run(project: Path) -> None:
    (project / "taken").write_text("{}")
    os.mkfifo(project / "pipe")
    for arguments, code, message in (
        (["--baseline=none.json"], 2, "error: there is no baseline none.json"),
        (["--baseline=taken"], 2, "error: taken is no baseline: "),
        (["--baseline=pipe"], 2, "error: the baseline pipe cannot be read: it is no file"),
        (["--save-baseline=taken/b.json"], 7, "no report can be written to taken/b.json"),
        (["--save-baseline=r", "--report=junit=r"], 2, "--save-baseline: a report is written to r"),
        (["--save-baseline=s.yaml"], 2, "error: s.yaml is there, and is no baseline"),
        (["--strict"], 2, "--strict is for --baseline alone"),
        (["--once", "--save-baseline=b.json"], 2, "--once has no load to compare"),
    ):
        ended = stressrun(project, "s.yaml", *arguments)
        assert (ended.code, message in ended.output) == (code, True), ended.output
        assert "remedy: " in ended.output
        assert not (project / ".stressrun").exists()


def test_what_there_is_not_can_neither_be_shown_nor_accepted(project: Path) -> None:
    old = project / ".stressrun" / "r1" / "report.json"
    for arguments, message in (
        (["show", "none"], "there is no baseline none"),
        (["accept", "s.yaml"], "s.yaml is there, and is no baseline"),
        (["accept", "b.json"], "no run has left a report in .stressrun"),
        (["accept", "b.json", "r1"], f"there is no report {old.relative_to(project)}"),
    ):
        ended = stressrun(project, "baseline", *arguments)
        assert (ended.code, message in ended.output) == (2, True), ended.output
    old.parent.mkdir(parents=True)
    old.write_text('{"run": {}, "stages": [{"rows": 1}]}')
    ended = stressrun(project, "baseline", "accept", "b.json")
    assert (ended.code, "is no report of a run" in ended.output) == (2, True), ended.output
    assert not (project / "b.json").exists()
