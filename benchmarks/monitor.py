"""What the monitor of the database costs: its own CPU, and that of the server's session for it.

python benchmarks/monitor.py [--seconds 20]
"""

from __future__ import annotations

import sys
from pathlib import Path

# This folder holds a module called http, which would hide Python's own.
sys.path.pop(0)
sys.path.insert(0, str(Path(__file__).parents[1]))

import subprocess
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import trio

from benchmarks.measuring import CLIENT_CORE, SERVER_CORE, BenchmarkError, machine, main
from benchmarks.postgres_server import (
    PostgresServer,
    find_programs,
    postgres_running,
    postgres_version,
)
from benchmarks.tables import table
from stressrun.metrics.histogram import Histogram
from stressrun.monitor.postgres import watching
from stressrun.safety.guard import Guard
from stressrun.scenario.model import Database

_WANTED = 0.01
_MONITOR = "stressrun/benchmark"
# pgbench's own transaction on one branch: everybody waits for the same row.
_BUSY = 10
_LOADS = {"idle": 0, f"busy, {_BUSY} clients": _BUSY, "crowded, 60 clients": 60}


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds of the monitor and of its session at the server, over some seconds."""

    seconds: float
    samples: int
    monitor: float
    session: float
    lock_waits: int

    @property
    def share(self) -> float:
        """The monitor's share of a core."""
        return self.monitor / self.seconds


def monitor(options: Namespace) -> int:
    """Measure and print; 1 when the goal is not met."""
    programs = find_programs()
    print(f"{machine()} · PostgreSQL {postgres_version(programs)}")
    rows, met = [], True
    with postgres_running(programs) as server:
        _pgbench(server, "-i", "-q", "-s", "1")
        for name, clients in _LOADS.items():
            with _load(server, clients, options.seconds):
                cost = trio.run(_watch, server, options.seconds)
            if clients <= _BUSY:
                met = met and cost.share < _WANTED
            rows.append(_row(name, cost))
    print(
        table(
            ("server", "samples", "lock waits", "monitor, of a core", "a sample", "at the server"),
            rows,
        )
    )
    print(
        f"wanted, up to {_BUSY} clients: less than {_WANTED:.0%} of a core: "
        f"{'met' if met else 'not met'}"
    )
    return 0 if met else 1


def _row(name: str, cost: Cost) -> list[str]:
    return [
        name,
        f"{cost.samples}",
        f"{cost.lock_waits}",
        f"{cost.share:.2%}",
        f"{cost.monitor / cost.samples * 1e6:.0f} µs",
        f"{cost.session / cost.samples * 1e6:.0f} µs",
    ]


async def _watch(server: PostgresServer, seconds: float) -> Cost:
    """The cost of a stage of so many seconds, without its beginning and its end."""
    async with watching(Database(server.url), Guard(), run_id="benchmark", mask=str) as watcher:
        assert watcher is not None
        await watcher.prepare()
        found = server.connection.execute(
            "select pid from pg_stat_activity where application_name = %s", (_MONITOR,)
        ).fetchone()
        assert found is not None
        session = psutil.Process(found[0])
        watcher.start(time.monotonic_ns())
        begin, own, its = time.monotonic(), time.process_time(), _cpu(session)
        await trio.sleep(seconds)
        own, its = time.process_time() - own, _cpu(session) - its
        elapsed = time.monotonic() - begin
        findings = await watcher.finish(Histogram())
    return Cost(elapsed, findings.samples, own, its, findings.lock_waits.count)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def _load(server: PostgresServer, clients: int, seconds: float) -> Iterator[None]:
    if not clients:
        yield
        return
    command = _command(server, "-n", "-c", str(clients), "-T", str(round(seconds) + 5))
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _pgbench(server: PostgresServer, *arguments: str) -> None:
    subprocess.run(_command(server, *arguments), check=True, capture_output=True)


def _command(server: PostgresServer, *arguments: str) -> list[str]:
    program = server.program("pgbench")
    if program is None:
        raise BenchmarkError("pgbench is missing: apt install postgresql-contrib")
    return [program, *arguments, server.url]


def arguments() -> ArgumentParser:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each turn")
    return parser


if __name__ == "__main__":
    main(arguments(), monitor, cores={SERVER_CORE, CLIENT_CORE})
