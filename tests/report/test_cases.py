"""What a run was judged by, as its reports see it."""

from dataclasses import replace

import pytest

from report_samples import THRESHOLDS, concluded, finished
from stressrun.data.checks import parse_check
from stressrun.scenario.model import Invariant, SqlQuestion
from stressrun.verdict.invariants import judged


def test_a_case_says_what_was_found_against_which_limit_and_where_it_is_written() -> None:
    cases = concluded().cases
    assert [(case.name, case.stage, case.outcome, case.told) for case in cases] == [
        (THRESHOLDS[0], None, "failed", "400 ms, limit < 1.00 ms, 400 × as much"),
        (THRESHOLDS[1], None, "passed", "0.42 %, limit < 1.00 %, 58 % to spare"),
        (THRESHOLDS[2], "peak", "failed", "no data, limit < 1.00 s"),
        (THRESHOLDS[3], "peak", "passed", "5.00 ms, limit < 1.00 s, 100 % to spare"),
    ]
    assert [case.where and case.where.line for case in cases] == [11, 12, 13, 14]


def test_a_threshold_that_is_built_in_is_on_no_line() -> None:
    event = finished("http errors < 1%")
    (written,) = event.scenario.thresholds
    built_in = replace(written, built_in=True, place=None)
    evaluations = [replace(event.thresholds[0], threshold=built_in)]
    event = replace(
        event,
        scenario=replace(event.scenario, thresholds=(built_in,)),
        thresholds=tuple(evaluations),
    )
    (case,) = concluded(event).cases
    assert case.where is None
    assert case.told.endswith("built in")


def test_an_invariant_is_a_case_of_each_stage_that_it_is_asked_after() -> None:
    every, one = (
        Invariant(name, SqlQuestion("select 1"), (parse_check("at_least", 0),), stages, 0, place)
        for name, stages, place in (
            ("stock", (), ("invariants", 0)),
            ("orders", ("peak",), ("invariants", 1)),
        )
    )
    event = finished("http errors < 1%")
    event = replace(
        event,
        scenario=replace(event.scenario, invariants=(every, one)),
        invariants=(judged(every, "warm-up", 1), judged(every, "ramp", -1)),
        verdict="failed",
    )
    conclusion = concluded(event)
    assert [
        (case.kind, case.name, case.stage, case.outcome, case.told) for case in conclusion.cases[1:]
    ] == [
        ("invariant", "stock", "warm-up", "passed", "after warm-up: 1"),
        ("invariant", "stock", "ramp", "failed", "after ramp: -1, expected at least 0"),
        ("invariant", "stock", "peak", "skipped", "after peak: not judged: the run ended before"),
        ("invariant", "orders", "peak", "skipped", "after peak: not judged: the run ended before"),
    ]
    assert not conclusion.unexplained


def test_what_a_run_did_not_come_to_is_skipped() -> None:
    event = finished(verdict="interrupted", thresholds=(), partial="stopped by SIGINT")
    outcomes = {(case.outcome, case.told) for case in concluded(event).cases}
    assert outcomes == {("skipped", "not judged: the run ended before")}


def test_an_invalid_run_says_nothing_by_any_of_its_cases() -> None:
    cases = concluded(finished(verdict="invalid")).cases
    assert {case.outcome for case in cases} == {"skipped"}
    assert cases[1].told == "no verdict on 0.42 %, limit < 1.00 %, 58 % to spare"


def test_secrets_are_in_no_case() -> None:
    conclusion = concluded(secrets=["400 ms", "checkout"])
    assert conclusion.cases[0].told.startswith("***, limit")
    assert conclusion.cases[2].name == "endpoint *** p99 < 1s in peak"


@pytest.mark.parametrize(
    ("verdict", "thresholds", "unexplained"),
    [
        ("passed", "http errors < 1%", False),
        ("failed", "http p95 < 1ms", False),
        ("failed", "http errors < 1%", True),
        ("invalid", "http p95 < 1ms", True),
        ("error", "http p95 < 1ms", True),
        ("interrupted", "http errors < 1%", True),
    ],
)
def test_a_run_that_no_case_explains_is_told_apart(
    verdict: str, thresholds: str, unexplained: bool
) -> None:
    assert concluded(finished(thresholds, verdict=verdict)).unexplained is unexplained


def test_failures_come_first_and_keep_their_order() -> None:
    shown = concluded().failures_first
    assert [case.name for case in shown] == [THRESHOLDS[i] for i in (0, 2, 1, 3)]
