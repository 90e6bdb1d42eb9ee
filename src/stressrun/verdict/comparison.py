"""Whether head is slower than base: blocks in pairs, judged row by row.

The unit is the block and not the request, whose neighbours it resembles. Each pair gives the
logarithm of head's figure by base's; over the pairs it is tested exactly, with Holm's correction
over the rows, and regressed is what is both beyond chance and large enough to matter.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from statistics import median

from stressrun.metrics.block import Block
from stressrun.metrics.recorder import RowKey
from stressrun.scenario.figures import quantile_of
from stressrun.units import format_share
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
    `failed` are the shares of base and head that failed or were dropped.
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


def compare(rows: Mapping[RowKey, Pairs], figure: str, min_effect: float) -> list[Finding]:
    """Judge each row by one primary figure such as p95; the rows stay in their order.

    Slowdowns and speedups smaller than `min_effect`, a share, do not matter.
    """
    ratios = {key: _ratios(pairs, figure) for key, pairs in rows.items()}
    testable = sum(len(ratios[key]) == len(pairs) for key, pairs in rows.items())
    needed = pairs_needed(testable, ALPHA)
    findings = {}
    for key, pairs in rows.items():
        finding = _measured(key, pairs, figure, len(ratios[key]))
        reason = _failing(finding.failed) or _too_few(finding, len(pairs), needed)
        if reason:
            verdict = "regressed" if _fails_more(finding.failed) else "inconclusive"
            finding = replace(finding, verdict=verdict, reason=reason)
        findings[key] = finding
    tested = [finding for finding in findings.values() if not finding.reason]
    findings |= {each.row: each for each in _judged(tested, ratios, math.log1p(min_effect))}
    return list(findings.values())


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
    findings: Sequence[Finding], ratios: Mapping[RowKey, list[float]], least: float
) -> Iterator[Finding]:
    """The findings with their verdicts; `least` is the logarithm of what matters."""
    slower = [signed_rank(ratios[finding.row]) for finding in findings]
    faster = [signed_rank([-one for one in ratios[finding.row]]) for finding in findings]
    ups, downs = holm(slower, ALPHA), holm(faster, ALPHA)
    for finding, p_slower, p_faster, up, down in zip(
        findings, slower, faster, ups, downs, strict=True
    ):
        seen = ratios[finding.row]
        estimate = hodges_lehmann(seen)
        low, high = interval(seen, up).low, interval(seen, down).high
        if p_slower <= up and estimate >= least:
            verdict = "regressed"
        elif p_faster <= down and estimate <= -least:
            verdict = "improved"
        else:
            verdict = "unchanged" if high < least else "inconclusive"
        yield replace(
            finding,
            verdict=verdict,
            effect=math.expm1(estimate),
            low=math.expm1(low),
            high=math.expm1(high),
            smallest=math.expm1(max(least, estimate - low)),
        )


def _ratios(pairs: Pairs, figure: str) -> list[float]:
    """The logarithms of head by base, of the pairs in which both have the figure."""
    values = ((base.figures.get(figure), head.figures.get(figure)) for base, head in pairs)
    return [math.log(head / base) for base, head in values if base and head]


def _median(blocks: Sequence[Block], figure: str) -> float | None:
    values = [value for block in blocks if (value := block.figures.get(figure)) is not None]
    return median(values) if values else None


def _share(blocks: Sequence[Block]) -> float:
    """How much of what was planned has failed or was dropped."""
    planned = sum(block.planned for block in blocks)
    return sum(block.failed + block.dropped for block in blocks) / planned if planned else 0.0


def _fails_more(failed: tuple[float, float]) -> bool:
    return failed[1] > failed[0] + _MORE_FAILURES


def _failing(failed: tuple[float, float]) -> str:
    """Why nothing is said of the times: what fails is often quick."""
    base, head = map(format_share, failed)
    if _fails_more(failed):
        return f"{head} failed or were dropped, {base} of base"
    if max(failed) > _MOST_FAILURES:
        return f"{head} failed or were dropped, and {base} of base: too many to judge the times of"
    return ""


def _too_few(finding: Finding, blocks: int, needed: int) -> str:
    figure = finding.primary.figure
    if finding.pairs >= needed:
        return ""
    if blocks < needed:
        return f"{blocks} pair{'' if blocks == 1 else 's'}, and it takes {needed} to tell"
    least = round(1 / (1 - (quantile_of(figure) or 0.0)))
    return f"a block has too few for a {figure}, which needs {least}"
