"""`stressrun SCENARIO`: run it, show it, store its report."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import trio

from stressrun.cli import signals
from stressrun.cli.options import scenario_options
from stressrun.cli.output import tell
from stressrun.data.suggest import did_you_mean
from stressrun.errors import ExitCode, ReportError, UsageError
from stressrun.report.console import Console
from stressrun.report.document import write_report
from stressrun.report.once import OnceConsole
from stressrun.run.controller import Controller, Options
from stressrun.run.events import Event, RunFinished
from stressrun.safety.masking import Mask
from stressrun.scenario.load import Loaded, load


@click.command()
@click.argument("scenario", type=click.Path(path_type=Path))
@scenario_options
@click.option(
    "--report-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Put report.json here instead of .stressrun/RUN_ID.",
)
@click.option("--keep", is_flag=True, help="Leave services and data as they are at the end.")
@click.option(
    "--once",
    is_flag=True,
    help="Do each endpoint one time, without load, and show all that is sent and received.",
)
@click.option(
    "--endpoint",
    "endpoints",
    multiple=True,
    metavar="NAME",
    help="With --once, do only this endpoint. Repeatable.",
)
def run(
    scenario: Path,
    environment: str | None,
    sets: tuple[str, ...],
    env_file: Path | None,
    report_dir: Path | None,
    keep: bool,
    once: bool,
    endpoints: tuple[str, ...],
) -> int:
    """Run SCENARIO: start its services, seed, load, judge, and tear down."""
    if endpoints and not once:
        raise UsageError("--endpoint is for --once alone", hint="add --once")
    if once and report_dir is not None:
        raise UsageError("--once writes no report", hint="leave out --report-dir")
    loaded = load(
        scenario, environment=environment, sets=sets, env_file=env_file, environ=os.environ
    )
    if once:
        return _run_once(loaded, Options(scenario, keep=keep, once=_chosen(loaded, endpoints)))
    if report_dir is not None:
        _check_writable(report_dir)
    console = Console(sys.stdout, Mask(loaded.secrets))
    options = Options(file=scenario, report_directory=report_dir, keep=keep)
    controller = Controller(loaded, options)
    report = _Report(report_dir or controller.directory, console)
    controller.listeners += [console, report]
    finished = trio.run(controller.run)
    signals.ignore()
    if report.error is not None:
        code = tell(report.error)
        return int(code if finished.exit_code in _LESS_GRAVE else finished.exit_code)
    return int(finished.exit_code)


def _run_once(loaded: Loaded, options: Options) -> int:
    controller = Controller(loaded, options)
    controller.listeners += [OnceConsole(sys.stdout, Mask(loaded.secrets)), _note_the_end]
    finished = trio.run(controller.run)
    signals.ignore()
    return int(finished.exit_code)


def _chosen(loaded: Loaded, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The endpoints to do, all where none is wanted. Raises UsageError for one there is not."""
    names = [endpoint.name for endpoint in loaded.scenario.endpoints]
    if not names:
        raise UsageError(
            "the scenario has no endpoints, and --once does nothing else",
            hint="run it without --once",
        )
    for name in wanted:
        if name not in names:
            hint = did_you_mean(name, names) or f"one of {', '.join(names)}"
            raise UsageError(f"no endpoint is named {name!r}", hint=hint)
    return wanted or tuple(names)


def _note_the_end(event: Event) -> None:
    if isinstance(event, RunFinished):
        signals.run_is_over()


def _check_writable(directory: Path) -> None:
    """Find out before the run that its report will have a place. Raises ReportError."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        writable = os.access(directory, os.W_OK | os.X_OK)
    except OSError:
        writable = False
    if not writable:
        raise ReportError(
            f"no report can be written to {directory}", hint="choose another --report-dir"
        )


_LESS_GRAVE = (ExitCode.PASSED, ExitCode.FAILED, ExitCode.INVALID)


class _Report:
    """Writes the report at the end of the run."""

    def __init__(self, directory: Path, console: Console) -> None:
        self._directory = directory
        self._console = console
        self.error: ReportError | None = None

    def __call__(self, event: Event) -> None:
        if not isinstance(event, RunFinished):
            return
        try:
            self._console.report_written(write_report(event, self._directory))
        except ReportError as error:
            self.error = error
        signals.run_is_over()
