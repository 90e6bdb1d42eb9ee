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
from benchmarks.postgres_clients import (
    BATCH,
    CONNECTIONS,
    CONTESTS,
    INSERT,
    MIX,
    SEEDING,
    SELECT,
    Client,
    Contest,
    Told,
    clients,
    make_table,
)
from benchmarks.postgres_server import (
    PostgresServer,
    find_programs,
    postgres_running,
    postgres_version,
)
from benchmarks.tables import Goal, goals_table, number, scaled, table, whole
from benchmarks.turns import in_turns
from stressrun import __version__

# stressrun asks once for the keys that are there, before the load.
_LOOKUPS_ASIDE = 1
# The share of the CPU time of all processes that is the worker's, less what the sampling may err.
_LEAST_OF_WORKER = 0.8


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


@dataclass(frozen=True, slots=True)
class Flow:
    """The seconds in which operations were seen to flow, and how much of a core that took."""

    seconds: float
    cpu_share: float


def benchmark(options: Namespace) -> int:
    """Run all rounds and print the tables; 1 when a goal is not met or a turn was unsound."""
    with postgres_running(options.programs) as server:
        taken = in_turns(
            list(_chosen(options, server)),
            options.rounds,
            lambda client: take_turn(client, server, options.seconds),
            lambda figures: f"{whole(figures.per_second)} operations/s",
        )
    goals = list(goals_of(taken.medians))
    print(report(taken.medians, goals, options))
    return 1 if not taken.sound or any(goal.failed for goal in goals) else 0


def _chosen(options: Namespace, server: PostgresServer) -> Iterator[Client]:
    for contest in CONTESTS:
        if not options.only or contest.name in options.only:
            yield from clients(server, contest)
            if server.program(contest.peer) is None:
                print(f"skipped: {contest.name}: {contest.peer} is missing", file=sys.stderr)


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
            count=server.sessions_copying if contest.seeds else server.sessions_at_work,
        )
        try:
            told = client.read(folder)
        except (OSError, LookupError, ValueError) as error:
            raise BenchmarkError(f"it told nothing of its turn:\n{output_of(folder)}") from error
    rows = server.rows() - rows - told.seeded
    lookups = server.lookups() - lookups
    operations = rows // contest.batch + lookups
    flow = _flow(cost.samples, sessions=1 if contest.seeds else CONNECTIONS)
    _check(told, operations, flow, seconds)
    took = seconds if told.seconds is None else told.seconds
    cpu = told.worker_cpu_seconds
    return Figures(
        per_second=operations / took,
        rows_per_second=operations * contest.batch / took,
        # Of a seeding, the time in which values are drawn is not among that of the COPY.
        under_load=None if flow is None or contest.seeds else flow.cpu_share * took / operations,
        whole_run=cost.cpu_seconds / operations,
        of_worker=None if cpu is None else cpu / operations,
    )


def _flow(samples: Sequence[Sample], sessions: int) -> Flow | None:
    """From the first sample to the last that found so many sessions at work."""
    flowing = [sample for sample in samples if sample.total >= sessions]
    if len(flowing) < 4:
        return None
    # At the first the client may have been connecting still, and at the last have ended already.
    first, last = flowing[1], flowing[-2]
    seconds = last.at - first.at
    return Flow(seconds, (last.cpu_seconds - first.cpu_seconds) / seconds)


def _check(told: Told, operations: int, flow: Flow | None, seconds: int) -> None:
    """Hold what a client has told against what was seen. Raises BenchmarkError."""
    if told.errors:
        raise BenchmarkError(f"{told.errors:,} of its operations failed")
    if not told.operations or not 0 <= operations - told.operations <= _LOOKUPS_ASIDE:
        raise BenchmarkError(
            f"it counted {told.operations:,} operations, the server {operations:,}"
        )
    if flow is None:
        return
    if told.seconds is not None and told.seconds < flow.seconds:
        raise BenchmarkError(
            f"it told of {told.seconds:.2f} s, and was seen at work for {flow.seconds:.2f} s"
        )
    cpu, seen = told.worker_cpu_seconds, flow.cpu_share * seconds
    if cpu is not None and cpu < _LEAST_OF_WORKER * seen:
        raise BenchmarkError(
            f"its worker told of {cpu:.2f} s of CPU time, and its processes were seen to use "
            f"{seen:.2f} s"
        )


def goals_of(medians: Mapping[str, Figures]) -> Iterator[Goal]:
    """The goals of the engine, held against the medians."""
    yield _cpu(medians, "INSERT of a row, CPU µs", 20, INSERT)
    yield _times(medians, "INSERT of a row, times pgbench", 0.8, INSERT)
    yield _cpu(medians, "SELECT by key, CPU µs", 20, SELECT)
    yield _times(medians, "SELECT by key, times pgbench", 0.6, SELECT)
    yield _times(medians, "INSERT and UPDATE, 70 to 30, times pgbench", 0.8, MIX)
    yield _times(medians, "INSERT of 100 rows of 1 KB, times pgbench", 1.0, BATCH)
    yield _times(medians, "seeding, times psql", 0.8, SEEDING)


def _cpu(medians: Mapping[str, Figures], text: str, limit: float, contest: Contest) -> Goal:
    """CPU time per operation in µs."""
    ours = medians.get(f"{contest.name}: stressrun")
    if ours is None:
        return Goal(text, limit, None, at_most=True)
    of_worker, under_load = scaled(ours.of_worker, 1e6), scaled(ours.under_load, 1e6)
    return Goal(text, limit, of_worker, under_load, at_most=True)


def _times(medians: Mapping[str, Figures], text: str, limit: float, contest: Contest) -> Goal:
    return Goal(text, limit, _times_peer(medians, f"{contest.name}: stressrun", contest))


def _times_peer(medians: Mapping[str, Figures], name: str, contest: Contest) -> float | None:
    """Operations per second, as how many times those of the contest's peer."""
    ours, peer = medians.get(name), medians.get(f"{contest.name}: {contest.peer}")
    return None if ours is None or peer is None else ours.per_second / peer.per_second


def report(medians: Mapping[str, Figures], goals: Sequence[Goal], options: Namespace) -> str:
    """The machine, the figures and the goals, as Markdown."""
    version = postgres_version(options.programs)
    rows = [
        (name, *_cells(figures), number(_times_peer(medians, name, contest)))
        for contest in CONTESTS
        for name, figures in medians.items()
        if name.startswith(f"{contest.name}: ")
    ]
    return "\n\n".join(
        [
            f"{date.today()}, {machine()}; medians of {options.rounds} × {options.seconds} s. "
            f"stressrun {__version__}, PostgreSQL, pgbench and psql {version}",
            table(_COLUMNS, rows),
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
    "times the peer",
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
