from signal import SIGHUP, SIGINT, SIGTERM, Signals

import pytest

from comparison_samples import INCONCLUSIVE, UNCHANGED
from stressrun.errors import ExitCode, RefusedError, SetupError, StressrunError
from stressrun.verdict.judgement import Fault, judge, judge_comparison
from stressrun.verdict.thresholds import Evaluation
from verdict_samples import threshold

SLOW = Evaluation(threshold("http p95 < 1ms"), 0.5, False)
EMPTY = Evaluation(threshold("http p95 < 1ms"), None, False)
GOOD = Evaluation(threshold("http errors < 1%"), 0.0, True)


class InvalidError(StressrunError):
    exit_code = ExitCode.INVALID


@pytest.mark.parametrize(
    ("residue", "signal", "failure", "thresholds", "verdict", "code", "cause"),
    [
        ([], None, None, [GOOD], "passed", 0, ""),
        ([], None, None, [GOOD, SLOW], "failed", 1, "threshold failed: http p95 < 1ms"),
        ([], None, None, [SLOW, EMPTY], "failed", 1, "http p95 < 1ms and 1 more"),
        ([], None, InvalidError("lost"), [], "invalid", 4, "lost"),
        ([], None, SetupError("no port"), [], "error", 3, "no port"),
        ([], None, RefusedError("no"), [], "error", 6, "no"),
        ([], SIGINT, SetupError("no port"), [], "interrupted", 130, "stopped by SIGINT"),
        ([], SIGTERM, None, [], "interrupted", 143, "stopped by SIGTERM"),
        ([], SIGHUP, None, [], "interrupted", 129, "stopped by SIGHUP"),
        (["table t"], SIGINT, InvalidError("lost"), [SLOW], "error", 5, "table t"),
    ],
)
def test_of_several_causes_the_gravest_is_told(
    residue: list[str],
    signal: Signals | None,
    failure: StressrunError | None,
    thresholds: list[Evaluation],
    verdict: str,
    code: int,
    cause: str,
) -> None:
    judgement = judge(
        run_id="r1",
        residue=residue,
        signal=signal,
        failure=failure,
        fault=None,
        invariants=[],
        thresholds=thresholds,
        baseline=None,
        strict=False,
    )
    assert (judgement.verdict, judgement.exit_code) == (verdict, code)
    assert cause in judgement.cause


def test_a_threshold_without_data_says_what_it_needs() -> None:
    judgement = judge(
        run_id="r1",
        residue=[],
        signal=None,
        failure=None,
        fault=None,
        invariants=[],
        thresholds=[EMPTY],
        baseline=None,
        strict=False,
    )
    assert "a p99 needs 100 values" in judgement.remedy


def test_a_fault_of_the_generator_s_own_makes_the_figures_invalid() -> None:
    judgement = judge(
        run_id="r1",
        residue=[],
        signal=None,
        failure=None,
        fault=Fault("the generator was out of local ports", "keep connections"),
        invariants=[],
        thresholds=[SLOW],
        baseline=None,
        strict=False,
    )
    assert (judgement.verdict, judgement.exit_code) == ("invalid", ExitCode.INVALID)
    assert (judgement.cause, judgement.remedy) == (
        "the generator was out of local ports",
        "keep connections",
    )


@pytest.mark.parametrize(
    ("disk", "remedy"),
    [
        (None, "more pairs (--pairs)"),
        (0.01, "more pairs (--pairs)"),
        (0.12, "for 12.00 % of the time something waited for the disk: a database that"),
    ],
)
def test_an_inconclusive_comparison_says_what_would_see_more(
    disk: float | None, remedy: str
) -> None:
    judgement = judge_comparison(
        run_id="r1",
        residue=[],
        signal=None,
        failure=None,
        fault=None,
        findings=[UNCHANGED, INCONCLUSIVE],
        work=[],
        disk=disk,
        strict=False,
    )
    assert (judgement.verdict, judgement.exit_code) == ("inconclusive", 0)
    assert judgement.remedy.startswith(remedy)
