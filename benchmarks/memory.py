"""The worker's peak memory: with ten thousand thinking users, and after a long run.

python benchmarks/memory.py [--minutes 10]
"""

from __future__ import annotations

import sys
from pathlib import Path

# This folder holds a module called http, which would hide Python's own.
sys.path.pop(0)
sys.path.insert(0, str(Path(__file__).parents[1]))

import resource
import tempfile
from argparse import ArgumentParser, Namespace

from benchmarks.contenders import iterations, read_report, stressrun_command
from benchmarks.measuring import PATIENCE, BenchmarkError, machine, main, run_client
from benchmarks.nginx import Nginx, nginx_running

_USERS = 10_000
_MOST = 300e6
_NEEDED_DESCRIPTORS = 12_000
# Two runs of the same length differ by this much.
_NOISE = 1.05


def memory(options: Namespace) -> int:
    """Measure and print both; 1 when a goal is not met."""
    _raise_descriptor_limit()
    print(machine())
    with nginx_running() as server:
        thinking = _peak(server, "thinking", options.thinking_seconds)
        lean = thinking < _MOST
        print(
            f"{_USERS:,} thinking users: {thinking / 1e6:.0f} MB "
            f"(wanted: less than {_MOST / 1e6:.0f} MB): {_met(lean)}"
        )
        short = _peak(server, "closed", 60)
        print(f"a minute at full speed: {short / 1e6:.1f} MB", flush=True)
        long = _peak(server, "closed", options.minutes * 60)
        steady = long <= short * _NOISE
        print(
            f"{options.minutes} minutes at full speed: {long / 1e6:.1f} MB "
            f"(wanted: no more than the minute's): {_met(steady)}"
        )
    return 0 if lean and steady else 1


def _peak(server: Nginx, scenario: str, seconds: int) -> int:
    """The peak resident bytes of the worker over a run."""
    with tempfile.TemporaryDirectory(prefix="benchmark-client-") as place:
        folder = Path(place)
        cost = run_client(
            stressrun_command(scenario, folder, [f"stages.load.duration={seconds}s"]),
            folder=folder,
            patience=seconds + PATIENCE,
            env={"BASE_URL": server.url},
        )
        rows = iterations(read_report(folder))
    if any(row["failed"] for row in rows):
        raise BenchmarkError(f"requests failed in {scenario}: {[row['errors'] for row in rows]}")
    if scenario == "thinking" and sum(row["planned"] for row in rows) < _USERS:
        raise BenchmarkError(f"not all {_USERS:,} users came to send their request")
    return cost.peak_of("stressrun.run.worker")


def _raise_descriptor_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _NEEDED_DESCRIPTORS:
        raise BenchmarkError(
            f"{_USERS:,} connections need {_NEEDED_DESCRIPTORS:,} open files, and the limit is "
            f"{hard:,}: raise it with ulimit -Hn"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _met(met: bool) -> str:
    return "met" if met else "not met"


def arguments() -> ArgumentParser:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=10, help="length of the long run")
    parser.add_argument(
        "--thinking-seconds", type=int, default=20, help="length of the run of thinking users"
    )
    return parser


if __name__ == "__main__":
    main(arguments(), memory)
