import pytest

from stressrun.load.stage import StageResult
from stressrun.verdict.generator import own_fault
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
