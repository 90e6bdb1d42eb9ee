"""Findings of a comparison: what is beyond chance and large enough, row by row."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.metrics.block import Block
from stressrun.metrics.recorder import Recorder, RowKey
from stressrun.verdict.comparison import (
    SHOWN,
    Finding,
    Pairs,
    compare,
    format_change,
    paired,
    pooled,
)
from stressrun.verdict.figures import blocks_of

BROWSE: RowKey = ("endpoint", "browse")
NO_MORE = "4 pairs with enough for a p95, and it takes 5 to tell"
OPPOSITE = {
    "regressed": "improved",
    "improved": "regressed",
    "inconclusive": "inconclusive",
    "unchanged": "unchanged",
}


def books(
    milliseconds: float,
    count: int,
    failed: int = 0,
    dropped: int = 0,
    interrupted: int = 0,
    name: str = "browse",
) -> Recorder:
    """Books of one row, in which all take the same time."""
    books = Recorder()
    found = books.row("endpoint", name)
    found.planned = count + failed + dropped + interrupted
    found.dropped, found.interrupted = dropped, interrupted
    nanoseconds = round(milliseconds * 1e6)
    for _ in range(count):
        found.succeed(nanoseconds, nanoseconds, 100, 100)
    for _ in range(failed):
        found.fail("status 503", nanoseconds, nanoseconds, 100, 100)
    return books


def row(
    milliseconds: float, count: int = 40, failed: int = 0, dropped: int = 0, interrupted: int = 0
) -> Block:
    """A block in which all take the same time."""
    all_books = books(milliseconds, count, failed, dropped, interrupted)
    return blocks_of(all_books, SHOWN)[BROWSE]


def pairs_of(ratios: Iterable[float], base: float = 10.0) -> Pairs:
    return [(row(base), row(base * ratio)) for ratio in ratios]


def found(pairs: Pairs, min_effect: float = 0.05) -> Finding:
    (finding,) = compare({BROWSE: pairs}, "p95", min_effect)
    return finding


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        ([1.2, 1.21, 1.19, 1.25, 1.2, 1.18], "regressed"),
        ([0.8, 0.81, 0.82, 0.79, 0.75, 0.8], "improved"),
        ([1.0, 1.01, 0.99, 1.005, 0.995, 1.002], "unchanged"),
        # Beyond chance, and too little to matter.
        ([1.02, 1.021, 1.019, 1.025, 1.02, 1.018], "unchanged"),
        # Large, and not beyond chance.
        ([1.3, 1.5, 0.9, 1.4, 0.8, 1.2], "inconclusive"),
        ([1.0] * 6, "unchanged"),
    ],
)
def test_regressed_is_what_is_beyond_chance_and_matters(ratios: list[float], verdict: str) -> None:
    assert found(pairs_of(ratios)).verdict == verdict


def test_a_finding_says_how_much_and_what_it_could_have_seen() -> None:
    finding = found(pairs_of([1.2, 1.21, 1.19, 1.25, 1.2, 1.18]))
    assert finding.primary.base == pytest.approx(0.010, rel=1e-3)
    assert finding.primary.ratio == pytest.approx(0.2, rel=0.01)
    assert finding.effect == pytest.approx(0.2, rel=0.05)
    assert finding.low is not None
    assert finding.high is not None
    assert 0.17 < finding.low < 0.2 < finding.high < 0.26
    assert finding.smallest == pytest.approx(0.05)
    assert finding.told == "p95 +20 %, +19 % to +22 %"
    assert finding.name == "endpoint browse"


def test_too_few_pairs_tell_nothing() -> None:
    finding = found(pairs_of([2.0] * 4))
    assert (finding.verdict, finding.reason) == ("inconclusive", NO_MORE)


def test_too_few_requests_tell_nothing() -> None:
    finding = found([(row(10, count=12), row(30, count=12))] * 8)
    assert finding.verdict == "inconclusive"
    assert finding.reason == "a block has too few for a p95, which needs 20"


@given(st.integers(1, 60), st.integers(1, 12))
def test_of_what_is_rare_several_pairs_are_one(count: int, blocks: int) -> None:
    pairs = pooled([(books(10, count), books(20, count))] * blocks, "p95")[BROWSE]
    size = min(blocks, math.ceil(20 / count))
    assert len(pairs) == blocks // size
    # None of them is lost.
    assert sum(base.count for base, _ in pairs) == count * blocks
    enough = count * blocks >= 20
    assert all((base.figures["p95"] is not None) is enough for base, _ in pairs)


def test_each_row_has_as_many_pairs_as_it_can_have() -> None:
    both = books(10, 40)
    both.merge(books(10, 10, name="list"))
    rows = pooled([(both, both)] * 6, "p95")
    assert {name: len(pairs) for (_, name), pairs in rows.items()} == {"browse": 6, "list": 3}
    assert {len(pairs) for pairs in pooled([(both, both)] * 6, "p50").values()} == {6}


@pytest.mark.parametrize(
    ("base", "head", "verdict", "reason"),
    [
        (row(10), row(1, failed=2), "regressed", "4.76 % did not succeed, 0 % of base"),
        (row(10), row(10, dropped=10), "regressed", "20.00 % did not succeed, 0 % of base"),
        (row(10), row(10, interrupted=10), "regressed", "20.00 % did not succeed, 0 % of base"),
        (row(10), row(10, count=0, interrupted=40), "regressed", "100 % did not succeed"),
        (row(10, failed=20), row(2, failed=20), "inconclusive", "too many to judge the times of"),
        (row(10, failed=20), row(10), "inconclusive", "too many to judge the times of"),
        (row(10, failed=1), row(10, failed=1), "unchanged", ""),
    ],
)
def test_what_fails_is_not_fast(base: Block, head: Block, verdict: str, reason: str) -> None:
    finding = found([(base, head)] * 6)
    assert finding.verdict == verdict
    assert reason in finding.reason


def test_failures_by_chance_are_no_regression() -> None:
    generator = random.Random(7)

    def block() -> Block:
        failed = sum(generator.random() < 0.02 for _ in range(60))
        return row(10, count=60 - failed, failed=failed)

    def findings() -> list[Finding]:
        rows: dict[RowKey, Pairs] = {
            ("endpoint", f"e{number}"): [(block(), block()) for _ in range(8)]
            for number in range(3)
        }
        return compare(rows, "p95", 0.05)

    assert count("regressed", findings, times=60) <= 3


def test_of_many_rows_each_has_to_be_the_surer() -> None:
    ratios = [1.2, 1.21, 1.19, 1.25, 1.2, 1.18]
    rows: dict[RowKey, Pairs] = {("endpoint", f"e{n}"): pairs_of([1.0] * 6) for n in range(7)}
    assert {f.verdict for f in compare(rows, "p95", 0.05)} == {"inconclusive"}
    rows = dict(list(rows.items())[:2]) | {BROWSE: pairs_of(ratios)}
    assert [f.verdict for f in compare(rows, "p95", 0.05)] == ["unchanged"] * 2 + ["regressed"]


@given(st.lists(st.floats(0.5, 2), min_size=5, max_size=10))
def test_the_other_way_round_it_is_the_opposite(ratios: list[float]) -> None:
    there = found(pairs_of(ratios))
    back = found([(head, base) for base, head in pairs_of(ratios)])
    if {there.verdict, back.verdict} <= {"regressed", "improved"}:
        assert back.verdict == OPPOSITE[there.verdict]
    assert ("regressed" in (there.verdict, back.verdict)) == (
        "improved" in (there.verdict, back.verdict)
    )
    assert there.effect is not None
    assert back.effect is not None
    assert math.log1p(there.effect) == pytest.approx(-math.log1p(back.effect), abs=0.01)


def simulated(generator: random.Random, effect: float, spread: float) -> list[Finding]:
    """Three endpoints, of which the first has an effect, over eight pairs that drift."""
    rows: dict[RowKey, Pairs] = {}
    for number in range(3):
        ratios = [
            (effect if number == 0 else 1.0) * math.exp(generator.gauss(0, spread))
            for _ in range(8)
        ]
        rows["endpoint", f"e{number}"] = pairs_of(ratios, base=10)
    return compare(rows, "p95", 0.05)


def count(verdict: str, findings: Callable[[], list[Finding]], times: int = 200) -> int:
    return sum(any(f.verdict == verdict for f in findings()) for _ in range(times))


def test_of_two_hundred_without_a_change_few_are_called_regressed() -> None:
    generator = random.Random(3)
    assert count("regressed", lambda: simulated(generator, 1.0, spread=0.2)) <= 10


def test_of_two_hundred_with_a_fifth_more_most_are_found_on_the_right_endpoint() -> None:
    generator = random.Random(4)
    seen = [simulated(generator, 1.2, spread=0.09) for _ in range(200)]
    assert sum(findings[0].verdict == "regressed" for findings in seen) >= 190
    assert sum(f.verdict == "regressed" for findings in seen for f in findings[1:]) <= 10


def test_rows_are_paired_by_name_and_what_one_side_lacks_is_empty() -> None:
    base, head = Recorder(), Recorder()
    base.row("operation", "w.insert").planned = 1
    base.row("endpoint", "gone").planned = 1
    base.row("step", "e: GET /").planned = 1
    head.row("endpoint", "new").planned = 1
    rows = paired([(blocks_of(base, SHOWN), blocks_of(head, SHOWN))])
    assert list(rows) == [("endpoint", "gone"), ("endpoint", "new"), ("operation", "w.insert")]
    assert [(b.planned, h.planned) for ((b, h),) in rows.values()] == [(1, 0), (0, 1), (1, 0)]
    assert compare(rows, "p95", 0.05)[0].verdict == "inconclusive"


@pytest.mark.parametrize(
    ("change", "shown"),
    [(0.2, "+20 %"), (-0.031, "−3.1 %"), (0, "+0.0 %"), (9.5, "+950 %"), (math.inf, "∞")],
)
def test_a_change_has_its_sign(change: float, shown: str) -> None:
    assert format_change(change) == shown
