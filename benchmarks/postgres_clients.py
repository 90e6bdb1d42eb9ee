"""Who takes turns against PostgreSQL: stressrun, pgbench, and psql, which seeds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from psycopg import sql

from benchmarks.contenders import HERE, output_of, read_report, stressrun_command
from benchmarks.measuring import PATIENCE, BenchmarkError, answer_of, run_client
from benchmarks.postgres_server import TABLE, PostgresServer

CONNECTIONS = 10
_SEEDED_PER_SECOND = 50_000
_BATCHES = 10
_PEOPLE = f"select name, email, age, data from {TABLE} order by id limit %s"
_INSERT = sql.SQL(f"insert into {TABLE} (name, email, age, data) values {{}};")
_SEEDED = re.compile(rf"table {TABLE}: ([\d,]+) rows seeded \(([\d.]+) (µs|ms|s)\)")
_SECONDS = {"µs": 1e-6, "ms": 1e-3, "s": 1.0}


@dataclass(frozen=True, slots=True)
class Contest:
    """What clients do in turns: a scenario says it to stressrun, and makes the table for all.

    An operation writes or reads `batch` rows; of what `seeds`, each row counts as one.
    """

    name: str
    batch: int = 1
    seeds: bool = False

    @property
    def peer(self) -> str:
        """The program that is the bar."""
        return "psql" if self.seeds else "pgbench"


INSERT = Contest("insert")
SELECT = Contest("select")
MIX = Contest("mix")
BATCH = Contest("batch", batch=100)
SEEDING = Contest("seeding", seeds=True)
CONTESTS = (INSERT, SELECT, MIX, BATCH, SEEDING)

# Scripts of pgbench with their weights.
_SCRIPTS = {INSERT: {"insert": 1}, SELECT: {"select": 1}, MIX: {"insert": 70, "update": 30}}


@dataclass(frozen=True, slots=True)
class Told:
    """What a client says of its own turn.

    It has `seeded` rows before its operations. `seconds` is what a seeding took, and
    `worker_cpu_seconds` is of the process that makes the load, while it makes it.
    """

    operations: int
    errors: int = 0
    seeded: int = 0
    seconds: float | None = None
    worker_cpu_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Client:
    """A program in a contest; one that `makes_table` finds none.

    `command` makes its arguments of server, seconds and folder, and puts there what it needs;
    `read` reads in the folder what it has told.
    """

    contest: Contest
    program: str
    command: Callable[[PostgresServer, int, Path], list[str]]
    read: Callable[[Path], Told]
    makes_table: bool = False

    @property
    def name(self) -> str:
        return f"{self.contest.name}: {self.program}"


def clients(server: PostgresServer, contest: Contest) -> Iterator[Client]:
    """Who takes turns in a contest: stressrun, and its peer where that is installed."""
    yield _stressrun(contest)
    peer = server.program(contest.peer)
    if peer is None:
        return
    if contest.seeds:
        yield Client(contest, "psql", partial(_copying, peer), _read_psql)
    elif contest is BATCH:
        simple, prepared = (partial(_batches, peer, way) for way in ("simple", "prepared"))
        yield Client(contest, "pgbench", simple, _read_pgbench)
        yield Client(contest, "pgbench prepared", prepared, _read_pgbench)
    else:
        scripts = partial(_scripts, peer, _SCRIPTS[contest])
        yield Client(contest, "pgbench", scripts, _read_pgbench)


def make_table(server: PostgresServer, contest: Contest, seconds: int, folder: Path) -> None:
    """Make and seed the table for a peer, by a run whose load is too short to matter."""
    place = folder / "table"
    place.mkdir()
    run_client(
        _run(contest, seconds, place, "stages.load.duration=1ms"),
        folder=place,
        patience=seconds + PATIENCE,
        core=None,
        env={"DATABASE_URL": server.url},
    )
    read_report(place)


def _stressrun(contest: Contest) -> Client:
    def command(server: PostgresServer, seconds: int, folder: Path) -> list[str]:
        return _run(contest, seconds, folder)

    read = _read_seeding if contest.seeds else _read_stressrun
    return Client(contest, "stressrun", command, read, makes_table=True)


def _run(contest: Contest, seconds: int, folder: Path, *settings: str) -> list[str]:
    size = f"stages.load.duration={seconds}s"
    if contest.seeds:
        size = f"seeding.{TABLE}.rows={_SEEDED_PER_SECOND * seconds}"
    return [*stressrun_command(f"postgres-{contest.name}", folder, [size, *settings]), "--keep"]


def _read_stressrun(folder: Path) -> Told:
    report = read_report(folder)
    (stage,) = report["stages"]
    seeded = _SEEDED.search(output_of(folder))
    return Told(
        operations=sum(row["succeeded"] for row in stage["rows"]),
        errors=sum(row["failed"] + row["interrupted"] + row["unknown"] for row in stage["rows"]),
        seeded=_whole(seeded[1]) if seeded else 0,
        worker_cpu_seconds=report["generator"]["cpu_seconds"],
    )


def _read_seeding(folder: Path) -> Told:
    found = _SEEDED.search(output_of(folder))
    if found is None:
        raise BenchmarkError(f"stressrun seeded nothing:\n{output_of(folder)}")
    rows, amount, unit = found.groups()
    return Told(_whole(rows), seconds=float(amount) * _SECONDS[unit])


def _whole(text: str) -> int:
    return int(text.replace(",", ""))


def _scripts(
    program: str, scripts: Mapping[str, int], server: PostgresServer, seconds: int, folder: Path
) -> list[str]:
    """The arguments of pgbench for scripts that stand beside, by their weights."""
    files = [HERE / "peers" / f"pgbench_{name}.sql@{weight}" for name, weight in scripts.items()]
    values = {"name": "Ada Lovelace", "email": "ada.lovelace@example.org", "rows": server.rows()}
    return _pgbench(program, "prepared", files, values, server, seconds)


def _batches(
    program: str, protocol: str, server: PostgresServer, seconds: int, folder: Path
) -> list[str]:
    """The arguments of pgbench for inserts of 100 rows each, made of those that are seeded.

    With the simple protocol all is literal. Prepared, the data are parameters, and the rest, which
    would be too many of them for pgbench, is a part of the statement.
    """
    files: list[Path] = []
    values: dict[str, str] = {}
    people = server.connection.execute(_PEOPLE, (_BATCHES * BATCH.batch,)).fetchall()
    for first in range(0, len(people), BATCH.batch):
        rows = []
        for number, (*others, data) in enumerate(people[first : first + BATCH.batch], first):
            row: list[sql.Composable] = [sql.Literal(value) for value in (*others, data)]
            if protocol == "prepared":
                values[f"data{number}"] = data
                row[-1] = sql.SQL(f":data{number}")
            rows.append(sql.SQL("({})").format(sql.SQL(", ").join(row)))
        files.append(folder / f"batch{first}.sql")
        files[-1].write_text(_INSERT.format(sql.SQL(", ").join(rows)).as_string())
    return _pgbench(program, protocol, files, values, server, seconds)


def _pgbench(
    program: str,
    protocol: str,
    files: Sequence[Path],
    values: Mapping[str, object],
    server: PostgresServer,
    seconds: int,
) -> list[str]:
    return [
        *(program, "-n", "-c", str(CONNECTIONS), "-j", "1", "-M", protocol, "-T", str(seconds)),
        *(f"--file={file}" for file in files),
        *(f"--define={name}={value}" for name, value in values.items()),
        server.url,
    ]


def _read_pgbench(folder: Path) -> Told:
    output = output_of(folder)
    found = re.search(r"actually processed: (\d+)", output)
    failed = re.search(r"failed transactions: (\d+)", output)
    if found is None:
        raise BenchmarkError(f"pgbench told of no transaction:\n{output}")
    return Told(int(found[1]), int(failed[1] if failed else 0) + output.count(" aborted"))


def _copying(program: str, server: PostgresServer, seconds: int, folder: Path) -> list[str]:
    """The arguments of psql to load the rows that stressrun has seeded, from a file."""
    columns = ", ".join(server.columns())
    file = folder / "rows"
    psql = [program, "-X", "-d", server.url]
    copy = f"\\copy (select {columns} from {TABLE} order by id) to '{file}'"
    if not answer_of(*psql, "-c", copy).startswith("COPY"):
        raise BenchmarkError(f"psql wrote no rows to {file}")
    server.empty()
    return [*psql, "-c", "\\timing", "-c", f"\\copy {TABLE} ({columns}) from '{file}'"]


def _read_psql(folder: Path) -> Told:
    output = output_of(folder)
    copied = re.search(r"^COPY (\d+)$", output, re.M)
    took = re.search(r"^Time: ([\d.]+) ms", output, re.M)
    if copied is None or took is None:
        raise BenchmarkError(f"psql told of no COPY:\n{output}")
    return Told(int(copied[1]), seconds=float(took[1]) / 1000)
