"""`stressrun SCENARIO`: run it, show it, store its report."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import trio

from stressrun.cli import signals
from stressrun.cli.options import scenario_options
from stressrun.cli.reports import OF_RUN, Reports, report_option, wanted_reports
from stressrun.cli.saving import check_place, save
from stressrun.data.suggest import did_you_mean
from stressrun.errors import UsageError
from stressrun.report.baseline import read_baseline
from stressrun.report.console import Console
from stressrun.report.files import check_writable
from stressrun.report.once import OnceConsole
from stressrun.run.controller import Controller, Options
from stressrun.run.events import Event, RunFinished, RunStarted
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
@report_option
@click.option(
    "--save-baseline",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Store the run, if it passes, for later ones to be held against.",
)
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Hold the run against a stored one of the same machine and scenario.",
)
@click.option("--strict", is_flag=True, help="Exit with 4 where --baseline is inconclusive.")
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
    reports: tuple[str, ...],
    save_baseline: Path | None,
    baseline: Path | None,
    strict: bool,
    keep: bool,
    once: bool,
    endpoints: tuple[str, ...],
) -> int:
    """Run SCENARIO: start its services, seed, load, judge, and tear down."""
    if endpoints and not once:
        raise UsageError("--endpoint is for --once alone", hint="add --once")
    if once and (report_dir is not None or reports):
        option = "--report" if report_dir is None else "--report-dir"
        raise UsageError("--once writes no report", hint=f"leave out {option}")
    if once and (save_baseline is not None or baseline is not None):
        raise UsageError("--once has no load to compare", hint="leave out the baseline")
    if strict and baseline is None:
        raise UsageError("--strict is for --baseline alone", hint="add --baseline FILE")
    wanted = wanted_reports(reports, OF_RUN)
    loaded = load(
        scenario, environment=environment, sets=sets, env_file=env_file, environ=os.environ
    )
    if once:
        return _run_once(loaded, Options(scenario, keep=keep, once=_chosen(loaded, endpoints)))
    console = Console(sys.stdout, Mask(loaded.secrets))
    stored = None if baseline is None else read_baseline(baseline)
    options = Options(
        file=scenario,
        report_directory=report_dir,
        keep=keep,
        baseline=stored,
        strict=strict,
    )
    controller = Controller(loaded, options)
    directory = report_dir or controller.directory
    written = Reports(OF_RUN, console, loaded, scenario, directory, wanted, os.environ)
    if report_dir is not None:
        check_writable(report_dir / "report.json", "--report-dir")
    written.check()
    if save_baseline is not None:
        check_place(save_baseline, wanted)

    def reporting(event: Event) -> None:
        if isinstance(event, RunStarted):
            written.begin()
        elif isinstance(event, RunFinished):
            written.write(event, Mask(loaded.secrets))
            if save_baseline is not None:
                with written.noting_errors():
                    save(event, save_baseline, console)

    controller.listeners += [console, reporting, _note_the_end]
    finished = trio.run(controller.run)
    signals.ignore()
    return written.exit_code(finished.exit_code)


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
