import pytest

from stressrun.load.stage import StageResult, WorkerUse
from stressrun.metrics.mock_calls import MockCalls
from stressrun.verdict.generator import limited, own_fault
from verdict_samples import STAGES


def result(stage: int, errors: dict[str, int]) -> StageResult:
    found = StageResult(STAGES[stage], stage, elapsed=10)
    found.books.row("endpoint", "browse").errors.update(errors)
    return found


@pytest.mark.parametrize(
    ("stage", "errors", "cause"),
    [
        (2, {}, None),
        (2, {"refused": 9}, None),
        (0, {"generator: out of local ports": 9}, None),
        (
            2,
            {"refused": 9, "generator: out of local ports": 1_000},
            "the generator was out of local ports in stage peak (1,000 times)",
        ),
        (
            1,
            {"generator: out of local ports": 1, "generator: out of file descriptors": 2},
            "the generator was out of file descriptors in stage ramp (2 times)",
        ),
    ],
)
def test_what_the_generator_could_not_do_in_a_judged_stage_is_its_own_fault(
    stage: int, errors: dict[str, int], cause: str | None
) -> None:
    fault = own_fault([result(stage, errors)])
    assert (fault and fault.cause) == cause
    assert fault is None or fault.remedy


@pytest.mark.parametrize(
    ("shares", "is_limited"),
    [([], False), ([0.5, 0.97, 0.4], False), ([0.95, 0.97, 0.4], True), ([0.97], True)],
)
def test_blocks_at_the_generators_limit_say_nothing_of_the_target(
    shares: list[float], is_limited: bool
) -> None:
    blocks = [result(2, {}) for _ in shares]
    for block, share in zip(blocks, shares, strict=True):
        block.generator.uses["endpoints-0"] = WorkerUse(cpu_seconds=share, wall_seconds=1.0)
    fault = limited(blocks)
    assert (fault is not None) == is_limited
    if fault is not None:
        assert fault.cause.startswith("the generator used 9")


@pytest.mark.parametrize(
    ("shares", "is_limited"),
    [([0.5, 0.97, 0.4], False), ([0.95, 0.97, 0.4], True), ([0.97], True)],
)
def test_blocks_at_a_mocks_limit_say_nothing_of_the_target(
    shares: list[float], is_limited: bool
) -> None:
    blocks = [result(2, {}) for _ in shares]
    for block, share in zip(blocks, shares, strict=True):
        block.mocks["calm"] = MockCalls(cpu_seconds=0.1, seconds=1.0)
        block.mocks["pay"] = MockCalls(cpu_seconds=share, seconds=1.0)
    fault = limited(blocks)
    assert (fault is not None) == is_limited
    if fault is not None:
        assert fault.cause.startswith("the mock pay used 9")
