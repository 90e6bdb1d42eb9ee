"""`stressrun clean`: undo what killed or kept runs left, as the ledger names it."""

from __future__ import annotations

from pathlib import Path

import click
import trio

from stressrun.cli.output import say
from stressrun.compare import worktree
from stressrun.errors import ResidueError, StressrunError, UsageError
from stressrun.run import teardown
from stressrun.run.entries import act, allowed_hosts, describe, in_order, is_known
from stressrun.safety.guard import Guard
from stressrun.safety.ledger import Entry, Ledger, LedgerError, open_ledger
from stressrun.services import running

_STATE = Path(".stressrun")


@click.command()
@click.argument("run_id", required=False)
@click.option("--all", "every", is_flag=True, help="Clean up after every run that has ended.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--forget", is_flag=True, help="Strike out what cannot be undone: you have done it.")
def clean(run_id: str | None, every: bool, dry_run: bool, forget: bool) -> None:
    """Remove what the run RUN_ID left behind; without one, list what there is."""
    if dry_run and forget:
        raise UsageError("--dry-run forgets nothing", hint="leave one of the options out")
    if not (_STATE / "ledger.db").exists():
        _tell_nothing()
        return
    with open_ledger(_STATE) as ledger:
        known = teardown.runs(ledger.outstanding())
        if run_id is None and not every and not dry_run:
            _list(ledger, known)
            return
        if run_id is not None and run_id not in known:
            raise UsageError(
                f"the ledger holds nothing of a run {run_id!r}",
                hint="`stressrun clean` lists the runs that left something",
            )
        wanted = [run_id] if run_id is not None else known
        if dry_run:
            _tell_plan(ledger, wanted)
            return
        left: list[str] = []
        for run in wanted:
            try:
                left += trio.run(_clean, run, ledger)
            except UsageError as live:
                if not every:
                    raise
                say(live.message)
                continue
            except LedgerError:
                raise
            except StressrunError as error:
                left.append(f"{run}: {error.message}")
            if forget:
                _forget(ledger, run)
    if left and not forget:
        raise ResidueError(
            "could not remove:\n" + "\n".join(f"  {line}" for line in left),
            hint="mend the cause and clean again, or remove it by hand and add --forget",
        )


def _forget(ledger: Ledger, run: str) -> None:
    for entry in ledger.outstanding(run):
        say(f"{run}: forgotten: {describe(entry)}")
    ledger.forget(run)


def _tell_nothing() -> None:
    click.echo(f"nothing is left behind (by runs in {Path.cwd()}, whose ledger is in {_STATE})")


def _list(ledger: Ledger, known: list[str]) -> None:
    if not known:
        _tell_nothing()
    for run in known:
        say(f"{run} (still running)" if teardown.is_live(_STATE / run) else run)
        for entry in ledger.outstanding(run):
            say(f"  {describe(entry)}")


def _tell_plan(ledger: Ledger, runs: list[str]) -> None:
    """What cleaning up would do, in the order in which it would do it."""
    for run in runs:
        live = teardown.is_live(_STATE / run)
        say(f"{run}: still running, left alone" if live else f"{run}: would do")
        for entry in () if live else _in_order(ledger.outstanding(run)):
            say(f"  {act(entry)}")


def _in_order(outstanding: list[Entry]) -> list[Entry]:
    data = in_order(outstanding)
    return data + [entry for entry in outstanding if entry not in data]


async def _clean(run_id: str, ledger: Ledger) -> list[str]:
    """Undo a run's entries; what could not be undone."""
    directory = _STATE / run_id
    directory.mkdir(exist_ok=True)
    with teardown.locked(directory):
        guard = Guard(allowed_hosts(ledger.outstanding(run_id)))
        undone = await teardown.undo_data(ledger, guard, run_id, say)
        known = {entry.id for entry in in_order(ledger.outstanding(run_id))}
        left = undone.left
        for entry in ledger.outstanding(run_id):
            if entry.id in known:
                continue
            try:
                await _remove(entry)
            except ResidueError as error:
                left.append(f"{error.message} ({error.hint})")
            else:
                ledger.settle(entry.id)
    if not left:
        say(f"{run_id}: nothing is left behind")
    return left


async def _remove(entry: Entry) -> None:
    """Undo an entry that stands for no data. Raises ResidueError."""
    if not is_known(entry):
        raise ResidueError(describe(entry), hint=teardown.OF_ANOTHER_VERSION)
    if entry.kind == worktree.KIND:
        await worktree.remove(entry)
    else:
        await running.undo(entry)
