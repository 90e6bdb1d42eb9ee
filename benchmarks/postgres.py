"""Operations per second and CPU time of stressrun, pgbench and psql, in turns, on PostgreSQL.

python benchmarks/postgres.py [--rounds 3] [--seconds 10] [--only CONTEST ...]
"""

from __future__ import annotations

import sys
from pathlib import Path

# This folder holds a module called http, which would hide Python's own.
sys.path.pop(0)
sys.path.insert(0, str(Path(__file__).parents[1]))

import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from benchmarks.contenders import output_of
from benchmarks.measuring import (
    CLIENT_CORE,
    PATIENCE,
    SERVER_CORE,
    BenchmarkError,
    Sample,
    machine,
    main,
    run_client,
)
from benchmarks.postgres_clients import CONNECTIONS, CONTESTS, Client, Told, clients, make_table
from benchmarks.postgres_server import (
    PostgresServer,
    find_programs,
    postgres_running,
    postgres_version,
)
from benchmarks.tables import Goal, goals_table, number, scaled, table, whole
from benchmarks.turns import in_turns
from stressrun import __version__


@dataclass(frozen=True, slots=True)
class Figures:
    """A turn's figures, or the medians of several; None: not a figure of this client.

    Operations are counted by the server. Of the CPU seconds for each, `whole_run` has all of the
    client's processes from the first instruction to the last, `under_load` theirs while operations
    flow, and `of_worker` those of the process that makes the load, as it tells of them.
    """

    per_second: float
    rows_per_second: float
    under_load: float | None
    whole_run: float
    of_worker: float | None


def benchmark(options: Namespace) -> int:
    """Run all rounds and print the tables; 1 when a goal is not met or a turn was unsound."""
    with postgres_running(options.programs) as server:
        chosen = []
        for contest in CONTESTS:
            if not options.only or contest.name in options.only:
                contenders = list(clients(server, contest))
                chosen += contenders
                if len(contenders) == 1:
                    peer = "psql" if contest.seeds else "pgbench"
                    print(f"skipped: {contest.name}: {peer} is not installed", file=sys.stderr)
        taken = in_turns(
            chosen,
            options.rounds,
            lambda client: take_turn(client, server, options.seconds),
            lambda figures: f"{whole(figures.per_second)} operations/s",
        )
    goals = list(goals_of(taken.medians))
    print(report(taken.medians, goals, options))
    return 1 if not taken.sound or any(goal.failed for goal in goals) else 0


def take_turn(client: Client, server: PostgresServer, seconds: int) -> Figures:
    """Run a client once. Raises BenchmarkError when it did not do what it was to do."""
    contest = client.contest
    with tempfile.TemporaryDirectory(prefix="benchmark-client-") as place:
        folder = Path(place)
        server.clear()
        if not client.makes_table:
            make_table(server, contest, seconds, folder)
        command = client.command(server, seconds, folder)
        rows, lookups = (0, 0) if client.makes_table else (server.rows(), server.lookups())
        cost = run_client(
            command,
            folder=folder,
            patience=seconds + PATIENCE,
            core=None,
            env={"DATABASE_URL": server.url},
            count=server.copied if contest.seeds else server.changes,
        )
        try:
            told = client.read(folder)
        except (OSError, LookupError, ValueError) as error:
            raise BenchmarkError(f"it told nothing of its turn:\n{output_of(folder)}") from error
    rows = server.rows() - rows - told.seeded
    operations = rows // contest.batch + server.lookups() - lookups
    _check(told, operations)
    took = told.seconds or seconds
    flowing = _flowing(cost.samples)
    if told.seconds is not None and told.seconds < flowing.seconds:
        raise BenchmarkError(
            f"it told of {told.seconds:.2f} s, and was seen at work for {flowing.seconds:.2f} s"
        )
    worker_cpu = told.worker_cpu_seconds
    print("DEBUG", client.name, told, operations, rows, flowing, cost.cpu_seconds, worker_cpu)
    return Figures(
        per_second=operations / took,
        rows_per_second=operations * contest.batch / took,
        under_load=flowing.cpu_share * took / operations if flowing.seconds else None,
        whole_run=cost.cpu_seconds / operations,
        of_worker=worker_cpu / operations if worker_cpu else None,
    )


@dataclass(frozen=True, slots=True)
class Flow:
    """The time in which operations were seen to flow, and how much of a core that took."""

    seconds: float
    cpu_share: float


def _flowing(samples: Sequence[Sample]) -> Flow:
    """From the first sample to the last within the load."""
    flowing = [
        n for n in range(1, len(samples)) if samples[n].total > samples[n - 1].total + CONNECTIONS
    ]
    if len(flowing) < 3:
        return Flow(0, 0)
    # Before the first it was still starting, before the last it was perhaps already ending.
    first, last = samples[flowing[0]], samples[flowing[-2]]
    seconds = last.at - first.at
    return Flow(seconds, (last.cpu_seconds - first.cpu_seconds) / seconds)


def _check(told: Told, operations: int) -> None:
    if told.errors:
        raise BenchmarkError(f"{told.errors:,} of its operations failed")
    if not 0 <= operations - told.operations <= CONNECTIONS:
        raise BenchmarkError(
            f"it counted {told.operations:,} operations, and {operations:,} were done"
        )


def goals_of(medians: Mapping[str, Figures]) -> Iterator[Goal]:
    """The goals of the engine, held against the medians."""
    yield _cpu(medians, "INSERT of a row, client CPU µs", 20, "insert")
    yield _times(medians, "INSERT of a row, times pgbench", 0.8, "insert", "pgbench")
    yield _cpu(medians, "SELECT by key, client CPU µs", 20, "select")
    yield _times(medians, "SELECT by key, times pgbench", 0.6, "select", "pgbench")
    yield _times(medians, "70/30 INSERT and UPDATE, times pgbench", 0.8, "mix", "pgbench")
    yield _times(medians, "INSERT of 100 rows of 1 KB, times pgbench", 1.0, "batch", "pgbench")
    yield _times(medians, "seeding, times psql \\copy", 0.8, "seeding", "psql")


def _cpu(medians: Mapping[str, Figures], text: str, limit: float, contest: str) -> Goal:
    ours = medians.get(f"{contest}: stressrun")
    if ours is None:
        return Goal(text, limit, None, at_most=True)
    worker, under_load = scaled(ours.of_worker, 1e6), scaled(ours.under_load, 1e6)
    return Goal(text, limit, worker, under_load, at_most=True)


def _times(
    medians: Mapping[str, Figures], text: str, limit: float, contest: str, peer: str
) -> Goal:
    return Goal(text, limit, _ratio(medians, f"{contest}: stressrun", f"{contest}: {peer}"))


def _ratio(medians: Mapping[str, Figures], name: str, peer: str) -> float | None:
    if name not in medians or peer not in medians:
        return None
    return medians[name].per_second / medians[peer].per_second


def report(medians: Mapping[str, Figures], goals: Sequence[Goal], options: Namespace) -> str:
    """The machine, the figures and the goals, as Markdown."""
    return "\n\n".join(
        [
            f"{date.today()}, {machine()}; medians of {options.rounds} × {options.seconds} s. "
            f"stressrun {__version__}, PostgreSQL and pgbench {postgres_version(options.programs)}",
            table(_COLUMNS, [(name, *_cells(figures)) for name, figures in medians.items()]),
            goals_table(goals),
        ]
    )


_COLUMNS = (
    "contest: client",
    "operations/s",
    "rows/s",
    "CPU µs per operation",
    "… with start-up",
    "… of the worker",
)


def _cells(figures: Figures) -> tuple[str, ...]:
    return (
        whole(figures.per_second),
        whole(figures.rows_per_second),
        number(scaled(figures.under_load, 1e6)),
        number(scaled(figures.whole_run, 1e6)),
        number(scaled(figures.of_worker, 1e6)),
    )


def arguments() -> ArgumentParser:
    parser = ArgumentParser(description=__doc__)
    names = [contest.name for contest in CONTESTS]
    parser.add_argument("--rounds", type=int, default=3, help="turns of each client (default 3)")
    parser.add_argument("--seconds", type=int, default=10, help="length of a turn (default 10)")
    parser.add_argument(
        "--only", nargs="+", choices=names, metavar="CONTEST", help=", ".join(names)
    )
    parser.add_argument(
        "--programs",
        type=Path,
        default=find_programs(),
        help="folder of PostgreSQL's programs (default: of the newest that is installed)",
    )
    return parser


if __name__ == "__main__":
    # The server and its client share two cores.
    main(arguments(), benchmark, cores={SERVER_CORE, CLIENT_CORE})
