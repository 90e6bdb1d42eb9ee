"""Annotations, as the runner of GitHub Actions takes them apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import comparison_samples
from comparison_samples import compared, named
from report_samples import anything, concluded, finished, with_cases
from stressrun.errors import ExitCode
from stressrun.report.cases import Conclusion
from stressrun.report.github import annotations_of
from stressrun.run.events import Finished
from stressrun.scenario.model import Tls

ESCAPES = {"%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ",", "%25": "%"}


def read(conclusion: Conclusion[Finished]) -> list[tuple[str, dict[str, str], str]]:
    """Commands with their properties and messages."""
    return [_command(line) for line in annotations_of(conclusion)]


def _command(line: str) -> tuple[str, dict[str, str], str]:
    assert "\n" not in line
    assert "\r" not in line
    empty, head, message = line.split("::", 2)
    assert empty == ""
    name, _, listed = head.partition(" ")
    properties = dict(part.split("=", 1) for part in listed.split(",") if part)
    return name, {key: _plain(value) for key, value in properties.items()}, _plain(message)


def _plain(text: str) -> str:
    for escape, character in ESCAPES.items():
        text = text.replace(escape, character)
    return text


def test_each_threshold_that_failed_is_an_error_on_its_line() -> None:
    assert read(concluded()) == [
        (
            "error",
            {
                "file": "load/sample.yaml",
                "line": "11",
                "title": "threshold failed: http p95 < 1ms",
            },
            "400 ms, limit < 1.00 ms, 400 × as much",
        ),
        (
            "error",
            {
                "file": "load/sample.yaml",
                "line": "13",
                "title": "threshold failed: endpoint checkout p99 < 1s in peak",
            },
            "no data, limit < 1.00 s",
        ),
    ]


@pytest.mark.parametrize("verdict", ["invalid", "error", "interrupted"])
def test_a_run_without_a_verdict_is_an_error_with_cause_and_remedy(verdict: str) -> None:
    event = finished("http errors < 1%", verdict=verdict, cause="5 % lost", remedy="look: there")
    assert read(concluded(event)) == [
        ("error", {"title": f"stress test: {verdict}"}, "5 % lost\nlook: there")
    ]


def test_a_run_that_passed_says_nothing_but_warnings() -> None:
    event = finished("http errors < 1%", verdict="passed", cause="", remedy="")
    assert read(concluded(event)) == []
    http = replace(event.scenario.http, tls=Tls(verify=False))
    event = replace(event, scenario=replace(event.scenario, http=http))
    assert read(concluded(event)) == [
        ("warning", {}, "TLS certificates are not verified (http.tls.verify: false)")
    ]


@pytest.mark.parametrize(("failed", "shown"), [(10, 10), (11, 10), (25, 10)])
def test_what_github_would_not_show_is_counted(failed: int, shown: int) -> None:
    found = read(with_cases(["a"] * failed))
    assert len(found) == shown
    if failed > shown:
        more = failed - shown + 1
        assert found[-1][2] == f"{more} more failed: see the step's summary, or its log"


@given(st.lists(anything, min_size=1, max_size=3))
@example(["100%0Aof: a, b::error::c"])
def test_whatever_stands_in_a_name_it_is_no_command_of_its_own(texts: Sequence[str]) -> None:
    for text, (name, properties, message) in zip(texts, read(with_cases(texts)), strict=True):
        assert name == "error"
        assert message == text
        assert properties == {"file": text, "line": "1", "title": f"threshold failed: {text}"}


def test_what_has_regressed_is_an_error_on_the_line_of_its_endpoint() -> None:
    assert read(comparison_samples.concluded()) == [
        (
            "error",
            {
                "file": "load/sample.yaml",
                "line": "22",
                "title": "comparison failed: endpoint checkout",
            },
            "regressed: p95 +50 %, +40 % to ∞, from 20.0 ms to 30.0 ms",
        )
    ]


@pytest.mark.parametrize(
    ("verdict", "code", "command"),
    [
        ("inconclusive", ExitCode.PASSED, "warning"),
        ("inconclusive", ExitCode.INVALID, "error"),
        ("interrupted", ExitCode.SIGTERM, "error"),
    ],
)
def test_a_comparison_that_tells_nothing_says_so(
    verdict: str, code: ExitCode, command: str
) -> None:
    event = compared(verdict=verdict, exit_code=code, findings=(), cause="why", remedy="do")
    found = read(comparison_samples.concluded(replace(event, warnings=("one tree",))))
    assert found == [
        (command, {"title": f"comparison: {verdict}"}, "why\ndo"),
        ("warning", {}, "one tree"),
    ]


@given(anything)
def test_whatever_stands_in_a_name_of_a_comparison_it_is_no_command_of_its_own(name: str) -> None:
    (error, *_), warning = read(comparison_samples.concluded(named(name)))
    assert error == "error"
    assert warning == ("warning", {}, name)
