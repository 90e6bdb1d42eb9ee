"""Whether `stressrun compare` can be trusted: how often it is wrong, and how often it finds.

    python benchmarks/compare.py RESULTS [--same 20] [--changed 7]

The demo shop is compared with itself (A/A), and with itself made slower in three ways (A/B), each
by about a fifth of an endpoint's p95: a sleep, a lock held longer, a query more. Each comparison
takes up to a minute. Its outcome is a line of the file RESULTS, so that ^C loses one comparison
only: the same command goes on from there. The table is printed at the end, and the exit code is 1
when a goal is not met.
"""

from __future__ import annotations

import sys
from pathlib import Path

# This folder holds a module called http, which would hide Python's own.
sys.path.pop(0)
sys.path.insert(0, str(Path(__file__).parents[1]))

import json
import subprocess
import tempfile
import time
from argparse import ArgumentParser, Namespace
from dataclasses import asdict, dataclass
from statistics import median

from tabulate import tabulate

from benchmarks.measuring import BenchmarkError, machine, main

SCENARIO = Path(__file__).parent / "scenarios" / "compare.yaml"
PATIENCE = 180


@dataclass(frozen=True)
class Kind:
    """What is changed in head, and the endpoint that this makes slower."""

    name: str
    variable: str
    endpoint: str | None


KINDS = (
    Kind("the same", "SHOP_UNCHANGED=1", None),
    Kind("a sleep of 6 ms", "SHOP_CHECKOUT_SLEEP=0.006", "checkout"),
    Kind("a lock held for 6 ms more", "SHOP_LOCK_SECONDS=0.006", "checkout"),
    Kind("a query more", "SHOP_EXTRA_QUERIES=1", "browse"),
)


@dataclass(frozen=True)
class Outcome:
    """One comparison; effects are shares of base's p95, by endpoint, as the verdicts are."""

    kind: str
    verdicts: dict[str, str]
    effects: dict[str, float | None]
    more_work: bool
    seconds: float


def compare_all(options: Namespace) -> int:
    """Do what is missing in the file of results, then show all of it."""
    wanted = {kind.name: options.changed if kind.endpoint else options.same for kind in KINDS}
    # In turns, so that an hour of the machine's moods meets all of them.
    for number in range(max(wanted.values())):
        for kind in KINDS:
            done = sum(outcome.kind == kind.name for outcome in read(options.results))
            if done <= number < wanted[kind.name]:
                outcome = compare(kind)
                with options.results.open("a") as file:
                    file.write(json.dumps(asdict(outcome)) + "\n")
                print(f"{kind.name} {done + 1}: {outcome.verdicts}, {outcome.seconds:.0f} s")
    return show(read(options.results))


def read(path: Path) -> list[Outcome]:
    if not path.exists():
        return []
    return [Outcome(**json.loads(line)) for line in path.read_text().splitlines()]


def compare(kind: Kind) -> Outcome:
    """One comparison, in a folder of its own. Raises BenchmarkError when it came to no end."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.monotonic()
        command = [sys.executable, "-m", "stressrun", "compare", str(SCENARIO)]
        command += ["--candidate-env", kind.variable]
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        seconds = time.monotonic() - begin
        found = list(Path(folder, ".stressrun").glob("*/comparison.json"))
        if done.returncode not in (0, 1) or len(found) != 1:
            raise BenchmarkError(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
        report = json.loads(found[0].read_text())
    changes = [change for part in report["work"] for change in part["changes"]]
    return Outcome(
        kind.name,
        {finding["name"]: finding["verdict"] for finding in report["findings"]},
        {finding["name"]: finding["effect"] for finding in report["findings"]},
        any(change["changed"] and change["head"] > change["base"] for change in changes),
        seconds,
    )


def show(outcomes: list[Outcome]) -> int:
    """The table and the goals; 1 when one is not met."""
    print(f"\n{machine()}\n")
    rows, found, changed = [], 0, 0
    for kind in KINDS:
        mine = [outcome for outcome in outcomes if outcome.kind == kind.name]
        if not mine:
            continue
        wrong = sum(
            verdict == "regressed" and endpoint != kind.endpoint
            for outcome in mine
            for endpoint, verdict in outcome.verdicts.items()
        )
        hit, effect = "—", "—"
        if kind.endpoint is not None:
            hits = sum(outcome.verdicts[kind.endpoint] == "regressed" for outcome in mine)
            effects = [e for o in mine if (e := o.effects[kind.endpoint]) is not None]
            found, changed, hit = found + hits, changed + len(mine), str(hits)
            effect = f"{median(effects):+.0%} ({min(effects):+.0%} to {max(effects):+.0%})"
        work = sum(outcome.more_work for outcome in mine)
        longest = max(outcome.seconds for outcome in mine)
        rows.append([kind.name, len(mine), hit, effect, wrong, work, f"{longest:.0f} s"])
    headers = ("head is", "runs", "found", "effect on p95", "wrong", "more work", "longest")
    print(tabulate(rows, headers=headers, tablefmt="github"))
    false = sum(
        "regressed" in outcome.verdicts.values()
        for outcome in outcomes
        if outcome.kind == KINDS[0].name
    )
    same = sum(outcome.kind == KINDS[0].name for outcome in outcomes)
    queries = [outcome for outcome in outcomes if outcome.kind == KINDS[3].name]
    goals = [
        ("of A/A at most 1 in 20 called regressed", false <= same / 20, f"{false} of {same}"),
        ("of A/B at least 18 in 20 found", found >= 0.9 * changed, f"{found} of {changed}"),
        (
            "each query more seen as work",
            all(outcome.more_work for outcome in queries),
            f"{sum(outcome.more_work for outcome in queries)} of {len(queries)}",
        ),
    ]
    print()
    for goal, met, reached in goals:
        print(f"{goal}: {reached}, {'met' if met else 'not met'}")
    return 0 if all(met for _, met, _ in goals) else 1


def arguments() -> ArgumentParser:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--same", type=int, default=20, help="comparisons with itself")
    parser.add_argument("--changed", type=int, default=7, help="comparisons of each change")
    return parser


if __name__ == "__main__":
    main(arguments(), compare_all, cores={0, 1})
