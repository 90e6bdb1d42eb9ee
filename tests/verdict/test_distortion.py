"""How much of a judged latency is the generator's own lag, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.load.stage import StageResult, WorkerReading, WorkerUse
from stressrun.metrics.histogram import Histogram
from stressrun.metrics.recorder import Row
from stressrun.scenario.model import Ramp, Scenario, Users
from stressrun.verdict.distortion import worst_distortion
from stressrun.verdict.generator import overtaxed
from verdict_samples import MS, STAGES, scenario

CLOSED = replace(STAGES[2], endpoints=Users(Ramp(5, 5)), writes=Users(Ramp(5, 5)))


def answered(row: Row, count: int, service: float, lag: float = 0.0) -> None:
    """So many successes; milliseconds from the send to the end, and from the intended start."""
    response = round((service + lag) * MS)
    for _ in range(count):
        row.planned += 1
        row.succeed(round(service * MS), response, 100, 200)
        if lag:
            row.lag(response, round(lag * MS))


def peak(*times: tuple[int, float, float], operation: bool = False) -> StageResult:
    result = StageResult(STAGES[2], 2, elapsed=10.0)
    key = ("operation", "audit.insert") if operation else ("endpoint", "browse")
    for count, service, lag in times:
        answered(result.books.row(*key), count, service, lag)
    return result


def judged(result: StageResult, *thresholds: str) -> float:
    found = worst_distortion(_of(result, *thresholds), [result])
    return 0.0 if found is None else found.share


def _of(result: StageResult, *thresholds: str) -> Scenario:
    return replace(scenario(*thresholds), stages=(*STAGES[:2], result.stage))


@pytest.mark.parametrize(
    ("times", "threshold", "share"),
    [
        # All are late, by less than matters, or by no more than any machine is.
        ([(100, 50, 0)], "http p95 < 1s", 0.0),
        ([(100, 50, 2)], "http p95 < 1s", 2 / 52),
        ([(100, 50, 5)], "http p95 < 1s", 5 / 55),
        ([(100, 0.2, 0.9)], "http p95 < 1s", 0.0),
        ([(100, 0.2, 1.1)], "http p95 < 1s", 1.1 / 1.3),
        # A few are very late: beyond a p90, but they move what a p95 and a p99 are, a mean, a max.
        ([(960, 50, 0), (40, 50, 500)], "http p90 < 1s", 0.0),
        ([(960, 50, 0), (40, 50, 500)], "http p99 < 1s", 500 / 550),
        ([(960, 50, 0), (40, 50, 500)], "http mean < 1s", 20 / 70),
        ([(960, 50, 0), (40, 50, 500)], "http max < 1s", 500 / 550),
        # Those that take the place of the slowest in a percentile, and are none of these.
        ([(930, 10, 0), (30, 100, 0), (40, 10, 500)], "http p95 < 1s", 0.9),
        # Late ones that are not slow for all that.
        ([(900, 10, 0), (100, 1, 4)], "http p95 < 1s", 0.0),
        # Of two figures the one that is moved more.
        ([(960, 50, 0), (40, 50, 500)], "endpoint browse p90 < 1s", 0.0),
    ],
)
def test_what_lag_does_to_a_judged_figure_is_the_figure_less_its_twin_without_lag(
    times: list[tuple[int, float, float]], threshold: str, share: float
) -> None:
    assert judged(peak(*times), threshold) == pytest.approx(share, abs=0.003)


def test_the_figure_that_is_moved_most_counts() -> None:
    result = peak((960, 50, 0), (40, 50, 500))
    assert judged(result, "http p90 < 1s", "http p99 < 1s", "http errors < 1%") == pytest.approx(
        500 / 550, abs=0.003
    )


def test_writes_are_judged_by_their_own_lag() -> None:
    result = peak((100, 10, 90), operation=True)
    answered(result.books.row("endpoint", "browse"), 100, 10)
    assert judged(result, "http p95 < 1s") == 0.0
    assert judged(result, "write audit p95 < 1s") == pytest.approx(0.9, abs=0.003)


def test_without_a_threshold_on_a_latency_the_p95_of_each_row_in_each_stage_is_looked_at() -> None:
    result = peak((900, 10, 0))
    answered(result.books.row("endpoint", "checkout"), 30, 10, 90)
    assert judged(result, "http errors < 1%") == pytest.approx(0.9, abs=0.003)
    assert judged(result, "http p50 < 1s") == 0.0
    assert judged(replace(result, stage=CLOSED)) == 0.0
    warm_up = replace(result, stage=replace(STAGES[2], warmup=True))
    assert judged(warm_up) == 0.0


def test_arrivals_that_the_generator_was_too_late_for_are_its_own_doing() -> None:
    result = peak((900, 10, 0))
    row = result.books.row("endpoint", "browse")
    row.planned, row.dropped, result.books.missed = 1000, 100, 80
    result.generator.add("endpoints-0", worker(stall=0.3), Histogram())
    assert judged(result, "http p95 < 1s") == 0.08
    fault = overtaxed(_of(result, "http p95 < 1s", "generator distortion < 5%"), [result])
    assert fault is not None
    assert fault.cause == (
        "the generator was stopped for 300 ms: it was too late for 80 of 1,000 arrivals in stage "
        "peak"
    )


def test_too_few_values_for_a_percentile_are_nothing_to_distort() -> None:
    assert judged(peak((10, 10, 90)), "http p95 < 1s") == 0.0


milliseconds = st.integers(0, 2_000)


@given(st.lists(st.tuples(milliseconds, milliseconds), min_size=20, max_size=200))
def test_the_twin_without_lag_is_the_figure_of_the_times_without_it(
    times: list[tuple[int, int]],
) -> None:
    with_lag, without = Row(), Row()
    for service, lag in times:
        answered(with_lag, 1, service, lag)
        answered(without, 1, service)
    found, expected = with_lag.response_without_lag, without.response
    assert (found.count, found.total) == (expected.count, expected.total)
    assert found.maximum == pytest.approx(expected.maximum, rel=0.001)
    for q in (0.5, 0.9, 0.95):
        assert found.quantile(q) == pytest.approx(expected.quantile(q), rel=0.001)


@given(
    st.lists(st.tuples(milliseconds, milliseconds), min_size=20, max_size=200),
    st.sampled_from(["p50", "p95", "mean", "max"]),
)
def test_lag_makes_no_figure_shorter(times: list[tuple[int, int]], metric: str) -> None:
    result = peak(*((1, service, lag) for service, lag in times))
    assert 0.0 <= judged(result, f"http {metric} < 1s") <= 1.0


def worker(cpu: float = 0.2, waited: float | None = 0.0, stall: float = 0.0) -> WorkerReading:
    """Ten seconds of one."""
    return WorkerReading(
        cpu_seconds=10 * cpu,
        wall_seconds=10.0,
        waiting_seconds=waited,
        longest_stall=stall,
        longest_gc_pause=0.0,
        cores=2,
        descriptors=1024,
        ports=28_232,
    )


def late(*times: tuple[int, float]) -> Histogram:
    """A loop's lag: how often it was so many milliseconds late."""
    lag = Histogram()
    for count, milliseconds in times:
        for _ in range(count):
            lag.record(round(milliseconds * MS))
    return lag


def closed(*times: tuple[int, float, float]) -> StageResult:
    return replace(peak(*times), stage=CLOSED)


@pytest.mark.parametrize(
    ("lags", "threshold", "share"),
    [
        ([(100, 0.1)], "http p95 < 1s", 0.0),
        ([(100, 0.9)], "http p95 < 1s", 0.0),
        ([(90, 0.1), (10, 5.0)], "http p95 < 1s", 0.5),
        ([(90, 0.1), (10, 5.0)], "http p50 < 1s", 0.0),
        ([(99, 0.1), (1, 5.0)], "http p95 < 1s", 0.0),
        ([(50, 0.0), (50, 8.0)], "http mean < 1s", 0.4),
        # One long stop is in the figures of the answers that it hit, not of all.
        ([(99, 0.1), (1, 900.0)], "http max < 1s", 0.0),
    ],
)
def test_in_the_closed_model_the_loop_s_lag_is_that_of_its_answers(
    lags: list[tuple[int, float]], threshold: str, share: float
) -> None:
    result = closed((1000, 10, 0))
    result.generator.add("endpoints-0", worker(), late(*lags))
    result.generator.add("writes", worker(), late((100, 500.0)))
    assert judged(result, threshold) == pytest.approx(share, abs=0.003)


def test_lag_that_hits_any_answer_adds_little_to_a_figure_of_answers_that_differ() -> None:
    times = [(10, float(milliseconds), 0.0) for milliseconds in range(1, 101)]
    for lags, threshold, added in (
        ([(95, 0.0), (5, 5.0)], "http p95 < 1s", 0.0),
        ([(99, 0.0), (1, 90.0)], "http p95 < 1s", 0.0),
        ([(80, 0.0), (20, 20.0)], "http p95 < 1s", 4.0 / 95),
        ([(100, 20.0)], "http p95 < 1s", 20.0 / 95),
    ):
        result = closed(*times)
        result.generator.add("endpoints-0", worker(), late(*lags))
        assert judged(result, threshold) == pytest.approx(added, abs=0.012)


@given(
    st.lists(st.integers(1, 500), min_size=20, max_size=100),
    st.lists(st.integers(0, 500), min_size=1, max_size=20),
)
def test_lag_adds_to_a_percentile_at_the_most_the_longest_of_it(
    times: list[int], lags: list[int]
) -> None:
    result = closed(*((1, float(time), 0.0) for time in times))
    result.generator.add("endpoints-0", worker(), late(*((1, float(lag)) for lag in lags)))
    for q in (50, 95):
        value = sorted(times)[ceil(len(times) * q / 100) - 1]
        assert 0.0 <= judged(result, f"http p{q} < 10s") <= max(lags) / value * 1.01 + 0.01


def test_answers_that_waited_to_be_read_count_in_the_closed_model_too() -> None:
    result = closed((995, 10, 0), (5, 10, 900))
    result.generator.add("endpoints-0", worker(), late((99, 0.1), (1, 900.0)))
    assert judged(result, "http p95 < 1s") == 0.0
    assert judged(result, "http max < 1s") == pytest.approx(900 / 910, abs=0.003)


@pytest.mark.parametrize(
    ("thresholds", "share"),
    [(["http p95 < 1s"], 1.0), (["http errors < 1%"], 0.0), (["write audit p95 < 1s"], 0.0)],
)
def test_users_that_are_as_fast_as_the_generator_are_no_measure_of_a_latency(
    thresholds: list[str], share: float
) -> None:
    result = closed((1000, 10, 0))
    answered(result.books.row("operation", "audit.insert"), 100, 10)
    result.generator.add("endpoints-0", worker(cpu=0.97), late((100, 0.1)))
    result.generator.add("writes", worker(), late((100, 0.1)))
    assert judged(result, *thresholds) == share


def test_a_rate_that_takes_all_of_a_core_is_judged_by_its_lag() -> None:
    result = peak((1000, 10, 0))
    result.generator.add("endpoints-0", worker(cpu=0.97), late((100, 0.1)))
    assert judged(result, "http p95 < 1s") == 0.0


@pytest.mark.parametrize(
    ("readings", "cause", "remedy"),
    [
        (
            {"endpoints-0": worker(cpu=0.98)},
            "the generator used 98.00 % of its core: ",
            "start more workers (workers: 2) or lower the load",
        ),
        (
            {"endpoints-0": worker(cpu=0.3), "endpoints-1": worker(cpu=0.98)},
            "the generator used 98.00 % of its core: ",
            "lower the load, or run it where it has more than 2 cores",
        ),
        (
            {"endpoints-0": worker(stall=1.2)},
            "the generator was stopped for 1.20 s: ",
            "something suspended it or its machine: run it where nothing does",
        ),
        (
            {"endpoints-0": worker(waited=2.5, stall=0.2)},
            "the generator waited for a core for 2.50 s of 10.0 s: ",
            "others, the target among them, used the machine's 2 cores: run less beside it, or "
            "lower the load",
        ),
        (
            {"endpoints-0": worker(waited=None, stall=0.2)},
            "the generator was stopped for 200 ms: ",
            "something suspended it or its machine: run it where nothing does",
        ),
        (
            {"endpoints-0": replace(worker(stall=0.2), longest_gc_pause=0.18)},
            "Python's garbage collector stopped the generator for 180 ms: ",
            "start more workers (workers: 2) or lower the load",
        ),
        (
            {"endpoints-0": worker(cpu=0.6, stall=0.02)},
            "the generator's work came in bursts (60.00 % of its core): ",
            "start more workers (workers: 2) or lower the load",
        ),
        # Another load's worker has no part in it.
        (
            {"endpoints-0": worker(stall=1.2), "writes": worker(cpu=0.98)},
            "the generator was stopped for 1.20 s: ",
            "something suspended it or its machine: run it where nothing does",
        ),
    ],
)
def test_the_gravest_evidence_is_told_with_what_helps(
    readings: dict[str, WorkerReading], cause: str, remedy: str
) -> None:
    result = peak((100, 41, 7))
    for name, reading in readings.items():
        result.generator.add(name, reading, Histogram())
    texts = ("http p95 < 1s", "generator distortion < 5%")
    fault = overtaxed(_of(result, *texts), [result])
    assert fault is not None
    what = "http p95 in stage peak was 48.0 ms, 41.0 ms without the generator's lag"
    assert (fault.cause, fault.remedy) == (cause + what, remedy)


def test_of_several_stages_the_one_with_the_most_lag_is_named() -> None:
    quiet = replace(peak((100, 41, 0)), stage=STAGES[1])
    result = peak((100, 41, 7))
    quiet.generator.add("endpoints-0", worker(cpu=0.98), Histogram())
    result.generator.add("endpoints-0", worker(stall=0.3), Histogram())
    texts = ("http p95 < 1s", "generator distortion < 5%")
    fault = overtaxed(_of(result, *texts), [quiet, result])
    assert fault is not None
    assert fault.cause == (
        "the generator was stopped for 300 ms: http p95 in stage peak and 1 more was 48.0 ms, "
        "41.0 ms without the generator's lag"
    )


@pytest.mark.parametrize("limit", ["< 20%", "<= 100%"])
def test_whoever_allows_more_has_it(limit: str) -> None:
    result = peak((100, 41, 7))
    result.generator.add("endpoints-0", worker(), Histogram())
    assert (
        overtaxed(_of(result, "http p95 < 1s", f"generator distortion {limit}"), [result]) is None
    )


def test_any_threshold_on_the_generator_that_does_not_hold_makes_a_run_invalid() -> None:
    result = peak((100, 41, 0))
    result.generator.add("endpoints-0", worker(stall=0.3), Histogram())
    fault = overtaxed(_of(result, "generator stall < 100ms"), [result])
    assert fault is not None
    assert fault.cause == (
        "the generator was stopped for 300 ms in stage peak: generator stall < 100ms does not hold"
    )


def test_of_what_was_not_measured_nothing_is_said() -> None:
    result = peak((100, 41, 0))
    assert overtaxed(_of(result, "generator p99 < 1ms", "generator waiting < 5%"), [result]) is None
    assert overtaxed(_of(result, "generator distortion < 5% in ramp"), [result]) is None


def test_the_worker_that_did_most_is_the_generator_s_figure() -> None:
    result = peak((100, 41, 0))
    result.generator.add("endpoints-0", worker(cpu=0.1, waited=3.0, stall=0.5), Histogram())
    for _ in range(2):
        result.generator.add("writes", worker(cpu=0.4, waited=None), Histogram())
    generator = result.generator
    assert (generator.workers, generator.cpu_share) == (2, pytest.approx(0.4))
    assert generator.cpu_seconds == pytest.approx(9.0)
    assert (generator.waiting_seconds, generator.longest_stall) == (3.0, 0.5)
    assert [use.cpu_share for use in generator.of("writes")] == [pytest.approx(0.4)]
    assert WorkerUse().cpu_share == 0.0
