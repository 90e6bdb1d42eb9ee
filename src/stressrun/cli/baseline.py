"""`stressrun baseline`: stored runs that later ones are held against."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import click

from stressrun.cli.output import say
from stressrun.errors import UsageError
from stressrun.metrics.block import Block
from stressrun.report.baseline import (
    baseline_of,
    baseline_text,
    check_replaceable,
    read_baseline,
    read_json,
)
from stressrun.report.files import write_whole
from stressrun.report.tables import table
from stressrun.units import format_duration, format_share
from stressrun.verdict.baseline import Baseline, Slices

_STATE = Path(".stressrun")
_JUDGED = ("passed", "failed")
_FIGURES = ("p50", "p95", "p99")


@click.group()
def baseline() -> None:
    """Stored runs that later ones are held against (`stressrun SCENARIO --baseline FILE`)."""


@baseline.command()
@click.argument("file", type=click.Path(path_type=Path))
def show(file: Path) -> None:
    """Show when, where and of what FILE is."""
    for line in _lines(read_baseline(file)):
        say(line)


@baseline.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("run", metavar="[RUN_ID]", required=False)
def accept(file: Path, run: str | None) -> None:
    """Make a run the baseline FILE.

    It is the latest one that left a report in .stressrun, that of RUN_ID, or that of a report.json
    whose path stands in place of the id.
    """
    check_replaceable(file)
    path = _latest() if run is None else _report(run)
    report = read_json(path, "report", "the folders in .stressrun have the ids of runs")
    text = _accepted(report, path)
    write_whole(file, text)
    say(f"{file}: the baseline is run {report['run']['id']} from now on")
    if report["verdict"] == "failed":
        say(f"  that run failed: {report['cause']}")


def _latest() -> Path:
    # The ids of runs sort by time.
    reports = sorted(_STATE.glob("*/report.json"), key=lambda path: path.parent.name)
    if not reports:
        raise UsageError(
            f"no run has left a report in {_STATE}",
            hint="accept where the run was started, or name its report.json",
        )
    return reports[-1]


def _report(run: str) -> Path:
    """The report of a run's id; or the path of one, which `--report-dir` puts elsewhere."""
    path = Path(run)
    return path if path.suffix == ".json" else _STATE / run / "report.json"


def _accepted(report: Any, path: Path) -> str:
    """The baseline in a report. Raises UsageError where its figures are none to go by."""
    try:
        text = baseline_text(report)
        verdict, cause, partial = report["verdict"], str(report["cause"]), report["partial"]
        baseline_of(json.loads(text), str(path))
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path} is no report of a run that can be a baseline",
            hint="older reports have no slices: run it again, with --save-baseline",
        ) from error
    if verdict not in _JUDGED or partial:
        raise UsageError(
            f"run {report['run']['id']} is no baseline, it is {verdict}: {cause}",
            hint="take one that came to its end: stressrun baseline accept FILE RUN_ID",
        )
    return text


def _lines(stored: Baseline) -> Iterator[str]:
    origin = stored.origin
    postgres = origin.versions.postgresql
    versions = [f"stressrun {origin.versions.stressrun}", f"Python {origin.versions.python}"]
    versions += [f"PostgreSQL {postgres}"] if postgres else []
    yield f"run {stored.run_id} of {origin.scenario.name} ({origin.scenario.hash})"
    yield f"  began {stored.started_at}"
    yield f"  on {origin.machine}"
    yield f"  {', '.join(versions)}"
    for name, slices in stored.stages.items():
        count = "1 slice" if len(slices) == 1 else f"{len(slices)} slices, the medians of them"
        yield from ("", f"stage {name} · {count}", "", _table(slices))


def _table(slices: Slices) -> str:
    keys = dict.fromkeys(key for rows in slices for key in rows)
    rows = ([key[1], *_cells([rows.get(key, Block()) for rows in slices])] for key in keys)
    return table(("", "count", "failed", "dropped", *_FIGURES), rows)


def _cells(blocks: list[Block]) -> Iterator[str]:
    planned = sum(block.planned for block in blocks)
    yield f"{sum(block.count for block in blocks):,}"
    for number in (sum(block.failed for block in blocks), sum(block.dropped for block in blocks)):
        yield format_share(number / planned) if planned else "—"
    for figure in _FIGURES:
        values = [value for block in blocks if (value := block.figures.get(figure)) is not None]
        yield format_duration(median(values)) if values else "—"
