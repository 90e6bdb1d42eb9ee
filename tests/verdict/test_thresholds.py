import pytest

from findings_samples import QUIET
from stressrun.load.stage import WorkerReading
from stressrun.metrics.histogram import Histogram
from stressrun.verdict.thresholds import evaluate
from verdict_samples import MS, fill, results, scenario


@pytest.mark.parametrize(
    ("text", "value", "passed"),
    [
        # Every request once: of an endpoint with several steps the steps, not the iteration.
        ("http max < 450ms", 0.4, True),
        ("http errors < 1%", 1 / 240, True),
        ("http errors < 0.1%", 1 / 240, False),
        ("http rate > 11/s", 12.0, True),
        ("http p50 <= 50ms in peak", 0.05, True),
        ("endpoint browse p95 < 60ms", 0.05, True),
        ("endpoint browse p95 < 60ms in ramp", 0.01, True),
        ("endpoint checkout mean < 500ms", 0.5, False),
        ("endpoint checkout mean <= 500ms", 0.5, True),
        ("endpoint checkout p99 < 10s", None, False),
        ("write audit.insert max < 6ms", 0.005, True),
        ("write audit max < 6ms", 0.007, False),
        ("write audit rate > 7/s", 8.0, True),
        ("http errors.503 < 1%", 1 / 240, True),
        ("http errors.5xx <= 0.1%", 1 / 240, False),
        ("http errors.timeout <= 0%", 0.0, True),
        ("http count >= 240", 240, True),
        ("endpoint checkout count > 20", 20, False),
        ("http achieved >= 95% in peak", 120 / 130, False),
        ("http dropped < 5%", 10 / 230, True),
        ("endpoint browse dropped < 5% in peak", 10 / 110, False),
        ("http max < 2s in warm-up", 0.9, False),
        ("http errors < 95% in warm-up", 0.9, True),
        ("postgres connections < 8", 7, True),
        ("postgres free_connections >= 90", 89, False),
        ("postgres rollbacks < 5", 6, False),
        ("postgres rollbacks < 5 in peak", 3, True),
        ("postgres cache_hits > 99%", 0.999, True),
        ("postgres wal < 100MB", 90_400_000, True),
        ("postgres longest_lock_wait < 1ms", 0.0, True),
        ("generator cpu < 50%", 0.6, False),
        ("generator stall < 50ms", 0.02, True),
        ("generator waiting < 12%", 0.1, True),
        ("generator max < 1ms", 0.002, False),
        ("generator distortion < 5%", 0.0, True),
    ],
)
def test_a_threshold_is_held_against_what_it_looks_at(
    text: str, value: float | None, passed: bool
) -> None:
    found = results()
    browse = found[2].books.rows["endpoint", "browse"]
    browse.planned += 10
    browse.dropped += 10
    for number, result in enumerate(found):
        result.database = QUIET
        reading = WorkerReading(
            cpu_seconds=3.0 * number,
            wall_seconds=10.0,
            waiting_seconds=0.5 * number,
            longest_stall=0.01 * number,
            longest_gc_pause=0.0,
            cores=2,
            descriptors=1024,
            ports=None,
        )
        result.generator.add("endpoints-0", reading, Histogram())
        result.books.lag.record(number * MS)
    (evaluation,) = evaluate(scenario(text), found)
    assert evaluation.value == (None if value is None else pytest.approx(value, rel=0.001))
    assert evaluation.passed is passed


def test_no_data_fails() -> None:
    (evaluation,) = evaluate(scenario("http p95 < 1s"), [])
    assert (evaluation.value, evaluation.passed) == (None, False)


@pytest.mark.parametrize(
    ("text", "margin"),
    [
        ("http max < 500ms", 0.2),
        ("http max < 200ms", -1.0),
        ("http rate > 10/s", 0.2),
        ("http rate > 24/s", -0.5),
        ("http errors.timeout <= 0%", None),
        ("endpoint checkout p99 < 1s", None),
    ],
)
def test_the_margin_is_a_share_of_the_limit(text: str, margin: float | None) -> None:
    (evaluation,) = evaluate(scenario(text), results())
    assert evaluation.margin == (None if margin is None else pytest.approx(margin, abs=0.001))


def test_there_is_no_verdict_on_a_latency_where_many_fail() -> None:
    found = results()
    fill(found[1].books.rows["endpoint", "browse"], 0, 1, failed=30)
    slow, failing, writes = evaluate(
        scenario("http p50 < 1s", "http errors < 50%", "write audit p50 < 1s"), found
    )
    assert slow.passed is False
    assert slow.detail == "no verdict on a latency: 23.08 % failed in stage ramp"
    assert failing.passed
    assert writes.passed


def test_a_plan_that_was_not_achieved_says_what_became_of_it() -> None:
    found = results()
    row = found[2].books.rows["endpoint", "browse"]
    row.planned, row.dropped, row.interrupted = row.planned + 50, 30, 20
    (evaluation,) = evaluate(scenario("http achieved >= 95% in peak"), found)
    assert evaluation.detail == "30 dropped, 20 interrupted"


def test_what_was_not_seen_of_the_database_is_no_data() -> None:
    found = results()
    found[1].database = QUIET
    (evaluation,) = evaluate(scenario("postgres deadlocks < 1"), found)
    assert (evaluation.value, evaluation.passed) == (None, False)
