"""`stressrun validate`: check scenario files without running them."""

from __future__ import annotations

import os
from pathlib import Path

import click

from stressrun.cli.options import scenario_options
from stressrun.cli.output import say, tell
from stressrun.errors import ExitCode, ScenarioError
from stressrun.scenario.load import Loaded, check, load
from stressrun.units import format_duration


@click.command()
@click.argument("files", metavar="FILE…", nargs=-1, required=True, type=click.Path(path_type=Path))
@scenario_options
def validate(
    files: tuple[Path, ...],
    environment: str | None,
    sets: tuple[str, ...],
    env_file: Path | None,
) -> None:
    """Check scenario files and all their environments without running anything."""
    wrong = False
    for file in files:
        try:
            if environment is None:
                loaded = check(file, sets=sets, env_file=env_file, environ=os.environ)
            else:
                loaded = load(
                    file, environment=environment, sets=sets, env_file=env_file, environ=os.environ
                )
        except ScenarioError as error:
            wrong = True
            tell(error)
        else:
            say(f"{file}: ok ({_summary(loaded)})")
    if wrong:
        raise click.exceptions.Exit(ExitCode.USAGE)


def _summary(loaded: Loaded) -> str:
    stages = loaded.scenario.stages
    planned = format_duration(sum(stage.duration for stage in stages))
    count = f"{len(stages)} stage{'s' if len(stages) > 1 else ''}"
    return f"{loaded.scenario.name}, {count}, {planned} planned"
