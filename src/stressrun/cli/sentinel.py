"""`stressrun sentinel`: say that a database may be put under load."""

from __future__ import annotations

import click
import trio

from stressrun.cli.output import say
from stressrun.errors import UsageError
from stressrun.postgres.sentinel import TABLE, remove_sentinel, set_sentinel
from stressrun.postgres.url import DatabaseUrl
from stressrun.safety.guard import Guard
from stressrun.scenario.hosts import host_problem


@click.command()
@click.argument("url")
@click.option(
    "--allow-host", "allowed", multiple=True, metavar="HOST", help="Touch this host. Repeatable."
)
@click.option("--remove", is_flag=True, help="Take the sentinel away again.")
def sentinel(url: str, allowed: tuple[str, ...], remove: bool) -> None:
    """Mark the database at URL as one that may be put under load.

    Scenarios with `database: {require_sentinel: true}` are refused where the mark is missing.
    """
    for host in allowed:
        if (found := host_problem(host)) is not None:
            raise UsageError(f"--allow-host: {found[0]}", hint=found[1])
    act = remove_sentinel if remove else set_sentinel

    async def run() -> None:
        await act(url, guard=Guard(allowed))

    trio.run(run)
    place = DatabaseUrl.of(url)
    told = "is gone from" if remove else "stands in"
    say(f"the sentinel {told} {place} (table {TABLE})")
