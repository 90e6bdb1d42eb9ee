"""Whether the fault suite can be relied on: each of its cases again and again, with no flake.

    python benchmarks/faults.py RESULTS [--times 20] [--select signals]

A round runs every case of `tests/run/test_fault_*.py` once, as CI does. What became of each is a
line of the file RESULTS, so that ^C loses one round only: the same command goes on from there, and
another selection has rounds of its own. The table of the selection is printed at the end, and the
exit code is 1 when a case of it has failed.
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
from xml.etree import ElementTree

from tabulate import tabulate

from benchmarks.measuring import BenchmarkError, machine, main

ROOT = Path(__file__).parents[1]
# Of a round: what hangs has a limit of its own in the suite.
PATIENCE = 1800


@dataclass(frozen=True)
class Outcome:
    """One case in one round of a selection; `why` is how it failed or was skipped, in short."""

    round: int
    case: str
    result: str
    seconds: float
    why: str = ""
    select: str = ""


def repeat(options: Namespace) -> int:
    """Do the rounds of a selection that the file of results lacks, then show all of them."""
    path: Path = options.results
    done = max((outcome.round for outcome in read(path, options.select)), default=0)
    for number in range(done + 1, options.times + 1):
        begin = time.monotonic()
        outcomes = run_round(number, options.select)
        with path.open("a") as file:
            file.writelines(json.dumps(asdict(outcome)) + "\n" for outcome in outcomes)
        failed = [outcome for outcome in outcomes if outcome.result == "failed"]
        took = time.monotonic() - begin
        print(f"round {number}: {len(outcomes)} cases, {len(failed)} failed, {took:.0f} s")
        for outcome in failed:
            print(f"  {outcome.case}: {outcome.why}", flush=True)
    return show(read(path, options.select))


def read(path: Path, select: str) -> list[Outcome]:
    if not path.exists():
        return []
    outcomes = (Outcome(**json.loads(line)) for line in path.read_text().splitlines())
    return [outcome for outcome in outcomes if outcome.select == select]


def run_round(number: int, select: str) -> list[Outcome]:
    """Every case once. Raises BenchmarkError when pytest itself failed, or came to no end."""
    cases = [path for path in sorted(ROOT.glob("tests/run/test_fault_*.py")) if select in path.name]
    if not cases:
        raise BenchmarkError(f"no test_fault_*.py has {select!r} in its name")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "junit.xml"
        command = [sys.executable, "-m", "pytest", "-m", "faults or not faults"]
        command += [f"--junit-xml={report}", *map(str, cases)]
        try:
            done = subprocess.run(
                command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise BenchmarkError(f"{' '.join(command)}: no end after {PATIENCE} s") from error
        if done.returncode not in (0, 1):
            raise BenchmarkError(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
        found = ElementTree.parse(report).getroot().iter("testcase")
        return [_outcome(number, case, select) for case in found]


def _outcome(number: int, case: ElementTree.Element, select: str) -> Outcome:
    result, why = "passed", ""
    for child in case:
        if child.tag in ("failure", "error", "skipped"):
            result = "skipped" if child.tag == "skipped" else "failed"
            why = child.get("message", "").partition("\n")[0][:200]
    place = case.get("classname", "").rpartition(".")[2]
    name, seconds = f"{place}::{case.get('name')}", float(case.get("time", 0))
    return Outcome(number, name, result, seconds, why, select)


def show(outcomes: list[Outcome]) -> int:
    """The table, with what failed; 1 when anything has."""
    print(f"\n{machine()}\n")
    rows = []
    for case in sorted({outcome.case for outcome in outcomes}):
        mine = [outcome for outcome in outcomes if outcome.case == case]
        counted = [
            sum(outcome.result == result for outcome in mine) for result in ("failed", "skipped")
        ]
        longest = max(outcome.seconds for outcome in mine)
        rows.append([case, len(mine), *counted, f"{longest:.1f} s"])
    print(
        tabulate(rows, headers=("case", "runs", "failed", "skipped", "longest"), tablefmt="github")
    )
    failed = [outcome for outcome in outcomes if outcome.result == "failed"]
    print(f"\n{len(outcomes):,} runs of {len(rows)} cases, {len(failed)} failed")
    for outcome in failed:
        print(f"  round {outcome.round}: {outcome.case}: {outcome.why}")
    return 1 if failed else 0


def arguments() -> ArgumentParser:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--times", type=int, default=20, help="rounds")
    parser.add_argument("--select", default="", help="only the files with this in their name")
    return parser


if __name__ == "__main__":
    main(arguments(), repeat, cores={0, 1})
