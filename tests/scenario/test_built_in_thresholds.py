"""What is expected of every run, unless a threshold says otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from stressrun.errors import ScenarioError
from stressrun.scenario.load import load

HEAD = """version: 1
name: built-in
database: postgresql://127.0.0.1/app
base_url: http://127.0.0.1:8000
endpoints: [{name: home, request: GET /}]
writes: [{name: w, operations: {one: {sql: select 1}}, mix: {one: 1}}]
stages:
  - {name: warm-up, duration: 1s, warmup: true, endpoints: {rate: 5/s}, writes: {rate: 5/s}}
  - {name: rates, duration: 1s, endpoints: {rate: 5/s}, writes: {rate: 5/s}}
  - {name: users, duration: 1s, endpoints: {vus: 5}}
  - {name: some, duration: 1s, endpoints: {iterations: 9, vus: 3}, writes: {workers: 2}}
"""
ACHIEVED = ["http achieved >= 95% in rates", "http achieved >= 95% in some"]
GENERATOR = "generator distortion < 5%"
WRITES = ["write w achieved >= 95% in rates", "write w errors < 1%"]


@pytest.mark.parametrize(
    ("written", "built_in"),
    [
        ("", [*ACHIEVED, "http errors < 1%", *WRITES, GENERATOR]),
        ("built_in_thresholds: false", []),
        ("thresholds: [http errors < 50%]", [*ACHIEVED, *WRITES, GENERATOR]),
        (
            "thresholds: [http achieved > 1%, write w errors < 5%]",
            ["http errors < 1%", WRITES[0], GENERATOR],
        ),
        (
            "thresholds: [generator distortion < 20% in users]",
            [
                *ACHIEVED,
                "http errors < 1%",
                *WRITES,
                "generator distortion < 5% in rates",
                "generator distortion < 5% in some",
            ],
        ),
        (
            "thresholds: [http errors < 50% in users]",
            [
                *ACHIEVED,
                "http errors < 1% in rates",
                "http errors < 1% in some",
                *WRITES,
                GENERATOR,
            ],
        ),
        # These say less than what is built in.
        (
            "thresholds: [http errors.503 < 1%, endpoint home errors < 5%,"
            " write w.one errors < 5%, generator p99 < 1s]",
            [*ACHIEVED, "http errors < 1%", *WRITES, GENERATOR],
        ),
    ],
)
def test_a_threshold_takes_the_place_of_one_on_the_same_figure(
    written: str, built_in: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(f"{HEAD}{written}\n")
    scenario = load(path, environ={}).scenario
    assert [each.text for each in scenario.thresholds if each.built_in] == built_in


def test_a_name_that_no_threshold_can_have_is_told_where_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(HEAD.replace("name: w,", "name: '',"))
    with pytest.raises(ScenarioError) as error:
        load(path, environ={})
    (mistake,) = error.value.mistakes
    assert mistake.position.line == 6
