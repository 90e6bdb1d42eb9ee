"""What is concluded from a mock's calls: amplification, recovery, and whose fault its lag is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from mocks import mock_of
from stressrun.load.stage import StageResult
from stressrun.metrics.mock_calls import MockCalls, RouteCalls
from stressrun.scenario.model import Scenario
from stressrun.scenario.threshold import Names, parse_threshold
from stressrun.verdict.distortion import worst_distortion
from stressrun.verdict.generator import overtaxed
from stressrun.verdict.mocks import Recovery, of_mock, recoveries
from stressrun.verdict.thresholds import evaluate
from verdict_samples import MS, STAGES, scenario

OUTAGE = "[{on: POST /charges, fail: {status: 503, share: 50%, in: peak}}]"


def with_mock(*thresholds: str) -> Scenario:
    mock = replace(mock_of(OUTAGE), name="m")
    stages = tuple(replace(STAGES[2], name=name) for name in ("before", "peak", "after"))
    names = Names(["browse", "checkout"], {}, [stage.name for stage in stages], mocks={"m": None})
    return replace(
        scenario(),
        services=(mock,),
        stages=stages,
        thresholds=tuple(parse_threshold(text, names) for text in thresholds),
    )


def result(given: Scenario, number: int, seconds: Sequence[tuple[int, int]] = ()) -> StageResult:
    found = StageResult(given.stages[number], number, elapsed=float(len(seconds)) or 10.0)
    for second, (ended, failed) in enumerate(seconds):
        found.outcomes.add(ended, failed, second)
    return found


def asked(result: StageResult, requests: int, calls: int, lag: int = 0, took: int = 10) -> None:
    """So many requests of so many ms, and calls that were answered late by so many."""
    row = result.books.row("endpoint", "browse")
    for _ in range(requests):
        row.planned += 1
        row.succeed(took * MS, took * MS, 1, 1)
    route = RouteCalls(calls=calls)
    for _ in range(calls):
        route.lag.record(lag * MS)
    result.mocks["m"] = MockCalls({"POST /charges": route}, seconds=10.0)


CALM = [(10, 0)] * 5


@pytest.mark.parametrize(
    ("before", "after", "seconds", "level"),
    [
        (CALM, CALM, 0.0, 0.0),
        (CALM, [(10, 5), (10, 1), *CALM], 2.0, 0.0),
        (CALM, [(10, 5), (10, 0), (10, 5), *CALM], 3.0, 0.0),
        ([(10, 2)] * 5, [(10, 5), (10, 2), (10, 2), (10, 2)], 1.0, 0.2),
        (CALM, [(10, 5)] * 5, None, 0.0),
        (CALM, [(10, 5), (0, 0), (0, 0)], None, 0.0),
        (CALM, [(0, 0), (0, 0), *CALM], 2.0, 0.0),
        ([], CALM, 0.0, 0.0),
        # As long as the stage lasts: one good second, or two, are no proof.
        (CALM, [(10, 5)] * 4 + [(10, 0)], None, 0.0),
        (CALM, [(10, 5), (10, 5), (10, 0), (10, 0)], None, 0.0),
        (CALM, [(10, 5), (10, 0), (10, 0), (10, 0)], 1.0, 0.0),
    ],
)
def test_recovery_is_from_when_on_no_more_fail_than_before(
    before: list[tuple[int, int]],
    after: list[tuple[int, int]],
    seconds: float | None,
    level: float,
) -> None:
    given = with_mock()
    results = [result(given, 0, before), result(given, 1, [(10, 9)] * 5), result(given, 2, after)]
    assert recoveries(results, given) == [Recovery("m", "peak", "after", level, seconds)]
    assert recoveries(results[:2], given) == []


def test_what_ends_after_a_stage_is_no_recovery_and_a_short_stage_tells_of_none() -> None:
    given = with_mock()
    before, failing = result(given, 0, CALM), result(given, 1, [(10, 9)] * 5)
    drained = result(given, 2, [(10, 5), (10, 5), (10, 0), (10, 0), (10, 0), (10, 0)])
    drained.elapsed = 4.9
    (found,) = recoveries([before, failing, drained], given)
    assert found.seconds is None
    drained.elapsed = 5.0
    (found,) = recoveries([before, failing, drained], given)
    assert found.seconds == 2.0
    drained.elapsed = 2.9
    assert recoveries([before, failing, drained], given) == []


def test_a_service_that_never_recovers_fails_its_threshold_and_is_told_of() -> None:
    given = with_mock("mock m recovery < 5s", "mock m recovery < 5s in before")
    results = [result(given, 0, CALM), result(given, 1, CALM), result(given, 2, [(10, 5)] * 5)]
    for each in results:
        asked(each, 10, 1)
    never, without = evaluate(given, results)
    assert (never.value, never.passed) == (None, False)
    assert never.detail == "there were no 3 s of after with as few failing as before peak"
    assert (without.value, without.passed) == (None, False)


def test_figures_are_of_all_stages_together_and_of_none_that_was_not_told() -> None:
    given = with_mock()
    results = [result(given, 0), result(given, 1)]
    asked(results[0], requests=100, calls=20)
    asked(results[1], requests=100, calls=60)
    calls = results[1].mocks["m"]
    calls.routes["POST /charges"].failures["status"] = 20
    calls.unmatched["GET /x"] = 4
    figures = {
        metric: of_mock(metric, "m", results, given)
        for metric in ("calls", "rate", "amplification", "failures", "unmatched", "abandoned")
    }
    assert figures == {
        "calls": 84,
        "rate": pytest.approx(4.2),
        "amplification": pytest.approx(0.42),
        "failures": pytest.approx(20 / 84),
        "unmatched": 4,
        "abandoned": 0,
    }
    assert of_mock("lag.p95", "m", results, given) == 0.0
    assert of_mock("lag.p999", "m", results[:1], given) is None
    del results[1].mocks["m"]
    assert of_mock("calls", "m", results, given) is None


@pytest.mark.parametrize(
    ("lag", "calls", "invalid"), [(0, 100, False), (8, 100, True), (8, 2, False)]
)
def test_a_mock_that_answers_late_makes_the_run_invalid_where_that_moves_what_was_measured(
    lag: int, calls: int, invalid: bool
) -> None:
    given = with_mock("generator distortion < 5%")
    results = [result(given, 0)]
    asked(results[0], requests=100, calls=calls, lag=lag - min(lag, 2), took=40)
    results[0].mocks["m"].loop_lag.record(min(lag, 2) * MS)
    fault = overtaxed(given, results)
    assert (fault is not None) == invalid
    if fault is not None:
        assert fault.cause == (
            "the mock m waited for a core: its answers were 8.00 ms late on average in stage"
            " before, where requests took 40.0 ms"
        )
        worst = worst_distortion(given, results)
        assert worst is not None
        assert worst.share == pytest.approx(0.2, rel=0.01)
