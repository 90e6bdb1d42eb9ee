"""What one scenario is told from another by, for runs that are held against each other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pytest

from stressrun.scenario.identity import Identity
from stressrun.scenario.load import load

SCENARIO = """\
version: 1
name: sample
services:
  api: {command: python serve.py, cwd: app, env: {KEY: "${API_TOKEN:-none}", SIZE: "${SIZE:-1}"}}
base_url: ${services.api.url}
feeders: {people: {csv: people.csv}}
endpoints: [{name: home, request: "GET /${people.name}"}]
stages: [{name: load, duration: 10s, endpoints: {rate: 40/s}}]
"""


def identity(folder: Path, *sets: str, people: str = "name\nann\n", **environ: str) -> Identity:
    (folder / "app").mkdir(parents=True, exist_ok=True)
    (folder / "people.csv").write_text(people)
    (folder / "s.yaml").write_text(SCENARIO)
    return load(folder / "s.yaml", sets=sets, environ=environ).identity


@pytest.mark.parametrize(
    ("assignment", "changed"),
    [
        ("description=another text", []),
        ("thresholds=[http p95 < 1s]", []),
        ("built_in_thresholds=false", []),
        ("invariants=[{request: GET /, expect: 200}]", []),
        ("teardown=[{request: DELETE /all}]", []),
        ("report.interval=1s", []),
        ("compare.figure=p50", []),
        ("stages.load.duration=11s", ["stages"]),
        ("random_seed=7", ["random_seed"]),
        ("endpoints.home.request=GET /other", ["endpoints"]),
        ("name=other", ["name"]),
        ("http={protocol: http2}", ["http"]),
    ],
)
def test_only_what_changes_the_load_makes_it_another(
    assignment: str, changed: list[str], tmp_path: Path
) -> None:
    one, other = identity(tmp_path), identity(tmp_path, assignment)
    assert one.changed(other) == changed
    assert (one.hash == other.hash) is (not changed)


def test_the_folder_makes_no_difference_and_the_content_of_files_does(tmp_path: Path) -> None:
    here, there = identity(tmp_path / "a"), identity(tmp_path / "b" / "deeper")
    assert here == there
    other = identity(tmp_path / "a", people="name\nbob\n")
    assert here.changed(other) == ["feeders"]


def test_a_secret_makes_no_difference_and_cannot_be_guessed(tmp_path: Path) -> None:
    one, other = identity(tmp_path, API_TOKEN="geheim"), identity(tmp_path, API_TOKEN="anders")
    assert one == other
    assert "geheim" not in json.dumps(asdict(one))
    assert one.changed(identity(tmp_path, API_TOKEN="geheim", SIZE="2")) == ["services"]


def test_a_section_that_only_one_of_them_has_is_a_change() -> None:
    def made(sections: Mapping[str, str]) -> Identity:
        return Identity("s", "h", sections)

    assert made({"a": "1", "b": "2"}).changed(made({"a": "1", "c": "3"})) == ["b", "c"]
