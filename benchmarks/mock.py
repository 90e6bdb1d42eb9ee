"""What a mock costs: calls per second of its CPU, under wrk on another core.

python benchmarks/mock.py [--seconds 5]
"""

from __future__ import annotations

import sys
from pathlib import Path

# This folder holds a module called http, which would hide Python's own.
sys.path.pop(0)
sys.path.insert(0, str(Path(__file__).parents[1]))

import socket
import subprocess
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from shutil import which
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.measuring import CLIENT_CORE, SERVER_CORE, BenchmarkError, machine, main
from benchmarks.tables import table
from stressrun.metrics.mock_calls import MockCalls
from stressrun.metrics.summary import summarise
from stressrun.services.mock.control import Control
from stressrun.verdict.mocks import lag_of

_WANTED = 20_000
_CONNECTIONS = 50
_CHARGE = {"id": "${uuid}", "amount": "${body.amount}", "status": "succeeded"}
_LUA = """
wrk.method = "POST"
wrk.path = "/charges"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"amount": 4200, "currency": "EUR", "customer": "cus_1"}'
"""
_ROUTES: Mapping[str, Mapping[str, Any]] = {
    "always the same": {"on": "POST /charges", "respond": {"json": {"status": "succeeded"}}},
    "from what was asked": {"on": "POST /charges", "respond": {"json": _CHARGE}},
    "and after 1 to 5 ms": {
        "on": "POST /charges",
        "respond": {"json": _CHARGE},
        "latency": {"p50": "1ms", "p99": "5ms"},
        "fail": [{"status": 503, "share": "1%"}],
    },
}


@dataclass(frozen=True, slots=True)
class _Mock:
    """A mock that runs, and its port."""

    control: Control
    port: int

    def ask(self, **order: object) -> Mapping[str, Any]:
        self.control.send(order)
        answer = self.control.wait()
        if answer is None:
            raise BenchmarkError("the mock ended")
        return answer


def mock(options: Namespace) -> int:
    """Measure and print; 1 when the goal is not met."""
    if which("wrk") is None:
        raise BenchmarkError("wrk is missing: apt install wrk")
    print(machine())
    rows, met = [], True
    for name, route in _ROUTES.items():
        calls = _measured(route, options.seconds)
        per_second = calls.calls / calls.cpu_seconds
        met = met and per_second >= _WANTED
        lag = summarise(lag_of([calls]))
        late = "—" if lag.p99 is None else f"{lag.p99 * 1e6:.0f} µs"
        rate = f"{calls.calls / calls.seconds:,.0f}"
        rows.append([name, rate, f"{per_second:,.0f}", f"{calls.cpu_share:.0%}", late])
    headers = ("answers", "calls/s", "calls per CPU second", "of its core", "lag p99")
    print(table(headers, rows))
    print(f"wanted: {_WANTED:,} calls per CPU second: {'met' if met else 'not met'}")
    return 0 if met else 1


def _measured(route: Mapping[str, Any], seconds: float) -> MockCalls:
    with _running(route) as running, TemporaryDirectory() as folder:
        script = Path(folder, "post.lua")
        script.write_text(_LUA)
        running.control.send({"do": "stage", "name": "load", "start": time.monotonic_ns()})
        subprocess.run(
            [
                *("taskset", "-c", str(CLIENT_CORE), "wrk", "-t1", f"-c{_CONNECTIONS}"),
                *(f"-d{seconds:.0f}s", "-s", str(script), f"http://127.0.0.1:{running.port}/"),
            ],
            check=True,
            capture_output=True,
        )
        return MockCalls.from_wire(running.ask(do="end")["calls"])


@contextmanager
def _running(route: Mapping[str, Any]) -> Iterator[_Mock]:
    ours, theirs = socket.socketpair()
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener, theirs, ours:
        descriptors = (theirs.fileno(), listener.fileno())
        module = "stressrun.services.mock.process"
        process = subprocess.Popen(
            ["taskset", "-c", str(SERVER_CORE), sys.executable, "-P", "-m", module]
            + [str(descriptor) for descriptor in descriptors],
            pass_fds=descriptors,
        )
        theirs.close()
        running = _Mock(Control(ours), listener.getsockname()[1])
        try:
            service = {"mock": [route]}
            running.ask(name="m", service=service, stages=["load"], seed=1, stays=False)
            yield running
        finally:
            process.terminate()
            process.wait()


def arguments() -> ArgumentParser:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each turn")
    return parser


if __name__ == "__main__":
    main(arguments(), mock, cores={SERVER_CORE, CLIENT_CORE})
