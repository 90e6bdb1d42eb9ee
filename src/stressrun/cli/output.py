"""Standard output and standard error of the program, whatever they lead to."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper

import click

from stressrun.errors import ExitCode, ScenarioError, StressrunError
from stressrun.safety.escaping import visible
from stressrun.safety.masking import Mask


def open_output() -> None:
    """See that there are streams to write to, and that every character can be written."""
    # Without a standard output (`>&-`) Python has None in its place.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - open until the end
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that cannot show a character shows its code: no reason to end a run.
            stream.reconfigure(errors="backslashreplace")


def say(text: str, *, err: bool = False) -> None:
    """Print a text without secrets, which does nothing to a terminal."""
    click.echo(visible(Mask().text(text)), err=err)


def tell(error: StressrunError) -> ExitCode:
    """Print one line of cause and one of remedy to standard error; the exit code."""
    message = error.message if isinstance(error, ScenarioError) else f"error: {error.message}"
    say(message, err=True)
    if error.hint:
        say(f"remedy: {error.hint}", err=True)
    return error.exit_code


def close_output() -> None:
    """Flush; a reader that has gone (`| head`) is no error."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
