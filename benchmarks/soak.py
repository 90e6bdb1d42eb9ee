"""A soak: whether memory and descriptors stay flat over millions of iterations at full speed.

    python benchmarks/soak.py [--minutes 10]

Four hours at 1,000 iterations a second are 14 million; here as many are done as the machine can, by
both engines at once, with the monitor on: requests to nginx, reads and writes of a PostgreSQL that
the run starts itself. Each second the resident memory and the open descriptors of the controller
and of each worker are read from /proc. Exit code 1 when any grows in the second stage, which is
most of the time: what a stage leaves is its figures, and of those there are as many as stages.
"""

from __future__ import annotations

import sys
from pathlib import Path

# This folder holds a module called http, which would hide Python's own.
sys.path.pop(0)
sys.path.insert(0, str(Path(__file__).parents[1]))

import os
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import linear_regression
from typing import Any

import psutil
from tabulate import tabulate

from benchmarks.contenders import output_of, read_report
from benchmarks.measuring import PATIENCE, BenchmarkError, machine, main, started
from benchmarks.nginx import nginx_running

_EACH = 1.0
# Of the time: pools fill, connections open, allocators reach their size. It is the first stage, and
# a bit of the second.
_FIRST_STAGE = 0.2
_WARM_UP = 0.25
# By so much of itself memory may grow over the time: histograms hold their buckets sparsely, and
# the rarer times come late. 100 bytes lost in each iteration would be hundreds of times as much.
_NOISE = 0.05

_SCENARIO = """\
version: 1
name: soak
services: {{db: {{postgres: embedded}}}}
base_url: {url}
endpoints:
  - {{name: product, weight: 3, request: "GET /products/${{integer(1, 10000)}}"}}
  - name: order
    steps:
      - {{request: POST /orders, json: {{item: "${{text(20)}}"}}, capture: {{id: $.id}}}}
      - {{request: "GET /orders-of/${{id}}"}}
writes:
  - name: people
    table: people
    rows: 10_000
    columns: {{name: {{faker: name}}, email: {{faker: email}}, data: {{hex: 200B}}}}
    mix: {{insert: 10, update: 50, select: 30, delete: 10}}
stages:
{stages}
built_in_thresholds: false
thresholds: [http errors <= 0%, write people errors <= 0%]
"""
_ONE_STAGE = "  - {{name: s{}, duration: {}s, endpoints: {{vus: 20}}, writes: {{workers: 4}}}}"


@dataclass
class Series:
    """What a process had at instants (seconds of the monotonic clock): bytes, and descriptors."""

    instants: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    descriptors: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Trend:
    """A series after its warm-up; `growth` is that of the fitted line over the time."""

    first: float
    last: float
    most: float
    growth: float
    hourly: float


def soak(options: Namespace) -> int:
    """Run, watch, and print what was seen; 1 when anything grew or failed."""
    print(machine(), flush=True)
    seconds = max(2, round(options.minutes * 60))
    with (
        nginx_running() as server,
        tempfile.TemporaryDirectory(prefix="benchmark-soak-") as place,
    ):
        folder = Path(place)
        (folder / "soak.yaml").write_text(scenario(server.url, seconds))
        watched = watch(folder, seconds)
        report = read_report(folder)
    if report["verdict"] != "passed":
        raise BenchmarkError(f"the run has not passed: {report['cause']}")
    iterations = sum(row["planned"] for stage in report["stages"] for row in counted(stage))
    print(f"\n{iterations:,} iterations and operations in {seconds / 60:g} minutes\n")
    return show(watched)


def scenario(url: str, seconds: int) -> str:
    first = max(1, round(_FIRST_STAGE * seconds))
    lengths = (first, seconds - first)
    stages = (_ONE_STAGE.format(number, length) for number, length in enumerate(lengths))
    return _SCENARIO.format(url=url, stages="\n".join(stages))


def counted(stage: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for row in stage["rows"] if row["kind"] in ("endpoint", "operation")]


def watch(folder: Path, seconds: int) -> dict[str, Series]:
    """Run the scenario in a folder, and read each of its processes each second."""
    command = [sys.executable, "-m", "stressrun", "soak.yaml", "--report-dir", "report"]
    found: dict[str, Series] = {}
    deadline = time.monotonic() + seconds + PATIENCE
    with started(command, folder=folder) as process:
        while process.poll() is None:
            if time.monotonic() > deadline:
                raise BenchmarkError(f"the run did not end:\n{output_of(folder)}")
            told = output_of(folder)
            loading = "\nstage " in told and "\nsummary" not in told
            for name, pid in processes(process.pid) if loading else ():
                with suppress(OSError):
                    sample(found.setdefault(name, Series()), pid)
            time.sleep(_EACH)
    if process.returncode:
        raise BenchmarkError(output_of(folder))
    return found


def processes(controller: int) -> list[tuple[str, int]]:
    """The controller and its workers."""
    named = [("controller", controller)]
    with suppress(psutil.Error):
        for child in psutil.Process(controller).children():
            mark = child.environ().get("STRESSRUN_SERVICE", "")
            if "/worker-" in mark:
                named.append((mark.partition("/")[2], child.pid))
    return named


def sample(series: Series, pid: int) -> None:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    series.instants.append(time.monotonic())
    series.memory.append(pages * os.sysconf("SC_PAGE_SIZE"))
    series.descriptors.append(descriptors)


def trend(instants: Sequence[float], values: Sequence[float]) -> Trend:
    """What became of a figure after the warm-up."""
    begin = instants[0] + _WARM_UP * (instants[-1] - instants[0])
    kept = [(at, value) for at, value in zip(instants, values, strict=True) if at >= begin]
    if len(kept) < 3:
        raise BenchmarkError("the run was too short to tell: give it --minutes 1 or more")
    at, value = zip(*kept, strict=True)
    slope, _ = linear_regression(at, value)
    return Trend(value[0], value[-1], max(value), slope * (at[-1] - at[0]), slope * 3600)


def show(watched: dict[str, Series]) -> int:
    """The table; 1 when memory or descriptors grew."""
    rows, grown = [], []
    for name, series in sorted(watched.items()):
        memory = trend(series.instants, series.memory)
        descriptors = trend(series.instants, series.descriptors)
        values = (memory.first, memory.last, memory.most)
        rows.append(
            [
                name,
                *(f"{value / 1e6:.1f} MB" for value in values),
                f"{memory.growth / 1e6:+.2f} MB",
                f"{memory.hourly / 1e6:+.1f} MB",
                f"{descriptors.first:.0f}, {descriptors.last:.0f}, {descriptors.most:.0f}",
                f"{descriptors.growth:+.1f}",
            ]
        )
        if memory.growth > _NOISE * memory.first:
            grown.append(f"the memory of {name}")
        if descriptors.growth >= 1:
            grown.append(f"the descriptors of {name}")
    headers = ["process", "memory: first", "last", "most", "growth", "in an hour"]
    headers += ["descriptors: first, last, most", "growth"]
    print(tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True))
    print(f"\ngrown: {', '.join(grown) or 'nothing'}")
    return 1 if grown else 0


def arguments() -> ArgumentParser:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="length of the load")
    return parser


if __name__ == "__main__":
    main(arguments(), soak, cores={0, 1})
