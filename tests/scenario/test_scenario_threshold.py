"""The grammar of thresholds, and which stages they look at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.scenario.figures import is_of_kind
from stressrun.scenario.model import Ramp, Stage, Threshold, Users
from stressrun.scenario.threshold import Names, ThresholdError, parse_threshold, stages_of

WRITES = {"audit": ("insert", "select", "re-stock")}
NAMES = Names(
    ("browse", "check-out"), WRITES, ("warm-up", "peak", "in"), ("api",), {"app": ("done", "a-b")}
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http p95 < 250ms", ("http", None, None, "p95", "<", 0.25, None)),
        ("http errors <= 0.5%", ("http", None, None, "errors", "<=", 0.005, None)),
        ("  http   p999<1m30s ", ("http", None, None, "p999", "<", 90.0, None)),
        ("http rate >= 1200/m", ("http", None, None, "rate", ">=", 20.0, None)),
        (
            "endpoint check-out mean > 1ms",
            ("endpoint", "check-out", None, "mean", ">", 0.001, None),
        ),
        ("endpoint browse max < 2s in in", ("endpoint", "browse", None, "max", "<", 2.0, "in")),
        ("write audit p50 < 50ms", ("write", "audit", None, "p50", "<", 0.05, None)),
        ("write audit.select p99 < 1s", ("write", "audit", "select", "p99", "<", 1.0, None)),
        (
            "write audit.re-stock p95 < 5ms in peak",
            ("write", "audit", "re-stock", "p95", "<", 0.005, "peak"),
        ),
    ],
)
def test_a_threshold_is_read(text: str, expected: tuple[object, ...]) -> None:
    threshold = parse_threshold(text, NAMES)
    assert threshold.text == text
    assert expected == (
        threshold.subject,
        threshold.name,
        threshold.operation,
        threshold.metric,
        threshold.operator,
        pytest.approx(threshold.value),
        threshold.stage,
    )


@pytest.mark.parametrize(
    ("text", "metric", "value"),
    [
        ("http p75 < 1s", "p75", 1.0),
        ("endpoint browse p9999 < 1s", "p9999", 1.0),
        ("http errors.5xx <= 0%", "errors.5xx", 0.0),
        ("http errors.connect_timeout < 1%", "errors.connect_timeout", 0.01),
        ("write audit.insert errors.40P01 < 1%", "errors.40P01", 0.01),
        ("write audit errors.connection_lost < 1%", "errors.connection_lost", 0.01),
        ("http dropped < 5%", "dropped", 0.05),
        ("write audit achieved >= 99.5%", "achieved", 0.995),
        ("http count >= 1_000", "count", 1000),
        ("postgres longest_lock_wait < 50ms", "longest_lock_wait", 0.05),
        ("postgres wal < 1GB", "wal", 1e9),
        ("postgres cache_hits > 95%", "cache_hits", 0.95),
        ("generator p99 < 1ms", "p99", 0.001),
        ("generator cpu < 90%", "cpu", 0.9),
        ("process api cpu < 150%", "cpu", 1.5),
        ("process api memory < 512MiB", "memory", 2**29),
        ("process api memory_growth < 6MB/min", "memory_growth", 1e5),
        ("process api memory_growth < 36MB/h", "memory_growth", 1e4),
        ("process api descriptors < 1_000", "descriptors", 1000),
        ("host memory_available > 1GB", "memory_available", 1e9),
        ("host load < 1.5", "load", 1.5),
        ("prometheus app.done rate < 50/s", "rate", 50),
        ("prometheus app.done p95 < 250ms", "p95", 0.25),
        ("prometheus app.a-b max < 64MB", "max", 64e6),
        ("prometheus app.a-b min > -5", "min", -5),
    ],
)
def test_every_subject_has_figures_in_their_units(text: str, metric: str, value: float) -> None:
    threshold = parse_threshold(text, NAMES)
    assert (threshold.metric, threshold.value) == (metric, pytest.approx(value))


def test_a_threshold_can_hold_over_windows_of_a_stage() -> None:
    threshold = parse_threshold("http p95 < 1s in peak over 10s", NAMES)
    assert (threshold.stage, threshold.window) == ("peak", 10.0)


@pytest.mark.parametrize(
    ("error", "kind", "is_it"),
    [
        ("status 503", "503", True),
        ("status 503", "5xx", True),
        ("status 503", "status", True),
        ("status 403", "5xx", False),
        ("timeout", "timeout", True),
        ("connect timeout", "connect_timeout", True),
        ("connect timeout", "timeout", False),
        ("tls: certificate", "tls", True),
        ("expect: $.id", "expect", True),
        ("closed early", "closed", True),
        ("40P01 deadlock_detected", "40P01", True),
        ("slowly", "slow", False),
    ],
)
def test_an_error_is_of_a_kind_by_its_first_words(error: str, kind: str, is_it: bool) -> None:
    assert is_of_kind(error, kind) is is_it


WORDS = ["http", "endpoint", "write", "browse", "audit", "p95", "<", ">=", "5", "5ms", "%", "in"]
WORDS += ["process", "host", "prometheus", "api", "app", "app.done", "10MB/min", "memory_growth"]
WORDS += ["postgres", "generator", "errors.5xx", "errors.", "over", "10s", "count", "p0"]


@given(st.lists(st.sampled_from(WORDS)))
def test_any_words_are_a_threshold_or_a_mistake_within_them(words: list[str]) -> None:
    text = " ".join(words)
    try:
        offset = 0
        parse_threshold(text, NAMES)
    except ThresholdError as error:
        offset = error.offset
    assert 0 <= offset <= len(text)


def test_a_threshold_looks_at_judged_stages_that_load_its_subject() -> None:
    load = Users(Ramp(1, 1))
    warm_up = Stage("warm-up", 1, True, 5, load, load)
    requests = Stage("requests", 1, False, 5, load, None)
    writes = Stage("writes", 1, False, 5, None, load)
    stages = (warm_up, requests, writes)

    def looked_at(subject: str, stage: str | None) -> tuple[Stage, ...]:
        threshold = Threshold("", subject, None, None, "p95", "<", 1, stage)
        return stages_of(threshold, stages)

    assert looked_at("http", None) == (requests,)
    assert looked_at("endpoint", "requests") == (requests,)
    assert looked_at("write", None) == (writes,)
    assert looked_at("write", "requests") == ()
    assert looked_at("http", "warm-up") == (warm_up,)
    assert looked_at("postgres", None) == looked_at("generator", None) == (requests, writes)
