"""Thresholds judged while the load runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stressrun.metrics.recorder import Recorder
from stressrun.scenario.model import Threshold
from stressrun.verdict.generator import overtaxed
from stressrun.verdict.live import LiveThresholds
from stressrun.verdict.thresholds import evaluate
from verdict_samples import MS, STAGES, fill, results, scenario, threshold


def worst(found: LiveThresholds) -> dict[Threshold, float | None]:
    return {each: window and window.value for each, window in found.windows.items()}


def live(*thresholds: Threshold) -> LiveThresholds:
    found = LiveThresholds(replace(scenario(), thresholds=thresholds))
    found.start(STAGES[2])
    return found


def hear(found: LiveThresholds, seconds: dict[int, int], *, failed: int = 0) -> None:
    """Ten requests a second, each of so many milliseconds, told of every quarter of a second."""
    for second, milliseconds in seconds.items():
        for quarter in range(1, 5):
            books = Recorder()
            if quarter == 2:
                fill(books.row("endpoint", "browse"), 10 - failed, milliseconds, failed=failed)
            found.heard("one", books, second + quarter / 4, 1)


def test_a_window_has_the_worst_figure_of_all_that_were_whole() -> None:
    over = threshold("http mean < 1s over 3s")
    found = live(over)
    assert worst(found) == {over: None}
    hear(found, {0: 10, 1: 10})
    assert worst(found) == {over: None}
    hear(found, {2: 10, 3: 40, 4: 10, 5: 10, 6: 10})
    assert worst(found) == {over: pytest.approx(0.020, rel=0.01)}


def test_a_window_does_not_reach_into_another_stage() -> None:
    over = threshold("http mean < 1s over 3s")
    found = live(over)
    hear(found, {0: 10, 1: 10})
    found.start(STAGES[1])
    hear(found, {0: 10, 1: 10})
    assert worst(found) == {over: None}


def test_where_more_is_better_the_worst_is_the_least() -> None:
    over = threshold("http rate > 1/s over 1s")
    found = live(over)
    hear(found, {0: 10, 1: 10})
    found.heard("one", Recorder(), 3.0, 1)
    assert worst(found) == {over: pytest.approx(10.0)}


def test_a_window_without_data_fails_at_the_end() -> None:
    over = threshold("http p99 < 1s over 3s")
    found = live(over)
    hear(found, dict.fromkeys(range(5), 10))
    (evaluation,) = evaluate(replace(scenario(), thresholds=(over,)), results(), found.windows)
    assert (evaluation.value, evaluation.passed) == (None, False)


def abort(text: str, after: float = 0.0) -> Threshold:
    return replace(threshold(text), abort=True, after=after)


def test_the_first_threshold_that_is_crossed_ends_the_run() -> None:
    errors, latency = abort("http errors < 20%"), abort("http mean < 1s")
    found = live(errors, latency, threshold("http mean < 1ms over 1s"))
    hear(found, {0: 10, 1: 10})
    assert found.crossed is None
    hear(found, {2: 10}, failed=9)
    assert found.crossed is not None
    assert (found.crossed.threshold, found.crossed.passed) == (errors, False)
    # Of all of the stage so far.
    assert found.crossed.value == pytest.approx(9 / 30)
    assert found.crossed.detail == "crossed 2.50 s into stage peak"
    hear(found, {3: 9000})
    assert found.crossed.threshold == errors


def test_a_window_forgets_what_was_before_it() -> None:
    found = live(abort("http errors < 20% over 2s"))
    hear(found, {0: 10}, failed=3)
    hear(found, {1: 10, 2: 10})
    assert found.crossed is None
    hear(found, {3: 10}, failed=4)
    assert found.crossed is not None
    assert found.crossed.value == pytest.approx(0.2)


def test_a_stage_may_have_some_time_to_settle() -> None:
    found = live(abort("http mean < 20ms over 1s", after=3.0))
    hear(found, {0: 90, 1: 10, 2: 10, 3: 10})
    assert found.crossed is None
    hear(found, {4: 90})
    assert found.crossed is not None


def test_warm_up_crosses_nothing() -> None:
    found = live(abort("http mean < 1ms"))
    found.start(STAGES[0])
    hear(found, {0: 90, 1: 90})
    assert found.crossed is None


def test_a_window_as_long_as_its_stage_is_whole_at_its_end() -> None:
    stage = STAGES[2]
    over = threshold("http mean < 1s over 10s")
    found = live(over)
    hear(found, dict.fromkeys(range(9), 10))
    for quarter in (9.15, 9.4, 9.65, 9.9):
        found.heard("one", Recorder(), quarter, 1)
    assert worst(found) == {over: None}
    found.finish(stage.duration)
    assert worst(found) == {over: pytest.approx(0.010, rel=0.01)}


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_workers_that_tell_one_after_the_other_do_not_make_a_rate_falter(workers: int) -> None:
    slow, fast = (threshold(f"http rate {limit} over 1s") for limit in ("> 1/s", "< 99/s"))
    found = live(slow, fast)
    for report in range(1, 33):
        for worker in range(workers):
            books = Recorder()
            fill(books.row("endpoint", "browse"), 5, 10)
            # A little early or late, each a few milliseconds after the one before it.
            elapsed = report / 4 + worker / 300 + (report % 3) / 500
            found.heard(f"endpoints-{worker}", books, elapsed, workers)
    for rate in worst(found).values():
        assert rate == pytest.approx(20 * workers, rel=0.02)


def test_a_window_has_a_twin_without_the_generator_s_lag() -> None:
    over = threshold("http p95 < 1s over 2s")
    judged = replace(scenario(), thresholds=(over, threshold("generator distortion < 5%")))
    found = LiveThresholds(judged)
    found.start(STAGES[2])
    for quarter in range(1, 41):
        books = Recorder()
        row = books.row("endpoint", "browse")
        fill(row, 100, 10)
        if quarter == 20:
            row.succeed(10 * MS, 900 * MS, 1, 1)
            for _ in range(99):
                row.succeed(10 * MS, 800 * MS, 1, 1)
                row.lag(800 * MS, 790 * MS)
        found.heard("one", books, quarter / 4, 1)
    result = results()[2]
    # In the whole stage there are too few for its p95 to be another.
    assert overtaxed(judged, [result]) is None
    fault = overtaxed(judged, [result], found.windows)
    assert fault is not None
    what = "http p95 in stage peak over 2.00 s was 800 ms, 10.0 ms without the generator's lag"
    assert fault.cause.endswith(what)
    assert overtaxed(judged, results()[:2], found.windows) is None
