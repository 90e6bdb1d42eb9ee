"""Where `--save-baseline` puts a run that has passed."""

from __future__ import annotations

from pathlib import Path

from stressrun.cli.reports import Wanted
from stressrun.errors import UsageError
from stressrun.report.baseline import baseline_text, check_replaceable
from stressrun.report.document import document
from stressrun.report.files import check_writable, write_whole
from stressrun.report.output import Output
from stressrun.run.events import RunFinished


def check_place(path: Path, wanted: Wanted) -> None:
    """Find out before the run that its baseline has a place. Raises ReportError, UsageError."""
    if any(path.resolve() == other.resolve() for _, other in wanted.files):
        raise UsageError(
            f"--save-baseline: a report is written to {path}", hint="give each its own file"
        )
    check_replaceable(path)
    check_writable(path, "file for --save-baseline")


def save(event: RunFinished, path: Path, output: Output) -> None:
    """Store a run that has passed, and say where, or why not. Raises ReportError."""
    if event.verdict != "passed":
        output.tell(f"baseline: none was saved: the run is {event.verdict}")
        return
    write_whole(path, baseline_text(document(event)))
    output.tell(f"baseline: {path}")
    if event.origin.too_busy:
        output.tell(
            "  nothing can be held against it: others used more than half of the machine's CPU"
        )
