import pytest

from stressrun.verdict.thresholds import evaluate
from verdict_samples import results, scenario


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
    ],
)
def test_a_threshold_is_held_against_what_it_looks_at(
    text: str, value: float | None, passed: bool
) -> None:
    (evaluation,) = evaluate(scenario(text), results())
    assert evaluation.value == (None if value is None else pytest.approx(value, rel=0.001))
    assert evaluation.passed is passed


def test_no_data_fails() -> None:
    (evaluation,) = evaluate(scenario("http p95 < 1s"), [])
    assert (evaluation.value, evaluation.passed) == (None, False)
