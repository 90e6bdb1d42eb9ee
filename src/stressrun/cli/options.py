"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def scenario_options(command: F) -> F:
    """What changes a scenario before it is checked: overlay, single values, variables."""
    for option in reversed(
        (
            click.option("-e", "--environment", help="Apply this overlay of `environments:`."),
            click.option(
                "--set",
                "sets",
                multiple=True,
                metavar="PATH=VALUE",
                help="Override a value, as in --set stages.peak.duration=5s. Repeatable.",
            ),
            click.option(
                "--env-file",
                type=click.Path(dir_okay=False, path_type=Path),
                help="Read variables from this file after the environment.",
            ),
        )
    ):
        command = option(command)
    return command
