"""What did not succeed in a stage, as lines for the console."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from stressrun.load.stage import StageResult
from stressrun.metrics.recorder import Recorder, Row, RowKey, Sample
from stressrun.report.tables import counts_requests, ordered
from stressrun.scenario.model import Scenario

_KINDS = 5
_LONGEST = 100


def failure_lines(result: StageResult, scenario: Scenario) -> list[str]:
    """Failures by kind, the most frequent first, each with what the first of it was.

    `checkout: POST /carts: 12 × status 503`, and below it `first: {"detail":"sold out"}`. Of an
    endpoint with several steps only what failed outside of them.
    """
    books = result.books
    lines: list[str] = []
    for key in ordered(scenario, books):
        kind, name = key
        row = books.rows[key]
        whole = counts_requests(key, scenario) or kind == "operation"
        lines += _errors(name, row, Counter(row.errors) if whole else _outside_steps(key, books))
        if kind in ("endpoint", "operation"):
            lines += [
                f"{name}: {count:,} × {outcome}"
                for outcome in ("dropped", "interrupted", "unknown")
                if (count := getattr(row, outcome))
            ]
    return lines


def _outside_steps(endpoint: RowKey, books: Recorder) -> Counter[str]:
    """The failures of iterations for which no step failed: a login, or no row of a feeder."""
    errors = Counter(books.rows[endpoint].errors)
    for (kind, name), row in books.rows.items():
        if kind == "step" and name.partition(": ")[0] == endpoint[1]:
            errors -= Counter(row.errors)
    return errors


def _errors(name: str, row: Row, errors: Counter[str]) -> Iterator[str]:
    by_count = sorted(errors.items(), key=lambda item: (-item[1], item[0]))
    for error, count in by_count[:_KINDS]:
        yield f"{name}: {count:,} × {error}"
        samples = row.samples.get(error)
        if samples and (shown := _in_a_line(samples[0])):
            yield f"  first: {shown}"
    others = by_count[_KINDS:]
    if others:
        total = sum(count for _, count in others)
        yield f"{name}: {total:,} × {len(others)} more kinds"


def _in_a_line(sample: Sample) -> str:
    """What a failure's kind does not say: its detail, else the beginning of the answer's body."""
    told = sample.detail if sample.detail != sample.error else ""
    text = " ".join((told or sample.answer.partition("\n\n")[2]).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
