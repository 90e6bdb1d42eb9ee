"""`stressrun compare`: whether it was this change."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import click
import trio

from stressrun.cli import signals
from stressrun.cli.options import scenario_options
from stressrun.cli.reports import OF_COMPARISON, Reports, report_option, wanted_reports
from stressrun.compare.comparison import Base, Comparison, Options
from stressrun.compare.worktree import Repository
from stressrun.errors import UsageError
from stressrun.report.comparison import comparison_lines
from stressrun.report.notices import warnings
from stressrun.report.output import Output
from stressrun.run.events import ComparisonFinished
from stressrun.safety.masking import Mask
from stressrun.scenario.load import Loaded, load
from stressrun.units import parse_duration


@click.command()
@click.argument("file", metavar="SCENARIO", type=click.Path(path_type=Path))
@scenario_options
@click.option(
    "--against",
    metavar="REF",
    help="The commit to compare the working tree with (default: where it left the main branch).",
)
@click.option(
    "--base-env",
    multiple=True,
    metavar="NAME=VALUE",
    help="A variable for base. Repeatable; without --against both sides are the working tree.",
)
@click.option(
    "--candidate-env",
    multiple=True,
    metavar="NAME=VALUE",
    help="A variable for head. Repeatable; without --against both sides are the working tree.",
)
@click.option("--pairs", type=click.IntRange(1, 100), help="How many pairs of blocks.")
@click.option("--budget", metavar="TIME", help="How long it may take, such as 5m.")
@click.option("--isolate", is_flag=True, help="Compare one endpoint after the other.")
@click.option("--strict", is_flag=True, help="Exit with 4 where it is inconclusive.")
@report_option
def compare(
    file: Path,
    environment: str | None,
    sets: tuple[str, ...],
    env_file: Path | None,
    against: str | None,
    base_env: tuple[str, ...],
    candidate_env: tuple[str, ...],
    pairs: int | None,
    budget: str | None,
    isolate: bool,
    strict: bool,
    reports: tuple[str, ...],
) -> int:
    """Compare the working tree with a commit, under the load of SCENARIO."""
    wanted = wanted_reports(reports, OF_COMPARISON)

    def load_with(path: Path, variables: Mapping[str, str]) -> Loaded:
        environ = {**os.environ, **variables}
        return load(path, environment=environment, sets=sets, env_file=env_file, environ=environ)

    environments = (
        _variables("--base-env", base_env),
        _variables("--candidate-env", candidate_env),
    )
    head = load_with(file, environments[1])
    options = Options(
        file=file,
        base=_base(against, configured=any(environments)),
        load=load_with,
        environments=environments,
        pairs=pairs,
        budget=None if budget is None else _seconds(budget),
        isolated=isolate,
        strict=strict,
    )
    output = Output(sys.stdout, Mask(head.secrets))
    comparison = Comparison(head, options, lambda text: output.tell(f"  {text}"))
    written = Reports(OF_COMPARISON, output, head, file, comparison.directory, wanted, os.environ)
    written.check()
    output.tell(
        f"stressrun compare {head.scenario.name} · {file} · base: {options.base.label} · "
        f"run {comparison.run_id}"
    )
    for line in warnings(head.scenario):
        output.tell(f"  warning: {line}")
    written.begin()

    def reporting(event: ComparisonFinished) -> None:
        output.tell(*map(comparison.mask.text, comparison_lines(event)))
        written.write(event, comparison.mask)
        signals.run_is_over()

    finished = trio.run(comparison.run, reporting)
    signals.ignore()
    return written.exit_code(finished.exit_code)


def _base(against: str | None, *, configured: bool) -> Base:
    if against is None and configured:
        return Base("the working tree, with its own variables")
    repository = Repository.of(Path.cwd())
    if against is None:
        commit, branch = repository.merge_base()
        label = f"{commit[:9]}, where it left {branch}"
    else:
        commit = repository.commit(against)
        label = f"{commit[:9]}, {against}"
    if repository.is_same(commit):
        label += "; nothing has changed since"
    return Base(label, repository, commit)


def _variables(option: str, assignments: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not name or not equals:
            raise UsageError(
                f"{option} takes NAME=VALUE, not {assignment!r}", hint=f"such as {option} WORKERS=4"
            )
        found[name] = value
    return found


def _seconds(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--budget: {error}", hint="such as --budget 5m") from None
    if not seconds:
        raise UsageError("--budget is above 0", hint="such as --budget 5m")
    return seconds
