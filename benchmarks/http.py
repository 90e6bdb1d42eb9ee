"""Requests per CPU second of stressrun and its peers, in turns, against nginx.

python benchmarks/http.py [--rounds 3] [--seconds 10] [--only NAME ...]
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
from functools import partial
from math import inf

from benchmarks.contenders import (
    CONNECTIONS,
    PEERS,
    Contender,
    Told,
    output_of,
    peers,
    stressrun_contenders,
)
from benchmarks.measuring import (
    PATIENCE,
    BenchmarkError,
    Sample,
    machine,
    main,
    run_client,
    wake_up_cost,
)
from benchmarks.nginx import Nginx, nginx_running, nginx_version
from benchmarks.tables import Goal, goals_table, scaled, table, whole
from benchmarks.turns import in_turns
from stressrun import __version__


@dataclass(frozen=True, slots=True)
class Figures:
    """A turn's figures, or the medians of several; None: not a figure of this client.

    Requests are counted by nginx. Of those per CPU second, `whole_run` has all CPU time of all the
    client's processes, `under_load` theirs while requests flow, and `of_worker` that of the process
    that makes the load. Peaks are bytes, `lag_p99` is seconds, `achieved` is the rate reached as a
    share of the plan.
    """

    per_second: float
    whole_run: float
    under_load: float | None
    of_worker: float | None
    peak: float
    worker_peak: float | None
    lag_p99: float | None
    dropped: float | None
    achieved: float | None


def benchmark(options: Namespace) -> int:
    """Run all rounds and print the tables; 1 when a goal is not met or a turn was unsound."""
    installed = list(peers(options))
    versions = {contender.name: version for contender, version in installed}
    contenders = [*stressrun_contenders(), *(contender for contender, _ in installed)]
    chosen = [c for c in contenders if not options.only or c.name in options.only]
    for name in PEERS:
        if name not in versions and (not options.only or name in options.only):
            print(f"skipped: {name} is not installed", file=sys.stderr)
    if not chosen:
        raise BenchmarkError("none of the clients is installed")
    with nginx_running() as server:
        taken = in_turns(
            chosen,
            options.rounds,
            lambda contender: take_turn(contender, server, options.seconds),
            lambda figures: f"{whole(figures.under_load)} requests per CPU second",
        )
    goals = list(goals_of(taken.medians))
    print(report(taken.medians, goals, options, versions))
    return 1 if not taken.sound or any(goal.failed for goal in goals) else 0


def take_turn(contender: Contender, server: Nginx, seconds: int) -> Figures:
    """Run a client once. Raises BenchmarkError when it did not do what it was to do."""
    with tempfile.TemporaryDirectory(prefix="benchmark-client-") as place:
        folder = Path(place)
        before = server.counters()
        cost = run_client(
            contender.command(server, seconds, folder),
            folder=folder,
            patience=seconds + PATIENCE,
            env={
                "BASE_URL": server.url,
                "TLS_URL": server.tls_url,
                "TLS_CA": str(server.certificate),
            },
            count=lambda: server.counters().requests,
        )
        after = server.counters()
        try:
            told = contender.read(folder)
        except (OSError, LookupError, ValueError) as error:
            raise BenchmarkError(f"it told nothing of its turn:\n{output_of(folder)}") from error
    # Each question for the counters is counted in its own answer.
    questions = len(cost.samples) + 1
    requests = after.requests - before.requests - questions
    _check(told, requests, after.connections - before.connections - questions)
    worker_cpu = told.worker_cpu_seconds
    return Figures(
        per_second=requests / seconds,
        whole_run=requests / cost.cpu_seconds,
        under_load=_under_load(cost.samples),
        of_worker=requests / worker_cpu if worker_cpu else None,
        peak=cost.peak,
        worker_peak=cost.peak_of("stressrun.run.worker") if worker_cpu else None,
        lag_p99=told.lag_p99,
        dropped=told.dropped,
        achieved=told.achieved,
    )


def _under_load(samples: Sequence[Sample]) -> float | None:
    """Requests per CPU second between the first and the last sample within the load."""
    # One request from sample to sample is the question for the counter.
    flowing = [n for n in range(1, len(samples)) if samples[n].total > samples[n - 1].total + 1]
    if len(flowing) < 4:
        return None
    # In the first interval the client was still starting, in the last it was already ending.
    first, last = flowing[0], flowing[-2]
    requests = samples[last].total - samples[first].total - (last - first)
    return requests / (samples[last].cpu_seconds - samples[first].cpu_seconds)


def _check(told: Told, requests: int, connections: int) -> None:
    if told.errors:
        raise BenchmarkError(f"{told.errors:,} of its requests failed")
    # What was still under way at the end is counted by nginx alone.
    unanswered = requests - told.requests
    if not told.requests or not 0 <= unanswered <= CONNECTIONS:
        raise BenchmarkError(f"it counted {told.requests:,} requests, nginx {requests:,}")
    if connections > 2 * CONNECTIONS:
        raise BenchmarkError(f"it opened {connections:,} connections for {CONNECTIONS} users")


def goals_of(medians: Mapping[str, Figures]) -> Iterator[Goal]:
    """The goals of the engine, held against the medians."""
    speed = partial(_speed, medians)
    yield speed("closed, requests per CPU second", 100_000, "stressrun")
    yield speed("closed, times hey", 1.5, "stressrun", "hey")
    yield speed("closed, times Locust", 7, "stressrun", "locust")
    yield speed("closed, times Molotov", 8, "stressrun", "molotov")
    yield speed("closed, times wrk", 0.55, "stressrun", "wrk")
    yield speed("open 2,000/s, requests per CPU second", 20_000, "stressrun-open-2000")
    yield from _punctuality(medians, 2_000, lag=100e-6)
    yield from _punctuality(medians, 10_000, lag=500e-6)
    yield speed("POST of 1 KB, requests per CPU second", 50_000, "stressrun-post")
    yield speed("TLS 1.3, requests per CPU second", 60_000, "stressrun-tls")


def _speed(
    medians: Mapping[str, Figures], text: str, limit: float, name: str, peer: str | None = None
) -> Goal:
    """Requests per CPU second, or how many times a peer's."""
    ours = medians.get(name)
    unit: float | None = 1.0
    if peer is not None:
        unit = medians[peer].under_load if peer in medians else None
    if ours is None or ours.of_worker is None or unit is None:
        return Goal(text, limit, None)
    return Goal(text, limit, ours.of_worker / unit, scaled(ours.under_load, 1 / unit))


def _punctuality(medians: Mapping[str, Figures], rate: int, lag: float) -> Iterator[Goal]:
    """Goals of the open model: the lag in seconds, drops, and the rate against its plan."""
    ours = medians.get(f"stressrun-open-{rate}")
    late = dropped = off = None
    if ours is not None and ours.achieved is not None:
        # Too few arrivals for a percentile are no excuse.
        late = inf if ours.lag_p99 is None else ours.lag_p99
        dropped, off = ours.dropped, abs(ours.achieved - 1) * 100
    text = f"open {rate:,}/s"
    yield Goal(f"{text}, lag p99 in µs", lag * 1e6, scaled(late, 1e6), at_most=True)
    yield Goal(f"{text}, dropped", 0, dropped, at_most=True)
    yield Goal(f"{text}, rate off its plan in %", 0.1, off, at_most=True)


def report(
    medians: Mapping[str, Figures],
    goals: Sequence[Goal],
    options: Namespace,
    versions: Mapping[str, str],
) -> str:
    """The machine, the figures and the goals, as Markdown."""
    clients = {"stressrun": __version__, **versions, "nginx": nginx_version()}
    return "\n\n".join(
        [
            f"{date.today()}, {machine()}; medians of {options.rounds} × {options.seconds} s. "
            + ", ".join(f"{name} {version}" for name, version in clients.items()),
            wake_up_cost(),
            table(_COLUMNS, [(name, *_cells(figures)) for name, figures in medians.items()]),
            goals_table(goals),
        ]
    )


_COLUMNS = (
    "client",
    "requests/s",
    "requests per CPU second",
    "… with start-up",
    "… of the worker",
    "peak MB",
    "… of the worker",
    "lag p99 µs",
    "dropped",
    "rate / plan",
)


def _cells(figures: Figures) -> tuple[str, ...]:
    return (
        whole(figures.per_second),
        whole(figures.under_load),
        whole(figures.whole_run),
        whole(figures.of_worker),
        whole(figures.peak / 1e6),
        whole(scaled(figures.worker_peak, 1e-6)),
        whole(scaled(figures.lag_p99, 1e6)),
        whole(figures.dropped),
        "—" if figures.achieved is None else f"{figures.achieved:.4f}",
    )


def arguments() -> ArgumentParser:
    parser = ArgumentParser(description=__doc__)
    names = [*(contender.name for contender in stressrun_contenders()), *PEERS]
    parser.add_argument("--rounds", type=int, default=3, help="turns of each client (default 3)")
    parser.add_argument("--seconds", type=int, default=10, help="length of a turn (default 10)")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument(
        "--autocannon", default="autocannon", help="path of autocannon (default: on PATH)"
    )
    parser.add_argument(
        "--peers-python",
        default=sys.executable,
        help="Python that has locust and molotov (default: this one)",
    )
    return parser


if __name__ == "__main__":
    main(arguments(), benchmark)
