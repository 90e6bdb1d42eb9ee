"""`stressrun clean`: undo what killed or kept runs left, as the ledger names it."""

from __future__ import annotations

from pathlib import Path

import click
import trio

from stressrun.compare import worktree
from stressrun.errors import ResidueError, UsageError
from stressrun.run import teardown
from stressrun.safety.guard import Guard
from stressrun.safety.ledger import Ledger, open_ledger
from stressrun.services import running

_STATE = Path(".stressrun")


@click.command()
@click.argument("run_id", required=False)
@click.option("--all", "every", is_flag=True, help="Clean up after every run that has ended.")
@click.option("--forget", is_flag=True, help="Strike out what cannot be undone: you have done it.")
def clean(run_id: str | None, every: bool, forget: bool) -> None:
    """Remove what the run RUN_ID left behind; without one, list what there is."""
    if not (_STATE / "ledger.db").exists():
        _tell_nothing()
        return
    with open_ledger(_STATE) as ledger:
        known = teardown.runs(ledger.outstanding())
        if run_id is None and not every:
            _list(ledger, known)
            return
        if run_id is not None and run_id not in known:
            raise UsageError(
                f"the ledger holds nothing of a run {run_id!r}",
                hint="`stressrun clean` lists the runs that left something",
            )
        left: list[str] = []
        for run in [run_id] if run_id is not None else known:
            try:
                left += trio.run(_clean, run, ledger)
            except UsageError as live:
                if not every:
                    raise
                click.echo(live.message)
                continue
            if forget:
                ledger.forget(run)
    if left and not forget:
        raise ResidueError(
            "could not remove:\n" + "\n".join(f"  {line}" for line in left),
            hint="mend the cause and clean again, or remove it by hand and add --forget",
        )


def _tell_nothing() -> None:
    click.echo(f"nothing is left behind (by runs in {Path.cwd()}, whose ledger is in {_STATE})")


def _list(ledger: Ledger, known: list[str]) -> None:
    if not known:
        _tell_nothing()
    for run in known:
        click.echo(f"{run} (still running)" if teardown.is_live(_STATE / run) else run)
        for entry in ledger.outstanding(run):
            click.echo(f"  {teardown.describe(entry)}")


async def _clean(run_id: str, ledger: Ledger) -> list[str]:
    """Undo a run's entries; what could not be undone."""
    directory = _STATE / run_id
    directory.mkdir(exist_ok=True)
    with teardown.locked(directory):
        guard = Guard(teardown.allowed_hosts(ledger.outstanding(run_id)))
        failures = await teardown.undo_data(ledger, guard, run_id, click.echo)
        for entry in ledger.outstanding(run_id):
            if entry.kind not in (*teardown.SERVICE_KINDS, worktree.KIND):
                continue
            try:
                if entry.kind == worktree.KIND:
                    await worktree.remove(entry)
                else:
                    await running.undo(entry)
            except ResidueError as error:
                failures.append(f"{error.message} ({error.hint})")
            else:
                ledger.settle(entry.id)
    if not failures:
        click.echo(f"{run_id}: nothing is left behind")
    return failures
