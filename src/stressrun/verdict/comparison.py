"""Whether head is slower than base: blocks in pairs, judged row by row.

The unit is the block and not the request, whose neighbours it resembles. Each pair gives the
logarithm of head's figure by base's; over the pairs it is tested exactly, with Holm's correction
over the rows, and regressed is what is both beyond chance and large enough to matter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from statistics import median

from stressrun.metrics.block import Block
from stressrun.metrics.recorder import Recorder, RowKey
from stressrun.units import format_share
from stressrun.verdict.figures import blocks_of, values_needed
from stressrun.verdict.statistics import (
    hodges_lehmann,
    holm,
    interval,
    pairs_needed,
    signed_rank,
)

ALPHA = 0.05
"""How likely a run may call anything regressed, or anything improved, that is not."""

SHOWN = ("mean", "p50", "p95", "p99")
_MOST_FAILURES = 0.2
# So much more of what was planned fails than did before.
_MORE_FAILURES = 0.01

Pairs = Sequence[tuple[Block, Block]]
"""What base and head did in blocks with the same arrivals, two and two."""


@dataclass(frozen=True, slots=True)
class Change:
    """A figure of base and head, their medians over the blocks; None: too few values for it."""

    figure: str
    base: float | None
    head: float | None

    @property
    def ratio(self) -> float | None:
        """How much more it is in head, as a share of base."""
        return self.head / self.base - 1 if self.base and self.head is not None else None


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of an endpoint or an operation; changes are shares of base's figure.

    `verdict` is regressed, improved, unchanged or inconclusive, and `reason` says why where it does
    not follow from the figures. `effect` is the estimate, `low` to `high` what the pairs allow,
    `smallest` the smallest slowdown that they could have shown; None where they say nothing.
    `failed` are the shares of base and head that failed, were dropped or had no answer.
    """

    row: RowKey
    verdict: str
    primary: Change
    others: tuple[Change, ...]
    failed: tuple[float, float]
    pairs: int
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    smallest: float | None = None
    reason: str = ""

    @property
    def name(self) -> str:
        """`endpoint checkout` or `write audit.insert`."""
        kind, name = self.row
        return f"{'write' if kind == 'operation' else kind} {name}"

    @property
    def told(self) -> str:
        """The figure and its change, or why there is none."""
        if self.effect is None or self.low is None or self.high is None:
            return self.reason
        bounds = f"{format_change(self.low)} to {format_change(self.high)}"
        return f"{self.primary.figure} {format_change(self.effect)}, {bounds}"


def format_change(change: float) -> str:
    """A change as a share with its sign: `+12 %`."""
    if math.isinf(change):
        return "∞"
    percent = change * 100
    digits = 1 if abs(percent) < 9.95 else 0
    return f"{percent:+.{digits}f} %".replace("-", "−")


def paired(
    blocks: Sequence[tuple[Mapping[RowKey, Block], Mapping[RowKey, Block]]],
) -> dict[RowKey, Pairs]:
    """The rows that are in blocks of base or head; what one side lacks did nothing."""
    found = dict.fromkeys(key for rows in chain.from_iterable(blocks) for key in rows)
    ordered = sorted(found, key=lambda key: key[0] == "operation")
    return {
        key: [(base.get(key, Block()), head.get(key, Block())) for base, head in blocks]
        for key in ordered
    }


def pooled(blocks: Sequence[tuple[Recorder, Recorder]], figure: str) -> dict[RowKey, Pairs]:
    """The rows of the books of base's and head's blocks, pair by pair.

    Of what is too rare in one block for the figure, several pairs are one.
    """
    figures = (*SHOWN, figure)

    def by(size: int) -> dict[RowKey, Pairs]:
        joined = _joined(blocks, size)
        return paired(
            [(blocks_of(base, figures), blocks_of(head, figures)) for base, head in joined]
        )

    single = by(1)
    sizes = {key: min(len(blocks), _size(pairs, figure)) for key, pairs in single.items()}
    rows = {size: by(size) for size in set(sizes.values())}
    return {key: rows[size][key] for key, size in sizes.items()}


def _size(pairs: Pairs, figure: str) -> int:
    """How many pairs have values enough; as many on both sides, and whatever became of them."""
    typical = median(min(base.planned, head.planned) for base, head in pairs)
    return math.ceil(values_needed(figure) / max(1.0, typical))


def _joined(
    blocks: Sequence[tuple[Recorder, Recorder]], size: int
) -> list[tuple[Recorder, Recorder]]:
    """So many pairs that follow each other as one; the last one may be of more."""
    groups = max(1, len(blocks) // size)
    joined = [(Recorder(), Recorder()) for _ in range(groups)]
    for number, pair in enumerate(blocks):
        for whole, part in zip(joined[min(number // size, groups - 1)], pair, strict=True):
            whole.merge(part)
    return joined


def compare(rows: Mapping[RowKey, Pairs], figure: str, min_effect: float) -> list[Finding]:
    """Judge each row by one primary figure such as p95; the rows stay in their order.

    Slowdowns and speedups smaller than `min_effect`, a share, do not matter. Where more fails in
    head than in base, that is tested instead: what fails is often quick.
    """
    ratios = {key: _ratios(pairs, figure) for key, pairs in rows.items()}
    findings = {key: _measured(key, pairs, figure, len(ratios[key])) for key, pairs in rows.items()}
    # No more are tested than these, so that with `needed` pairs each of their bounds is finite.
    fewest = pairs_needed(1, ALPHA)
    testable = sum(
        _fails_more(finding.failed) or finding.pairs >= fewest for finding in findings.values()
    )
    needed = pairs_needed(testable, ALPHA)
    least = math.log1p(min_effect)
    slower: dict[RowKey, float] = {}
    faster: dict[RowKey, float] = {}
    for key, pairs in rows.items():
        finding = findings[key]
        if _fails_more(finding.failed):
            slower[key] = signed_rank([_share([head]) - _share([base]) for base, head in pairs])
        elif not (_fails_much(finding.failed) or _too_few(finding, len(pairs), needed)):
            slower[key] = signed_rank(ratios[key])
            faster[key] = signed_rank([-one for one in ratios[key]])
    ups, downs = _levels(slower), _levels(faster)
    for key, finding in findings.items():
        if key in faster:
            rejected = slower[key] <= ups[key], faster[key] <= downs[key]
            bounds = interval(ratios[key], ups[key]).low, interval(ratios[key], downs[key]).high
            findings[key] = _judged(finding, ratios[key], rejected, bounds, least)
        elif key in slower:
            findings[key] = _failing(finding, beyond_chance=slower[key] <= ups[key])
        else:
            reason = _failures(finding.failed) or _too_few(finding, len(rows[key]), needed)
            findings[key] = replace(finding, verdict="inconclusive", reason=reason)
    return list(findings.values())


def _levels(p_values: Mapping[RowKey, float]) -> dict[RowKey, float]:
    return dict(zip(p_values, holm(list(p_values.values()), ALPHA), strict=True))


def change_of(pairs: Pairs, figure: str) -> float | None:
    """How much more a figure is in head, as a share of base; None: there are too few values."""
    ratios = _ratios(pairs, figure)
    return math.expm1(hodges_lehmann(ratios)) if ratios else None


def _measured(key: RowKey, pairs: Pairs, figure: str, count: int) -> Finding:
    """What there is to see of a row, whatever it means."""
    base, head = [base for base, _ in pairs], [head for _, head in pairs]
    changes = {
        name: Change(name, _median(base, name), _median(head, name)) for name in (*SHOWN, figure)
    }
    primary = changes.pop(figure)
    return Finding(key, "", primary, tuple(changes.values()), (_share(base), _share(head)), count)


def _judged(
    finding: Finding,
    ratios: list[float],
    rejected: tuple[bool, bool],
    bounds: tuple[float, float],
    least: float,
) -> Finding:
    """The finding with its verdict; `rejected`: that it is no slower, and that it is no faster.

    `bounds` of the effect and what `least` matters are logarithms.
    """
    estimate = hodges_lehmann(ratios)
    low, high = bounds
    if rejected[0] and estimate >= least:
        verdict = "regressed"
    elif rejected[1] and estimate <= -least:
        verdict = "improved"
    else:
        verdict = "unchanged" if high < least else "inconclusive"
    return replace(
        finding,
        verdict=verdict,
        effect=math.expm1(estimate),
        low=math.expm1(low),
        high=math.expm1(high),
        smallest=math.expm1(max(least, estimate - low)),
    )


def _failing(finding: Finding, *, beyond_chance: bool) -> Finding:
    """The finding where more fails in head than in base."""
    told = _failures(finding.failed)
    if beyond_chance:
        return replace(finding, verdict="regressed", reason=told)
    reason = f"{told}, which so few pairs do not tell from chance"
    return replace(finding, verdict="inconclusive", reason=reason)


def _ratios(pairs: Pairs, figure: str) -> list[float]:
    """The logarithms of head by base, of the pairs in which both have the figure."""
    values = ((base.figures.get(figure), head.figures.get(figure)) for base, head in pairs)
    return [math.log(head / base) for base, head in values if base and head]


def _median(blocks: Sequence[Block], figure: str) -> float | None:
    values = [value for block in blocks if (value := block.figures.get(figure)) is not None]
    return median(values) if values else None


def _share(blocks: Sequence[Block]) -> float:
    """How much of what was planned did not succeed."""
    planned = sum(block.planned for block in blocks)
    lost = sum(block.failed + block.dropped + block.unanswered for block in blocks)
    return lost / planned if planned else 0.0


def _fails_more(failed: tuple[float, float]) -> bool:
    return failed[1] > failed[0] + _MORE_FAILURES


def _fails_much(failed: tuple[float, float]) -> bool:
    return max(failed) > _MOST_FAILURES


def _failures(failed: tuple[float, float]) -> str:
    """What there is to say of failures that matter."""
    base, head = map(format_share, failed)
    if _fails_more(failed):
        return f"{head} did not succeed, {base} of base"
    if _fails_much(failed):
        return f"{head} did not succeed, and {base} of base: too many to judge the times of"
    return ""


def _too_few(finding: Finding, blocks: int, needed: int) -> str:
    figure = finding.primary.figure
    if finding.pairs >= needed:
        return ""
    if blocks < needed:
        pairs = f"{blocks} pair{'' if blocks == 1 else 's'} with enough for a {figure}"
        return f"{pairs}, and it takes {needed} to tell"
    return f"a block has too few for a {figure}, which needs {values_needed(figure)}"
