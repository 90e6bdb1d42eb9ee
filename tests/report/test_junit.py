"""JUnit XML as a CI system takes it apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given
from hypothesis import strategies as st

import comparison_samples
from comparison_samples import REGRESSED, compared, named
from report_samples import THRESHOLDS, anything, concluded, finished, with_cases
from stressrun.errors import ExitCode
from stressrun.report.cases import Conclusion
from stressrun.report.junit import comparison_junit, junit
from stressrun.run.events import ComparisonFinished, RunFinished
from verdict_samples import results

ENDS = ("failure", "error", "skipped")
REQUIRED = {
    "testsuites": {"name", "tests", "failures", "errors", "time"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
    "testcase": {"name", "classname", "time"},
    "failure": {"type", "message"},
    "error": {"type", "message"},
    "skipped": {"message"},
    "system-out": set(),
}
CHILDREN = {
    "testsuites": ["testsuite"],
    "testsuite": ["testcase", "system-out"],
    "testcase": [*ENDS, "system-out"],
}


def parsed(conclusion: Conclusion[RunFinished]) -> Element:
    return checked(junit(conclusion))


def comparison(
    event: ComparisonFinished | None = None, secrets: Sequence[str] = ()
) -> tuple[Element, Element]:
    """The suites of a comparison's document: of the whole, and of the stage."""
    whole, stage = checked(comparison_junit(comparison_samples.concluded(event, secrets)))
    return whole, stage


def checked(document: str) -> Element:
    """The document, of which all is checked that the schemas of JUnit XML have in common."""
    root = ElementTree.fromstring(document.encode())
    assert root.tag == "testsuites"
    for element in root.iter():
        optional = {"file", "line"} if element.tag == "testcase" else set()
        assert set(element.keys()) - optional == REQUIRED[element.tag], element.tag
        order = [CHILDREN.get(element.tag, []).index(child.tag) for child in element]
        assert order == sorted(order), "children in the order of the schema"
        if element.get("tests") is not None:
            assert element.get("tests") == str(len(list(element.iter("testcase"))))
            for attribute, tag in zip(("failures", "errors", "skipped"), ENDS, strict=True):
                if attribute in REQUIRED[element.tag]:
                    assert element.get(attribute) == str(len(list(element.iter(tag))))
        if element.get("time") is not None:
            assert float(element.get("time", "")) >= 0
        if element.tag == "testcase":
            assert sum(child.tag in ENDS for child in element) <= 1
    names = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert len(names) == len(set(names)), "of cases of one name GitLab shows the first alone"
    return root


def ends(suite: Element) -> list[tuple[str | None, str]]:
    """Each case with how it ended."""
    return [
        (case.get("name"), next((child.tag for child in case if child.tag in ENDS), "passed"))
        for case in suite.iter("testcase")
    ]


def test_a_suite_is_a_stage_and_the_first_is_the_whole_run() -> None:
    root = parsed(concluded())
    whole, warm_up, ramp, peak = root
    assert [suite.get("name") for suite in root] == ["sample", "warm-up", "ramp", "peak"]
    assert ends(whole) == [
        ("the run has a verdict", "passed"),
        (THRESHOLDS[0], "failure"),
        (THRESHOLDS[1], "passed"),
    ]
    assert ends(warm_up) == ends(ramp) == []
    assert ends(peak) == [(THRESHOLDS[2], "failure"), (THRESHOLDS[3], "passed")]
    assert [suite.get("time") for suite in root] == ["42.000", "10.000", "10.000", "10.000"]
    assert peak.get("timestamp") == "2026-01-02T03:04:05"
    assert "checkout" in peak.findtext("system-out", "")


def test_a_failure_says_value_limit_and_line() -> None:
    case = parsed(concluded())[0][1]
    assert (case.get("file"), case.get("line")) == ("load/sample.yaml", "11")
    (failure,) = case
    assert failure.get("type") == "threshold"
    assert failure.get("message") == "400 ms, limit < 1.00 ms, 400 × as much"
    assert failure.text == (
        "threshold http p95 < 1ms\n400 ms, limit < 1.00 ms, 400 × as much\nload/sample.yaml:11"
    )


@pytest.mark.parametrize("verdict", ["invalid", "error", "interrupted"])
def test_a_run_without_a_verdict_is_never_green(verdict: str) -> None:
    event = finished(
        "http errors < 1%",
        verdict=verdict,
        cause="the generator\x1b[31m stalled",
        residue=("table t",),
        stages=results()[:2],
    )
    root = parsed(concluded(event))
    assert root.get("errors") == "1"
    (error,) = root.iter("error")
    assert error.get("type") == verdict
    assert error.text == "the generator\\x1b[31m stalled\nlook at the tables\ntable t"
    assert [suite.get("name") for suite in root][-1] == "peak", "a stage that did not come"


def test_thresholds_of_one_text_keep_a_name_of_their_own() -> None:
    root = parsed(concluded(finished("http errors < 1%", "http errors < 1%")))
    assert [name for name, _ in ends(root[0])][1:] == ["http errors < 1%", "http errors < 1% (2)"]


def test_secrets_are_masked_before_they_are_escaped() -> None:
    peak = results()[2]
    peak.books.row("endpoint", "browse").errors["status <&>"] += 1
    text = junit(concluded(finished(stages=[peak]), secrets=["<&>"]))
    assert "status ***" in text
    assert "&lt;&amp;&gt;" not in text


@given(st.lists(anything, max_size=6), anything)
def test_whatever_stands_in_a_name_or_an_answer_the_document_is_sound(
    texts: Sequence[str], name: str
) -> None:
    conclusion = with_cases(texts)
    scenario = replace(conclusion.event.scenario, name=name)
    event = replace(conclusion.event, scenario=scenario, cause=name, verdict="error")
    root = parsed(replace(conclusion, event=event))
    assert root.get("failures") == str(len(texts))
    assert root.get("errors") == "1"


def test_a_comparison_is_a_suite_with_a_case_for_each_finding() -> None:
    whole, stage = comparison()
    assert (whole.get("name"), stage.get("name")) == ("sample", "peak")
    assert ends(whole) == [("the comparison has a verdict", "passed")]
    assert ends(stage) == [
        ("endpoint browse", "passed"),
        ("write audit.update", "passed"),
        ("write audit.insert", "skipped"),
        ("endpoint checkout", "failure"),
    ]
    (failure,) = stage.iter("failure")
    assert failure.get("type") == "comparison"
    assert failure.get("message") == "regressed: p95 +50 %, +40 % to ∞, from 20.0 ms to 30.0 ms"
    assert (failure.text or "").endswith("\nload/sample.yaml:22")
    (skipped,) = stage.iter("skipped")
    message = "inconclusive: a block has too few for a p95, which needs 20"
    assert skipped.get("message") == message
    assert "orders: index scans: 1 → 3" in stage.findtext("system-out", "")


@pytest.mark.parametrize(
    ("verdict", "code", "end"),
    [
        ("passed", ExitCode.PASSED, "passed"),
        ("inconclusive", ExitCode.PASSED, "skipped"),
        ("inconclusive", ExitCode.INVALID, "error"),
        ("invalid", ExitCode.INVALID, "error"),
        ("interrupted", ExitCode.SIGINT, "error"),
        ("error", ExitCode.SETUP, "error"),
    ],
)
def test_only_a_comparison_with_a_verdict_is_green(verdict: str, code: ExitCode, end: str) -> None:
    event = compared(verdict=verdict, exit_code=code, findings=(), cause="because", work=())
    whole, stage = comparison(event)
    assert ends(whole) == [("the comparison has a verdict", end)]
    assert ends(stage) == []
    assert stage.find("system-out") is None


def test_the_findings_of_an_invalid_comparison_are_none() -> None:
    _, stage = comparison(compared(verdict="invalid", findings=(REGRESSED,)))
    assert ends(stage) == [("endpoint checkout", "skipped")]


def test_secrets_are_in_no_report_of_a_comparison() -> None:
    event = named("a <geheim> b")
    document = comparison_junit(comparison_samples.concluded(event, ["<geheim>"]))
    assert "geheim" not in document
    assert "a *** b" in document


@given(anything)
def test_whatever_stands_in_a_name_the_document_of_a_comparison_is_sound(name: str) -> None:
    whole, stage = comparison(named(name))
    assert [end for _, end in ends(whole)] == ["passed"]
    assert [end for _, end in ends(stage)] == ["failure", "skipped"]
