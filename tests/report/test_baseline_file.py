"""Baselines as files: what is written is read again, and nonsense is told as such."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseline_samples import BROWSE, ELSEWHERE, INSERT, SLOWER, held, judged, stored
from report_samples import concluded, finished
from stressrun.errors import UsageError
from stressrun.load.stage import StageResult
from stressrun.metrics.block import Block
from stressrun.metrics.recorder import RowKey
from stressrun.report.baseline import baseline_of, baseline_text, read_baseline
from stressrun.report.console import Console
from stressrun.report.document import document
from stressrun.safety.masking import Mask
from stressrun.verdict.baseline import Baseline
from verdict_samples import ORIGIN, STAGES, fill

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "schema" / "report.schema.json").read_text())
KEYS: list[RowKey] = [BROWSE, ("endpoint", "checkout"), INSERT]

figures = st.none() | st.just(0.0) | st.floats(1e-9, 1e6)
counts = st.integers(0, 1000)
blocks = st.builds(
    Block,
    counts,
    counts,
    counts,
    counts,
    st.fixed_dictionaries(dict.fromkeys(("mean", "p50", "p95", "p99"), figures)),
)
sliced = st.lists(st.dictionaries(st.sampled_from(KEYS), blocks, min_size=1), max_size=9)


def ran(slices: list[dict[RowKey, Block]]) -> StageResult:
    """A stage with these slices, all of whose rows have done something."""
    result = StageResult(STAGES[2], 2, elapsed=10.0, slices=list(slices))
    for key in KEYS:
        fill(result.books.row(*key), 1, 10)
    return result


def text_of(slices: list[dict[RowKey, Block]]) -> str:
    return baseline_text(document(finished(stages=[ran(slices)], thresholds=())))


VALID = text_of([{BROWSE: Block(1, 0, 0, 1, {"p95": 0.01})}])


@given(sliced)
def test_what_is_written_is_read_again(slices: list[dict[RowKey, Block]]) -> None:
    text = text_of(slices)
    read = baseline_of(json.loads(text), "f")
    assert read.origin == ORIGIN
    assert (read.run_id, read.started_at) == ("r1", "2026-01-02T03:04:05+00:00")
    (found,) = read.stages.values()
    assert [{key: block for key, block in rows.items() if block != Block()} for rows in found] == [
        {key: block for key, block in rows.items() if block != Block()} for rows in slices
    ]
    assert text.endswith("}\n")
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


@given(sliced, sliced)
def test_whatever_the_figures_are_a_run_is_judged_by_them_and_reported(
    then: list[dict[RowKey, Block]], now: list[dict[RowKey, Block]]
) -> None:
    baseline = baseline_of(json.loads(text_of(then)), "f")
    against = held(baseline, [ran(now)])
    event = finished(stages=[ran(now)], thresholds=(), baseline=against)
    report = json.loads(json.dumps(document(event), allow_nan=False))
    jsonschema.validate(report, SCHEMA)
    assert report["baseline"]["verdict"] in ("regressed", "inconclusive", "passed")
    Console(io.StringIO(), Mask([]))(event)
    assert any(case.kind == "baseline" for case in concluded(event).cases)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


def read_or_told(read: Callable[[], Baseline]) -> None:
    try:
        baseline = read()
    except UsageError as told:
        error = told
    else:
        held(baseline, judged(0.01))
        return
    assert error.message
    assert error.hint


@given(json_values)
def test_nonsense_is_told(value: Any) -> None:
    with pytest.raises(UsageError, match=r"is no baseline|has version"):
        baseline_of(value, "f")


@given(st.data())
def test_a_part_that_is_wrong_is_told_or_does_no_harm(data: st.DataObject) -> None:
    document = json.loads(VALID)
    place: Any = document
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        child = place[key]
        if not isinstance(child, dict | list) or not child or data.draw(st.booleans()):
            break
        place = child
    place[key] = data.draw(json_values)
    read_or_told(lambda: baseline_of(document, "f"))


@given(st.binary(max_size=50), st.integers(0, len(VALID)))
def test_a_file_that_is_damaged_is_told_or_does_no_harm(
    tmp_path_factory: pytest.TempPathFactory, inserted: bytes, at: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.json"
    path.write_bytes(VALID.encode()[:at] + inserted + VALID.encode()[at + len(inserted) :])
    read_or_told(lambda: read_baseline(path))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "cannot be read: Expecting value"),
        (b"{", "cannot be read: Expecting"),
        (b"\xff", "cannot be read: 'utf-8' codec"),
        (b"[" * 200_000, "cannot be read: "),
        (b"[NaN]", "NaN is no number of JSON"),
        (b"[1e999]", "1e999 is too large a number"),
        (b'{"baseline_version": 2}', "has version 2, and this stressrun reads 1"),
        (b'{"report_version": 1}', "is no baseline: "),
        (VALID.replace("0.01", "1e300").encode(), "is no baseline: stages/0/rows/0/slices/0/"),
        (VALID.replace("Some CPU", "\\u001b[31m").encode(), "is no baseline: machine/cpu: "),
        (VALID.replace('"cores": 2', '"cores": "2"').encode(), "is no baseline: machine/cores: "),
    ],
)
def test_what_is_wrong_with_a_file_is_told(content: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    path.write_bytes(content)
    with pytest.raises(UsageError) as raised:
        read_baseline(path)
    assert told in raised.value.message
    assert str(path) in raised.value.message


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, told in (("none", "there is no baseline"), ("pipe", "no file"), (".", "no file")):
        with pytest.raises(UsageError, match=told):
            read_baseline(tmp_path / name)


def test_reports_tell_what_came_of_each_endpoint_or_why_nothing_did() -> None:
    cases = concluded(finished("http errors < 1%", baseline=SLOWER)).cases[1:]
    (case,) = cases
    assert (case.kind, case.name, case.outcome) == ("baseline", "endpoint browse", "failed")
    assert case.told == "regressed: p95 +43 %, +41 % to +45 %, from 10.0 ms to 14.4 ms"
    assert case.where is not None, "it is on the line of its endpoint"
    (case,) = concluded(finished("http errors < 1%", baseline=ELSEWHERE)).cases[1:]
    assert (case.name, case.outcome) == ("base.json", "skipped")
    assert case.told == (
        "inconclusive: it was measured on another machine: a; this one has b; more"
    )


def test_the_console_says_aloud_what_is_inconclusive() -> None:
    stream = io.StringIO()
    console = Console(stream, Mask([]))
    console(finished(baseline=ELSEWHERE))
    assert "\nagainst the baseline base.json (run r0)\n" in stream.getvalue()
    assert "\n  inconclusive: it was measured on another machine: a;" in stream.getvalue()
    assert "\n  inconclusive: more\n" in stream.getvalue()
    few = held(stored(), judged(0.01, 0.01))
    console(replace(finished(), baseline=few))
    assert (
        "  endpoint browse: 2 pairs with enough for a p95, and it takes 5 to tell\n"
        in stream.getvalue()
    )
    assert "\n  inconclusive: endpoint browse\n" in stream.getvalue()
