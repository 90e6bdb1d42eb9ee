"""The run as text: told as it happens, readable in a terminal and in a CI log."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from stressrun.metrics.recorder import Row
from stressrun.metrics.summary import summarise
from stressrun.report.comparison import finding_columns, finding_row, others_table
from stressrun.report.database import database_lines
from stressrun.report.failures import failure_lines
from stressrun.report.generator import generator_lines
from stressrun.report.metrics import monitored_lines
from stressrun.report.mocks import mock_lines, recovery_lines
from stressrun.report.notices import warnings
from stressrun.report.output import Output
from stressrun.report.tables import (
    http_lines,
    invariant_lines,
    stage_figures,
    stage_table,
    stage_title,
    summary_table,
    table,
    threshold_lines,
)
from stressrun.report.writes import pool_line, stage_lines, write_lines
from stressrun.run.events import (
    Event,
    InvariantsAsked,
    Kept,
    Note,
    RunFinished,
    RunStarted,
    StageFinished,
    StageStarted,
    Tick,
)
from stressrun.safety.escaping import within_margin
from stressrun.safety.masking import Mask
from stressrun.scenario.model import Scenario
from stressrun.units import format_duration, format_rate
from stressrun.verdict.baseline import Against
from stressrun.verdict.mocks import recoveries


class Console(Output):
    """Writes events to a stream."""

    def __init__(self, stream: TextIO, mask: Mask) -> None:
        super().__init__(stream, mask)
        self._sampled = False
        self._scenario: Scenario | None = None
        self._run_id = ""

    def __call__(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._scenario = event.scenario
                self._run_id = event.run_id
                self._write(f"stressrun {event.scenario.name} · {event.file} · run {event.run_id}")
                for line in warnings(event.scenario):
                    self._write(f"  warning: {line}")
            case Note():
                self._write(within_margin(event.text))
            case Kept():
                self._kept(event)
            case StageStarted():
                self._write(f"\nstage {stage_title(event.stage)}")
            case Tick():
                assert self._scenario is not None
                self._write(f"  {_tick(event, self._scenario)}")
            case StageFinished():
                self._stage_finished(event)
            case InvariantsAsked():
                self._write("")
                for line in invariant_lines(event.answers):
                    self._write(within_margin(line))
            case RunFinished():
                self._run_finished(event)

    def report_written(self, path: Path) -> None:
        """Say where the report is, and what else is in it."""
        super().report_written(path)
        if self._sampled:
            self._write("  it has the requests and answers of the first failures of each kind")

    def _kept(self, event: Kept) -> None:
        self._write("\nkept as it is (--keep):")
        for name, url in event.urls.items():
            # Unmasked: whoever keeps a service wants to look into it.
            self._write_raw(f"  {name}: {url}")
        self._write(f"when you have looked: stressrun clean {event.run_id}")

    def _stage_finished(self, event: StageFinished) -> None:
        assert self._scenario is not None
        result = event.result
        writes = stage_lines(result, self._scenario)
        own = generator_lines(result)
        for line in (stage_figures(result), *own, *http_lines(result), *writes):
            self._write(f"  {line}")
        self._write(f"\n{stage_table(result, self._scenario)}")
        failures = failure_lines(result, self._scenario)
        if failures:
            self._write("\n" + "\n".join(f"  {line}" for line in failures))
        if result.mocks:
            self._write(
                "\n" + "\n".join(f"  {line}" for line in mock_lines(result, self._scenario))
            )
        if result.database is not None:
            seen = database_lines(result.database, self._run_id)
            self._write("\n" + "\n".join(f"  {line}" for line in seen))
        if seen := monitored_lines(result):
            self._write("\n" + "\n".join(f"  {line}" for line in seen))

    def _run_finished(self, event: RunFinished) -> None:
        rows = (row for result in event.stages for row in result.books.rows.values())
        self._sampled = any(row.samples for row in rows)
        if event.stages:
            self._write(f"\nsummary\n\n{summary_table(event.stages)}")
        if recovered := recovery_lines(recoveries(event.stages, event.scenario)):
            self._write("\nrecovery")
            for line in recovered:
                self._write(f"  {line}")
        if event.thresholds:
            self._write("\nthresholds")
            for line in threshold_lines(event.thresholds):
                self._write(f"  {line}")
        broken = [answer for answer in event.invariants if not answer.passed]
        if broken:
            self._write("\ninvariants that did not hold")
            for answer, line in zip(broken, invariant_lines(broken), strict=True):
                self._write(within_margin(f"after {answer.stage}: {line}"))
        if event.baseline is not None:
            self._held_against(event.baseline)
        self._write("")
        if event.partial and event.partial != event.cause:
            self._write(f"partial: {event.partial}")
        for line in event.residue:
            self._write(f"left behind: {within_margin(line).lstrip()}")
        self._write(f"verdict: {event.verdict} (exit code {int(event.exit_code)})")
        if event.cause:
            self._write(f"cause: {event.cause}")
        if event.remedy:
            self._write(f"remedy: {event.remedy}")

    def _held_against(self, against: Against) -> None:
        stored = against.baseline
        self._write(f"\nagainst the baseline {stored.file} (run {stored.run_id})")
        if against.findings:
            figure = against.findings[0].primary.figure
            headers = finding_columns(figure, "then", "now")
            self._write("\n" + table(("", *headers), map(finding_row, against.findings)))
            for finding in against.findings:
                if finding.reason:
                    self._write(f"  {finding.name}: {finding.reason}")
            self._write(f"\nnot judged\n\n{others_table(against.findings)}")
        for reason in against.reasons:
            self._write(f"  inconclusive: {reason}")
        if against.undecided:
            names = ", ".join(finding.name for finding in against.undecided)
            self._write(f"\n  inconclusive: {names}")


def _tick(event: Tick, scenario: Scenario) -> str:
    requests = Row()
    for (kind, _), row in event.books.rows.items():
        if kind == "endpoint":
            requests.merge(row)
    parts = [f"{event.elapsed:6.1f} s"]
    if requests.planned:
        parts.append(f"endpoints {_brief(requests, event.interval)}")
    parts += write_lines(event.books, event.total, event.interval, scenario)
    if event.pool is not None:
        parts.append(pool_line(event.pool))
    return " · ".join(parts)


def _brief(row: Row, interval: float) -> str:
    ended = row.succeeded + row.failed
    p95 = summarise(row.response).p95
    shown = "" if p95 is None else f", p95 {format_duration(p95)}"
    failed = f", {row.failed:,} failed" if row.failed else ""
    return f"{format_rate(ended / interval)}{shown}{failed}"
