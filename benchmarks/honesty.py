"""What a freezing server looks like: to stressrun, and to a closed tool beside it.

python benchmarks/honesty.py
"""

from __future__ import annotations

import sys
from pathlib import Path

# This folder holds a module called http, which would hide Python's own.
sys.path.pop(0)
sys.path.insert(0, str(Path(__file__).parents[1]))

import re
import shutil
import socket
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from tabulate import tabulate

from benchmarks.contenders import (
    CONNECTIONS,
    HERE,
    iterations,
    output_of,
    read_hey,
    read_report,
    stressrun_command,
)
from benchmarks.measuring import (
    PATIENCE,
    SERVER_CORE,
    BenchmarkError,
    free_port,
    machine,
    main,
    run_client,
    started,
)

_RATE = 500
_SECONDS = 15
# Seconds: what users feel of three freezes in fifteen seconds.
_RANGES = {
    "mean": (0.090, 0.115),
    "p90": (0.45, 0.55),
    "p95": (0.70, 0.80),
    "p99": (0.93, 1.00),
}


def honesty(_: Namespace) -> int:
    """Run both and print their figures; 1 when stressrun's are not what users feel."""
    print(f"{_RATE}/s for {_SECONDS} s; a server that freezes for 1 s every 5 s; {machine()}\n")
    row = _stressrun_row()
    response, service = row["response"], row["service"]
    lines = []
    for figure in (*_RANGES, "max"):
        low, high = _RANGES.get(figure, (None, None))
        value = response[figure]
        wanted = "" if low is None else f"{_shown(low)} to {_shown(high)}"
        met = "" if low is None else _met(value is not None and low <= value <= high)
        lines.append((figure, _shown(value), _shown(service[figure]), wanted, met))
    print(
        tabulate(
            lines,
            headers=("ms", "response time", "service time", "wanted response time", ""),
            tablefmt="github",
            disable_numparse=True,
        )
    )
    due = _RATE * _SECONDS
    sent, counted = row["succeeded"] + row["failed"], _accounted(row)
    complete = counted == row["planned"] == due and row["failed"] == 0
    print(f"\nstressrun: {sent:,} sent, {counted:,} accounted for of {due:,} due: {_met(complete)}")
    print(_beside())
    return 0 if complete and all(line[-1] != "not met" for line in lines) else 1


def _stressrun_row() -> Mapping[str, Any]:
    with tempfile.TemporaryDirectory(prefix="benchmark-client-") as place, _server() as url:
        folder = Path(place)
        run_client(
            stressrun_command("freezes", folder, ()),
            folder=folder,
            patience=_SECONDS + PATIENCE,
            env={"BASE_URL": url},
        )
        (row,) = iterations(read_report(folder))
        return row


def _beside() -> str:
    """What hey says of the same: 50 connections that each wait for their answers."""
    hey = shutil.which("hey")
    if hey is None:
        return "hey is not installed: nothing to compare with"
    each = str(_RATE // CONNECTIONS)
    with tempfile.TemporaryDirectory(prefix="benchmark-client-") as place, _server() as url:
        folder = Path(place)
        run_client(
            [hey, "-c", str(CONNECTIONS), "-q", each, "-z", f"{_SECONDS}s", url],
            folder=folder,
            patience=_SECONDS + PATIENCE,
        )
        told = read_hey(folder)
        p95 = re.search(r"95% in ([\d.]+) secs", output_of(folder))
    shown = _shown(float(p95[1])) if p95 else "—"
    due = _RATE * _SECONDS
    return (
        f"hey, {CONNECTIONS} connections at {each}/s each: {told.requests:,} answered "
        f"({due - told.requests:,} fewer than due), p95 {shown} ms"
    )


@contextmanager
def _server() -> Iterator[str]:
    port = free_port()
    # -P: with this folder on the path a module called http would hide Python's own.
    command = [sys.executable, "-P", str(HERE / "freezing_server.py"), str(port)]
    with tempfile.TemporaryDirectory(prefix="benchmark-server-") as place:
        folder = Path(place)
        with started(command, folder=folder, core=SERVER_CORE) as process:
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline and process.poll() is None:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.02)
            else:
                raise BenchmarkError(f"the server did not start:\n{output_of(folder)}")
            yield f"http://127.0.0.1:{port}"


def _accounted(row: Mapping[str, Any]) -> int:
    outcomes = ("succeeded", "failed", "dropped", "interrupted", "unknown")
    return sum(row[outcome] for outcome in outcomes)


def _shown(seconds: float | None) -> str:
    return "—" if seconds is None else f"{seconds * 1000:,.1f}"


def _met(met: bool) -> str:
    return "met" if met else "not met"


if __name__ == "__main__":
    main(ArgumentParser(description=__doc__), honesty)
