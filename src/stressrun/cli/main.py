"""The command line: `stressrun SCENARIO` runs it; the other words are commands."""

from __future__ import annotations

import errno
import sys
import traceback
from importlib import import_module
from pathlib import Path

import click

from stressrun import __version__
from stressrun.cli import signals
from stressrun.cli.output import close_output, open_output, say, tell
from stressrun.errors import ExitCode, ReportError, StressrunError

# Each command is imported when it is called, so that `--version` and `validate` are quick.
_COMMANDS = {
    "run": "Run a scenario (the word `run` may be left out).",
    "validate": "Check scenario files without running them.",
    "plan": "Show a scenario as it would run.",
    "compare": "Compare the working tree with a commit, under a scenario's load.",
    "baseline": "Show a stored run, or make one that was done the baseline.",
    "schema": "Print the JSON Schema of scenario files.",
    "sentinel": "Mark a database as one that may be put under load.",
    "clean": "Remove what a killed or kept run left behind.",
}


class _Commands(click.Group):
    """Loads commands by name; what is no command is a scenario to run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"stressrun.cli.{cmd_name}"), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in _COMMANDS:
            args = ["run", *args]
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "ignore_unknown_options": True},
    options_metavar="",
    subcommand_metavar="SCENARIO | COMMAND …",
)
@click.version_option(__version__, message="stressrun %(version)s")
def stressrun() -> None:
    """Stress-test a REST API and its PostgreSQL database before merge.

    `stressrun SCENARIO` runs a scenario file; `stressrun run --help` shows its options.
    """


def main() -> None:
    """Run the command line and exit with the code of DESIGN's table."""
    signals.install()
    open_output()
    try:
        code = stressrun.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = ExitCode.USAGE
    except StressrunError as error:
        code = tell(error)
    except BrokenPipeError:
        code = ExitCode.PASSED
    except OSError as error:
        if error.errno != errno.ENOSPC:
            code = _tell_defect(error)
        else:
            code = tell(ReportError(f"the output could not be written: {error.strerror}"))
    except Exception as error:
        code = _tell_defect(error)
    close_output()
    sys.exit(int(code or 0))


def _tell_defect(error: BaseException) -> ExitCode:
    path = Path(".stressrun") / "defect.log"
    text = traceback.format_exc()
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        where = str(path)
    except OSError:
        click.echo(text, err=True)
        where = "above"
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    say(f"error: a defect of stressrun: {type(error).__name__}: {error}", err=True)
    click.echo(f"remedy: please report it with the traceback ({where})", err=True)
    return ExitCode.DEFECT


if __name__ == "__main__":
    main()
