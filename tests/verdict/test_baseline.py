"""A run against a stored one: which slices are pairs, and what is said of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from baseline_samples import (
    BROWSE,
    ELSEWHERE,
    INSERT,
    SAME,
    SLOWER,
    block,
    held,
    judged,
    slices,
    stored,
)
from stressrun.errors import ExitCode
from stressrun.metrics.block import Block
from stressrun.scenario.model import Comparing
from stressrun.verdict.baseline import Against
from stressrun.verdict.judgement import Judgement, judge
from stressrun.verdict.thresholds import Evaluation
from verdict_samples import ORIGIN, threshold

SLOW = Evaluation(threshold("http p95 < 1ms"), 0.5, False)
FEW = held(stored(), judged(0.01, 0.01))


def judgement(baseline: Against, *thresholds: Evaluation, strict: bool = False) -> Judgement:
    return judge(
        run_id="r1",
        residue=[],
        signal=None,
        failure=None,
        fault=None,
        invariants=[],
        thresholds=thresholds,
        baseline=baseline,
        strict=strict,
    )


def test_slices_at_the_same_place_of_the_same_stage_are_pairs() -> None:
    now = judged(*(0.02 * n for n in range(1, 7)))
    now[1].slices = slices(*(0.01 * n for n in range(1, 4)), key=INSERT)
    then = {
        "peak": slices(*(0.01 * n for n in range(1, 7))),
        "ramp": slices(*(0.01 * n for n in range(1, 4)), key=INSERT),
        "gone": slices(1, 2, 3),
    }
    browse, insert = held(stored(then), now).findings
    assert (browse.row, browse.pairs, browse.verdict) == (BROWSE, 6, "regressed")
    assert browse.effect == pytest.approx(1.0)
    assert browse.low == pytest.approx(1.0), "each slice is twice as slow as its own"
    assert (insert.row, insert.pairs, insert.verdict) == (INSERT, 3, "inconclusive")


@pytest.mark.parametrize(
    ("ratio", "effect", "verdict"),
    [
        (1.15, 0.2, "passed"),
        (1.25, 0.2, "regressed"),
        (1.25, 0.3, "passed"),
        (0.5, 0.2, "passed"),
    ],
)
def test_a_change_smaller_than_the_baseline_s_effect_does_not_matter(
    ratio: float, effect: float, verdict: str
) -> None:
    now = judged(*((0.01 + n / 1e5) * ratio for n in range(8)))
    assert held(stored(), now, Comparing(min_effect=0, baseline_effect=effect)).verdict == verdict


def test_what_fails_more_has_regressed_however_quick_it_is() -> None:
    now = judged(*[0.001] * 8)
    now[2].slices = [{BROWSE: block(0.001, failed=5)} for _ in range(8)]
    (finding,) = held(stored(), now).regressed
    assert finding.told == "5.00 % did not succeed, 0 % of base"


def test_an_endpoint_that_the_run_lacks_is_no_silent_pass() -> None:
    against = held(stored(), judged(*[0.01] * 8, key=INSERT))
    assert against.verdict == "inconclusive"
    assert [finding.verdict for finding in against.findings] == ["inconclusive"] * 2


def test_an_endpoint_that_did_nothing_in_a_slice_is_no_reason_to_say_nothing() -> None:
    then = slices(*[0.01] * 8)
    then[3] = {BROWSE: Block()}
    against = held(stored({"peak": then}), judged(*[0.01] * 8))
    (finding,) = against.findings
    assert (finding.verdict, finding.pairs) == ("unchanged", 7)


@pytest.mark.parametrize(
    ("against", "reason"),
    [
        (held(stored(), judged(), usable=False), "this run was cut short, or is invalid"),
        (held(stored(), judged()), "no stage that is judged did anything in both runs"),
        (held(stored({"other": slices(1)}), judged(1)), "no stage that is judged did anything"),
        (
            held(stored(), judged(*[0.01] * 8), Comparing(figure="p90")),
            "it was saved without the p90 that compare.figure asks for",
        ),
        (
            held(stored(origin=replace(ORIGIN, machine=replace(ORIGIN.machine, id="f" * 16))), []),
            "it was measured on another machine, if one like this: ",
        ),
    ],
)
def test_what_cannot_be_compared_is_inconclusive_and_says_why(
    against: Against, reason: str
) -> None:
    assert (against.verdict, against.findings) == ("inconclusive", ())
    assert against.reasons[0].startswith(reason)


def test_a_regression_fails_the_run_after_its_thresholds() -> None:
    found = judgement(SLOWER)
    assert (found.verdict, found.exit_code) == ("failed", ExitCode.FAILED)
    assert found.cause == (
        "regressed against the baseline: endpoint browse (p95 +43 %, +41 % to +45 %)"
    )
    assert found.remedy.endswith("stressrun baseline accept base.json r1")
    assert judgement(SLOWER, SLOW).cause.startswith("threshold failed: http p95 < 1ms")
    assert judgement(SAME, strict=True) == Judgement("passed", ExitCode.PASSED)


@pytest.mark.parametrize(
    ("against", "cause"),
    [
        (ELSEWHERE, "another machine: a; this one has b; more"),
        (FEW, "endpoint browse (2 pairs with enough for a p95, and it takes 5 to tell)"),
    ],
)
def test_inconclusive_is_no_pass_where_that_is_asked_for(against: Against, cause: str) -> None:
    assert judgement(against).verdict == "passed"
    found = judgement(against, strict=True)
    assert (found.verdict, found.exit_code) == ("inconclusive", ExitCode.INVALID)
    assert found.cause.startswith("inconclusive against the baseline: ")
    assert cause in found.cause
    assert found.remedy
