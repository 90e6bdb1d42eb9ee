"""Thresholds on processes, the host and Prometheus metrics."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stressrun.load.stage import StageResult
from stressrun.metrics.gap import Gap
from stressrun.scenario.threshold import Names, parse_threshold
from stressrun.verdict.monitored import of_monitored
from stressrun.verdict.thresholds import evaluate
from usage_samples import API, HOST, MACHINE, METRICS
from verdict_samples import STAGES, scenario

MB = 1_000_000
SERIES = {"app": ("requests", "latency", "heap", "lost"), "slo": ("share",), "dead": ("up",)}
NAMES = Names((), {}, [stage.name for stage in STAGES], ("api", "nginx", "other"), SERIES)


def result(number: int = 2, **changes: object) -> StageResult:
    machine = replace(MACHINE, **changes)  # type: ignore[arg-type]
    return StageResult(STAGES[number], number, machine=machine, metrics=METRICS)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("process api cpu < 1%", 0.874),
        ("process api cpu_max < 1%", 0.99),
        ("process api memory < 1MB", 64 * MB),
        ("process api memory_growth < 10MB/min", 0.2 * MB),
        ("process api threads < 1", 12),
        ("process api descriptors < 1", 31),
        ("process api processes < 1", 3),
        ("process api restarts < 1", 1),
        ("process api read < 1MB", 0),
        ("process api written < 1MB", 4 * MB),
        ("host cpu < 1%", 0.71),
        ("host cpu_max < 1%", 0.9),
        ("host steal < 1%", 0.02),
        ("host iowait < 1%", 0.004),
        ("host load < 2", 2.5),
        ("host memory_available > 3GB", 2_100 * MB),
        ("host swapped <= 0B", 0),
        ("host disk_written < 1MB", 12 * MB),
        ("host received < 1B", 300),
        ("host sent < 1B", 400),
        ("host cpu_pressure < 1%", 0.18),
        ("host memory_pressure < 1%", 0.0),
        ("prometheus app.requests rate < 100", 250),
        ("prometheus app.requests rate < 100/s", 250),
        ("prometheus app.requests increase < 1_000", 5000),
        ("prometheus app.latency p50 < 50ms", 0.1),
        ("prometheus app.latency p95 < 50ms", pytest.approx(0.91)),
        ("prometheus app.latency mean < 10ms", 0.05),
        ("prometheus app.heap max < 1", 3),
        ("prometheus app.heap min < 1", 1),
        ("prometheus app.heap last < 1", 2.5),
        ("prometheus slo.share value < 1%", 0.0123),
    ],
)
def test_a_threshold_finds_its_figure(text: str, value: float) -> None:
    assert of_monitored(parse_threshold(text, NAMES), [result()]) == (value, "")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("process nginx cpu < 1%", "nothing listens on port 8080"),
        ("process other cpu < 1%", "nothing was seen"),
        ("host disk_read < 1MB", "the system does not tell it"),
        ("host io_pressure < 1%", "the system does not tell it"),
        ("prometheus app.lost rate < 1", "there is no series lost"),
        ("prometheus app.heap rate < 1", "a gauge has no rate"),
        ("prometheus app.heap p95 < 1", "a gauge has no p95"),
        ("prometheus app.latency p999 < 1", "100 values are too few for a p999"),
        ("prometheus slo.share rate < 1", "the answer to a query has no rate"),
        ("prometheus dead.up max < 1", "connection refused"),
    ],
)
def test_no_data_fails_and_says_why(text: str, why: str) -> None:
    threshold = parse_threshold(text, NAMES)
    assert of_monitored(threshold, [result()]) == (None, f"{why} in stage peak")
    given = replace(scenario(), thresholds=(threshold,))
    (evaluation,) = evaluate(given, [result(1), result(2)])
    assert (evaluation.value, evaluation.passed) == (None, False)
    assert evaluation.detail == f"{why} in stage ramp"


def test_too_few_samples_say_nothing_of_growth() -> None:
    use = replace(API, growth=None, samples=5)
    threshold = parse_threshold("process api memory_growth < 1MB/min", NAMES)
    value, why = of_monitored(threshold, [result(processes=(use,))])
    assert (value, why) == (None, "5 samples are too few to tell growth in stage peak")


def test_memory_of_two_kinds_says_nothing_of_growth() -> None:
    use = replace(API, growth=None, samples=50)
    threshold = parse_threshold("process api memory_growth < 1MB/min", NAMES)
    value, why = of_monitored(threshold, [result(processes=(use,))])
    assert value is None
    assert why.startswith("its memory could not be added up in the same way throughout in stage")


def test_a_stage_that_no_monitor_saw_has_no_data() -> None:
    threshold = parse_threshold("host cpu < 1%", NAMES)
    seen, unseen = result(1), StageResult(STAGES[2], 2)
    assert of_monitored(threshold, [seen, unseen]) == (None, "nothing was seen in stage peak")
    assert of_monitored(threshold, [result(host=None)]) == (
        None,
        "nothing was seen in stage peak",
    )
    assert of_monitored(threshold, []) == (None, "")
    blind = result(host=None, processes=(), gaps=(Gap(0.0, 2.0, "it hangs"),))
    for subject in ("host", "process api"):
        threshold = parse_threshold(f"{subject} cpu < 1%", NAMES)
        assert of_monitored(threshold, [blind]) == (None, "it hangs in stage peak")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("host cpu < 90%", 0.71),
        ("host cpu > 10%", 0.3),
        ("host memory_available > 1GB", 2_000 * MB),
        ("host disk_written < 1GB", 20 * MB),
        ("process api restarts < 5", 2),
        ("prometheus app.requests increase < 1", 10_000),
        ("prometheus app.requests rate < 1", 250),
    ],
)
def test_of_several_stages_the_worst_counts_and_the_sum_of_what_is_counted(
    text: str, value: float
) -> None:
    other = replace(HOST, cpu=0.3, available=2_000 * MB, disk_written=8 * MB)
    stages = [result(1), result(2, host=other)]
    assert of_monitored(parse_threshold(text, NAMES), stages) == (value, "")
