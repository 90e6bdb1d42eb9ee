"""Whether the generator itself kept a stage from its load: then nothing is said of the target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from types import MappingProxyType

from stressrun.load.stage import StageResult, WorkerUse
from stressrun.scenario.model import Scenario
from stressrun.scenario.threshold import stages_of
from stressrun.units import format_duration, format_share
from stressrun.verdict.distortion import SATURATED, Distortion, longest_stop, worst_distortion
from stressrun.verdict.figures import Windows
from stressrun.verdict.judgement import Fault
from stressrun.verdict.thresholds import Evaluation, evaluate

_OWN = "generator: "
_REMEDIES = {
    "out of file descriptors": "raise the limit (ulimit -n), or lower max_vus",
    "out of local ports": "keep connections (reuse: vu), or lower the rate",
    "out of memory": "lower max_vus, or give the machine more memory",
}
# What is less is a loop that has much to do, rather than one that was kept from it.
_LEAST_STOP = 0.05
_MOST_MISSED = 0.001
_LEAST_WAITING = 0.02


def own_fault(results: Sequence[StageResult]) -> Fault | None:
    """The most frequent failure of the generator's own making in a judged stage."""
    for result in results:
        if result.stage.warmup:
            continue
        counts: Counter[str] = Counter()
        for row in result.books.rows.values():
            counts.update({kind: n for kind, n in row.errors.items() if kind.startswith(_OWN)})
        if counts:
            kind, count = counts.most_common(1)[0]
            what = kind.removeprefix(_OWN)
            return Fault(
                f"the generator was {what} in stage {result.stage.name} ({count:,} times)",
                _REMEDIES[what],
            )
    return None


def overtaxed(
    scenario: Scenario, results: Sequence[StageResult], windows: Windows = MappingProxyType({})
) -> Fault | None:
    """A threshold on the generator that does not hold: then its figures are not the target's.

    Of one that has no data nothing is said here.
    """
    for evaluation in evaluate(scenario, results, windows):
        if evaluation.threshold.subject != "generator" or evaluation.passed:
            continue
        if evaluation.value is not None:
            return _fault(evaluation, scenario, results, windows)
    return None


def limited(blocks: Sequence[StageResult]) -> Fault | None:
    """Whether most blocks of a comparison were as fast as the generator, rather than the target.

    Then both sides seem the same; so they do where a mock was at its limit. Nor is it the target's
    doing what the generator was too late for. Other lag of its is in no figure that is compared.
    """
    if not blocks:
        return None
    missed = sum(block.books.missed for block in blocks)
    planned = sum(row.planned for block in blocks for row in block.books.rows.values())
    if missed > _MOST_MISSED * planned:
        cause = f"the generator was too late for {missed:,} arrivals, which were dropped"
        return Fault(cause, "lower the load, or leave out catch_up: false")
    usual = sorted(blocks, key=_busiest)[len(blocks) // 2]
    if _busiest(usual) >= SATURATED:
        why, remedy = explanation(usual)
        return Fault(f"{why} in most blocks: base and head were as fast as it is", remedy)
    for name in blocks[0].mocks:
        shares = sorted(block.mocks[name].cpu_share for block in blocks if name in block.mocks)
        share = shares[len(shares) // 2]
        if share >= SATURATED:
            why = f"the mock {name} used {format_share(share)} of its core in most blocks"
            return Fault(f"{why}: base and head were as fast as it is", "lower the load")
    return None


def _busiest(result: StageResult) -> float:
    return max((use.cpu_share for use in result.generator.uses.values()), default=0.0)


def _fault(
    evaluation: Evaluation, scenario: Scenario, results: Sequence[StageResult], windows: Windows
) -> Fault | None:
    threshold = evaluation.threshold
    stages = stages_of(threshold, scenario.stages)
    looked_at = [result for result in results if result.stage in stages]
    if threshold.metric == "distortion":
        found = worst_distortion(scenario, looked_at, windows)
        if found is not None and found.load.startswith("mock "):
            return _of_mock(found)
        if found is not None:
            why, remedy = explanation(found.result, found.load)
            return Fault(f"{why}: {found.told}", remedy)
    worst = max(looked_at, key=_longest_stop)
    why, remedy = explanation(worst)
    return Fault(f"{why} in stage {worst.stage.name}: {threshold.text} does not hold", remedy)


def _of_mock(found: Distortion) -> Fault:
    """A mock that was too late: its times are in those of the service."""
    calls = found.result.mocks[found.load.removeprefix("mock ")]
    if calls.cpu_share >= SATURATED:
        why = f"the {found.load} used {format_share(calls.cpu_share)} of its core"
    else:
        why = f"the {found.load} waited for a core"
    return Fault(
        f"{why}: {found.told}", f"lower the load, or run less beside it on {_cores(found.result)}"
    )


def _longest_stop(result: StageResult) -> float:
    return max((longest_stop(use) for use in result.generator.uses.values()), default=0.0)


def explanation(result: StageResult, load: str | None = None) -> tuple[str, str]:
    """What kept the generator from its work in a stage, by the gravest evidence, and what helps.

    `load` is endpoints or writes; None: whichever.
    """
    uses = result.generator.of(load)
    share = max((use.cpu_share for use in uses), default=0.0)
    if share >= SATURATED:
        return f"the generator used {format_share(share)} of its core", _less(result, load)
    stop = max((longest_stop(use) for use in uses), default=0.0)
    pause = max((use.longest_gc_pause for use in uses), default=0.0)
    hungriest = max(uses, key=lambda use: use.waiting_seconds or 0.0, default=WorkerUse())
    waited = hungriest.waiting_seconds or 0.0
    if pause > _LEAST_STOP and pause > stop / 2:
        why = f"Python's garbage collector stopped the generator for {format_duration(pause)}"
        return why, _less(result, load)
    if waited > max(stop, _LEAST_WAITING * hungriest.wall_seconds):
        whole = format_duration(hungriest.wall_seconds)
        why = f"the generator waited for a core for {format_duration(waited)} of {whole}"
        return why, (
            f"others, the target among them, used the machine's {_cores(result)}: run less beside "
            "it, or lower the load"
        )
    if stop > _LEAST_STOP:
        why = f"the generator was stopped for {format_duration(stop)}"
        return why, "something suspended it or its machine: run it where nothing does"
    return f"the generator's work came in bursts ({format_share(share)} of its core)", _less(
        result, load
    )


def _less(result: StageResult, load: str | None) -> str:
    """What helps a generator that has too much to do; writes have one worker, whatever is said."""
    workers = len(result.generator.of("endpoints"))
    last = result.generator.last
    if load == "writes":
        return "lower the load of the writes"
    if last is not None and workers >= last.cores:
        return f"lower the load, or run it where it has more than {_cores(result)}"
    return f"start more workers (workers: {workers + 1}) or lower the load"


def _cores(result: StageResult) -> str:
    cores = result.generator.last.cores if result.generator.last is not None else 1
    return f"{cores} core{'s' if cores > 1 else ''}"
