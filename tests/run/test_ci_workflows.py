"""The workflows of docs/ci as they stand: their commands run, and write what the rest reads."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from runs import ENVIRON, PATIENCE, ROOT

from repositories import git

DOCS = ROOT / "docs"
SCENARIO = Path(__file__).with_name("reported.yaml")
QUICK = "compare: {pairs: 1, block: 200ms, warm_up: 50ms}\n"


def workflow(name: str) -> Any:
    return yaml.safe_load((DOCS / "ci" / name).read_text())


def strings(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict | list):
        for child in part.values() if isinstance(part, dict) else part:
            yield from strings(child)


def command_of(commands: list[str]) -> str:
    (command,) = (command for command in commands if command.startswith("stressrun "))
    return command


def run(directory: Path, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command of a workflow, in a checkout with a scenario, by the shell that runs it there."""
    (directory / "stress.yaml").write_text(SCENARIO.read_text() + QUICK)
    installed = directory / "bin" / "stressrun"
    installed.parent.mkdir()
    installed.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m stressrun "$@"\n')
    installed.chmod(0o755)
    return subprocess.run(
        ["bash", "-e", "-c", command],
        cwd=directory,
        env={**ENVIRON, "PATH": f"{installed.parent}:{ENVIRON['PATH']}", **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def reports_named_in(part: Any) -> set[str]:
    """Every file of the folder of reports that is named outside of the command that writes it."""
    words = (word.strip("'") for text in strings(part) for word in text.replace("(", " ").split())
    return {word.rstrip("')") for word in words if word.startswith(("reports/", "'reports/"))}


def test_the_workflow_for_github_actions(tmp_path: Path) -> None:
    (job,) = workflow("github-actions.yml")["jobs"].values()
    command = command_of([step.get("run", "") for step in job["steps"]])
    summary = tmp_path / "summary"
    summary.touch()
    ended = run(
        tmp_path,
        command,
        CI="true",
        GITHUB_ACTIONS="true",
        GITHUB_WORKSPACE=str(tmp_path),
        GITHUB_STEP_SUMMARY=str(summary),
    )
    assert ended.returncode == 1, ended.stderr
    assert "::error file=stress.yaml,line=14,title=threshold failed" in ended.stdout
    named = {
        name
        for step in job["steps"]
        if step.get("run") != command
        for name in reports_named_in(step)
    }
    assert named == {"reports/", "reports/stressrun.md"}
    assert all((tmp_path / name).exists() for name in named)
    assert summary.read_text() == "\n" + (tmp_path / "reports" / "stressrun.md").read_text()


def test_the_job_for_gitlab(tmp_path: Path) -> None:
    job = workflow("gitlab-ci.yml")["stress-test"]
    ended = run(
        tmp_path,
        command_of(job["script"]),
        CI="true",
        GITLAB_CI="true",
        CI_PROJECT_DIR=str(tmp_path),
        LIMIT="10s",
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    artifacts = job["artifacts"]
    named = reports_named_in(artifacts)
    assert named == {"reports/", *artifacts["reports"].values()}
    assert all((tmp_path / name).exists() for name in named)
    root = ElementTree.parse(tmp_path / artifacts["reports"]["junit"]).getroot()
    assert (root.get("errors"), root.get("failures")) == ("0", "0")
    assert {case.get("file") for case in root.iter("testcase")} == {None, "stress.yaml"}
    metrics = (tmp_path / artifacts["reports"]["metrics"]).read_text()
    assert "\nstressrun_passed 1\n" in metrics


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A repository with a change that was merged into main, which has gone on meanwhile."""
    folder = tmp_path / "origin"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    git(folder, "commit", "-qm", "one", "--allow-empty")
    git(folder, "checkout", "-qb", "change")
    git(folder, "commit", "-qm", "two", "--allow-empty")
    git(folder, "checkout", "-q", "main")
    git(folder, "commit", "-qm", "three", "--allow-empty")
    git(folder, "checkout", "-qb", "merged")
    git(folder, "merge", "-q", "--no-edit", "change")
    return folder


@pytest.mark.faults
def test_the_comparison_for_github_actions(origin: Path, tmp_path: Path) -> None:
    (job,) = workflow("github-actions-compare.yml")["jobs"].values()
    checkout, command = job["steps"][0], command_of([each.get("run", "") for each in job["steps"]])
    here, summary = tmp_path / "here", tmp_path / "summary"
    depth = f"--depth={checkout['with']['fetch-depth']}"
    git(tmp_path, "clone", "-q", depth, "--branch=merged", f"file://{origin}", str(here))
    summary.touch()
    ended = run(
        here,
        command,
        CI="true",
        GITHUB_ACTIONS="true",
        GITHUB_WORKSPACE=str(here),
        GITHUB_STEP_SUMMARY=str(summary),
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"base: {git(origin, 'rev-parse', 'main')[:9]}, HEAD^1" in ended.stdout
    assert "::warning title=comparison%3A inconclusive::" in ended.stdout
    named = {
        name
        for step in job["steps"]
        if step.get("run") != command
        for name in reports_named_in(step)
    }
    assert named == {"reports/", "reports/comparison.md"}
    assert all((here / name).exists() for name in named)
    assert summary.read_text() == "\n" + (here / "reports" / "comparison.md").read_text()


@pytest.mark.faults
def test_the_comparison_for_gitlab(origin: Path, tmp_path: Path) -> None:
    job = workflow("gitlab-ci.yml")["stress-comparison"]
    assert job["variables"] == {"GIT_DEPTH": "0"}, "git clone has all, as below"
    here = tmp_path / "here"
    git(tmp_path, "clone", "-q", "--branch=change", f"file://{origin}", str(here))
    left = git(origin, "merge-base", "main", "change")
    ended = run(
        here,
        command_of(job["script"]),
        CI="true",
        GITLAB_CI="true",
        CI_PROJECT_DIR=str(here),
        CI_MERGE_REQUEST_DIFF_BASE_SHA=left,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"base: {left[:9]}, " in ended.stdout
    named = reports_named_in(job["artifacts"])
    assert named == {"reports/", *job["artifacts"]["reports"].values()}
    root = ElementTree.parse(here / job["artifacts"]["reports"]["junit"]).getroot()
    ends = {case.get("name"): [each.tag for each in case] for case in root.iter("testcase")}
    assert ends == {"the comparison has a verdict": ["skipped"], "endpoint list": ["skipped"]}


@pytest.mark.parametrize(
    "name", ["github-actions.yml", "github-actions-compare.yml", "gitlab-ci.yml"]
)
def test_the_documentation_leads_to_each_workflow(name: str) -> None:
    assert f"(ci/{name})" in (DOCS / "ci.md").read_text()
