"""A command that has to end well before the load begins, such as migrations."""

from __future__ import annotations

import shlex
import signal

import trio

from stressrun.errors import SetupError
from stressrun.metrics.excerpt import on_one_line
from stressrun.scenario.model import CommandSeeding
from stressrun.services.launching import Launcher, runnable
from stressrun.services.process import ServiceProcess, describe_status
from stressrun.units import format_duration

_STOP_SIGNALS = (signal.SIGTERM,)
_POLL = 0.1
_MOST_OUTPUT = 100_000_000
_SHOWN = 100


async def run_to_end(
    name: str, step: CommandSeeding, launcher: Launcher, label: str = "seeding command"
) -> None:
    """Run a command; all that it has started ends with it.

    Its log has the name, and messages call it by its label. Raises SetupError, with the last lines
    of its output, when it cannot be started, fails, takes longer than it may or writes without end.
    Call it on the main thread.
    """
    command, environment = runnable(step.command, step.env)
    label = f"the {label} `{shown(step)}`"
    launched = launcher.note(name, _STOP_SIGNALS)
    try:
        process = launcher.launch(launched, command, cwd=step.cwd, env=environment, label=label)
        problem = await _outcome(process, step.within)
        if problem:
            lines = process.tail().rstrip()
            last = f": {lines.splitlines()[-1].strip()}" if lines else "; it wrote nothing"
            raise SetupError(
                f"{label} {problem}{last}\n{lines}".rstrip(),
                hint=f"mend it; all that it wrote is in {process.log}",
            )
    finally:
        # What cannot be ended stays in the ledger, which tells of it.
        await launcher.end(launched)


def shown(step: CommandSeeding) -> str:
    """A command on one line, cut where it is long."""
    return on_one_line(shlex.join(step.command), _SHOWN)


async def _outcome(process: ServiceProcess, within: float) -> str:
    """What went wrong with a process, or an empty text."""
    with trio.move_on_after(within):
        while True:
            with trio.move_on_after(_POLL):
                status = await process.wait()
                return "" if status == 0 else f"failed ({describe_status(status)})"
            if process.log.stat().st_size > _MOST_OUTPUT:
                return f"wrote more than {_MOST_OUTPUT // 1_000_000} MB"
    return f"did not end within {format_duration(within)}"
