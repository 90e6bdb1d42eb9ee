"""The verdict of a run: of several causes the gravest, with its exit code, cause and remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from shlex import quote
from signal import Signals

from stressrun.errors import ExitCode, StressrunError
from stressrun.scenario.figures import MONITORED
from stressrun.units import format_share
from stressrun.verdict.baseline import Against
from stressrun.verdict.comparison import Finding
from stressrun.verdict.invariants import Answer
from stressrun.verdict.thresholds import Evaluation
from stressrun.verdict.work import WorkChange, format_work

# Of the time that base and head took.
_MUCH_WAITING = 0.05
_VERDICTS = {ExitCode.FAILED: "failed", ExitCode.INVALID: "invalid"}


@dataclass(frozen=True, slots=True)
class Fault:
    """What keeps figures from being a verdict on the target, and what would help."""

    cause: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """`verdict` is passed, failed, invalid, inconclusive, interrupted or error.

    The texts are empty if it passed.
    """

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
    baseline: Against | None,
    strict: bool,
) -> Judgement:
    """What is left behind comes first, then a signal, a failure, and only then the figures.

    What is wrong comes before what is slow, and that before what is slower than it was. Where there
    is a `fault` in the measuring itself, the figures are not the target's. `strict`: to say nothing
    of the baseline is no pass.
    """
    grave = _gravest(run_id, residue, signal, failure, fault)
    if grave is not None:
        return grave
    broken = [answer for answer in invariants if not answer.passed]
    if broken:
        return _broken(broken)
    failed = [evaluation for evaluation in thresholds if not evaluation.passed]
    if failed:
        return _failed(failed)
    if baseline is not None and baseline.regressed:
        return _slower(run_id, baseline)
    if baseline is not None and strict and baseline.verdict == "inconclusive":
        return _inconclusive(baseline)
    return Judgement("passed", ExitCode.PASSED)


def judge_comparison(
    *,
    run_id: str,
    residue: Sequence[str],
    signal: Signals | None,
    failure: StressrunError | None,
    fault: Fault | None,
    findings: Sequence[Finding],
    work: Sequence[WorkChange],
    disk: float | None,
    strict: bool,
) -> Judgement:
    """As `judge`, of what became of each endpoint; `strict`: what is inconclusive is invalid.

    For the share `disk` of the time something waited for the disk of a database that could do
    without; None: there is none, or nobody knows.
    """
    grave = _gravest(run_id, residue, signal, failure, fault)
    if grave is not None:
        return grave
    code = ExitCode.INVALID if strict else ExitCode.PASSED
    if not findings:
        cause = "inconclusive: no pair of blocks was done"
        return Judgement("inconclusive", code, cause, "give it more time: --budget 5m")
    regressed = [finding for finding in findings if finding.verdict == "regressed"]
    if regressed:
        return _regressed(regressed, work)
    undecided = [finding for finding in findings if finding.verdict == "inconclusive"]
    if undecided:
        cause = _told_first("inconclusive", undecided)
        return Judgement("inconclusive", code, cause, _sharper(disk))
    return Judgement("passed", ExitCode.PASSED)


def _sharper(disk: float | None) -> str:
    """How smaller changes can be seen."""
    if disk is not None and disk > _MUCH_WAITING:
        return (
            f"for {format_share(disk)} of the time something waited for the disk: a database that "
            'is thrown away need not (settings: {synchronous_commit: "off"})'
        )
    return "more pairs (--pairs) or longer blocks (compare: {block: 5s}) see smaller changes"


def _gravest(
    run_id: str,
    residue: Sequence[str],
    signal: Signals | None,
    failure: StressrunError | None,
    fault: Fault | None,
) -> Judgement | None:
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
    return None


def _regressed(regressed: Sequence[Finding], work: Sequence[WorkChange]) -> Judgement:
    changed = next((each for each in work if each.changed), None)
    remedy = "`--isolate` compares one endpoint after the other, each with the work that it does"
    if changed is not None:
        remedy = (
            f"for each iteration it does other work: {changed.name} "
            f"{format_work(changed.base)} → {format_work(changed.head)}"
        )
    return Judgement("failed", ExitCode.FAILED, _told_first("regressed", regressed), remedy)


def _slower(run_id: str, baseline: Against) -> Judgement:
    return Judgement(
        "failed",
        ExitCode.FAILED,
        _told_first("regressed against the baseline", baseline.regressed),
        "`stressrun compare` says whether it was this change; if it is meant to be so: "
        f"stressrun baseline accept {quote(baseline.baseline.file)} {run_id}",
    )


def _inconclusive(baseline: Against) -> Judgement:
    word = "inconclusive against the baseline"
    if baseline.reasons:
        remedy = (
            "`stressrun compare` measures both on one machine; or measure the baseline anew: "
            f"--save-baseline {quote(baseline.baseline.file)}"
        )
        cause = f"{word}: {'; '.join(baseline.reasons)}"
    else:
        remedy = "longer stages, with more requests, see smaller changes"
        cause = _told_first(word, baseline.undecided)
    return Judgement("inconclusive", ExitCode.INVALID, cause, remedy)


def _told_first(verdict: str, findings: Sequence[Finding]) -> str:
    more = f" and {len(findings) - 1} more" if len(findings) > 1 else ""
    return f"{verdict}: {findings[0].name}{more} ({findings[0].told})"


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
    if first.value is None and first.threshold.subject in MONITORED:
        remedy = "it has no data, which fails: the lines of its stage say what was not seen"
    elif first.value is None:
        remedy = "it has no data, which fails: a p99 needs 100 values, a p95 needs 20"
    elif first.threshold.built_in:
        remedy = (
            "the failures and drops in the stage's lines say what to look into; a threshold of "
            "your own on the same figure takes the place of this one, which is built in"
        )
    cause = f"threshold failed: {first.threshold.text}{more}{detail}"
    return Judgement("failed", ExitCode.FAILED, cause, remedy)
