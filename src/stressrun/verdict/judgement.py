"""The verdict of a run: of several causes the gravest, with its exit code, cause and remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from signal import Signals

from stressrun.errors import ExitCode, StressrunError
from stressrun.verdict.invariants import Answer
from stressrun.verdict.thresholds import Evaluation

_VERDICTS = {ExitCode.FAILED: "failed", ExitCode.INVALID: "invalid"}


@dataclass(frozen=True, slots=True)
class Fault:
    """What keeps figures from being a verdict on the target, and what would help."""

    cause: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """`verdict` is passed, failed, invalid, interrupted or error; the texts are empty if passed."""

    verdict: str
    exit_code: ExitCode
    cause: str = ""
    remedy: str = ""


def judge(
    *,
    run_id: str,
    residue: Sequence[str],
    signal: Signals | None,
    failure: StressrunError | None,
    fault: Fault | None,
    invariants: Sequence[Answer],
    thresholds: Sequence[Evaluation],
) -> Judgement:
    """What is left behind comes first, then a signal, a failure, and only then the figures.

    What is wrong comes before what is slow. Where there is a `fault` in the measuring itself, the
    figures are not the target's.
    """
    if residue:
        return Judgement(
            "error",
            ExitCode.RESIDUE,
            f"teardown could not remove everything: {residue[0]}",
            f"mend the cause, then: stressrun clean {run_id}",
        )
    if signal is not None:
        code = ExitCode(128 + signal)
        return Judgement("interrupted", code, interruption(signal), "run it again for a verdict")
    if failure is not None:
        verdict = _VERDICTS.get(failure.exit_code, "error")
        return Judgement(verdict, failure.exit_code, failure.message, failure.hint)
    if fault is not None:
        return Judgement("invalid", ExitCode.INVALID, fault.cause, fault.remedy)
    broken = [answer for answer in invariants if not answer.passed]
    if broken:
        return _broken(broken)
    failed = [evaluation for evaluation in thresholds if not evaluation.passed]
    if failed:
        return _failed(failed)
    return Judgement("passed", ExitCode.PASSED)


def interruption(signal: Signals) -> str:
    """Why a run that was told to stop is partial."""
    return f"stopped by {signal.name}"


def _broken(broken: Sequence[Answer]) -> Judgement:
    first = broken[0]
    more = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
    found = first.detail if first.value is None else f"{first.value}, expected {first.expected}"
    return Judgement(
        "failed",
        ExitCode.FAILED,
        f"invariant failed: {first.invariant.name} after stage {first.stage}{more} ({found})",
        "the data is wrong, not only slow: ask the same of it after each of the endpoints",
    )


def _failed(failed: Sequence[Evaluation]) -> Judgement:
    first = failed[0]
    more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
    detail = f" ({first.detail})" if first.detail else ""
    remedy = "the stages' tables show where it begins"
    if first.value is None:
        remedy = "it has no data, which fails: a p99 needs 100 values, a p95 needs 20"
    elif first.threshold.built_in:
        remedy = (
            "the failures and drops in the stage's lines say what to look into; a threshold of "
            "your own on the same figure takes the place of this one, which is built in"
        )
    cause = f"threshold failed: {first.threshold.text}{more}{detail}"
    return Judgement("failed", ExitCode.FAILED, cause, remedy)
