"""The least that a client in Python uses for a request at 2,000/s: no scenario, nothing recorded.

    python benchmarks/floor.py [--rounds 5] [--seconds 5]

Fifty connections to nginx, an arrival every 500 µs by a timerfd, a response parsed by httptools,
and nothing else. Twice a round: once the client is woken by each arrival and by each answer, once
by arrivals alone. Then it reads what has come in meanwhile, and the kernel's own time stamps say
when that was: there is no way to be woken less often and still start in time.
"""

from __future__ import annotations

import sys
from pathlib import Path

# This folder holds a module called http, which would hide Python's own.
sys.path.pop(0)
sys.path.insert(0, str(Path(__file__).parents[1]))

import os
import socket
import struct
import time
from argparse import ArgumentParser, Namespace
from collections import deque
from dataclasses import dataclass

import httptools
from tabulate import tabulate

from benchmarks.measuring import CLIENT_CORE, BenchmarkError, machine, main, wake_up_cost
from benchmarks.nginx import nginx_running
from benchmarks.turns import in_turns
from stressrun.http.poller import READ, Poller, Timer

_RATE = 2_000
_CONNECTIONS = 50
_REQUEST = b"GET /products/4711 HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: floor\r\n\r\n"
# Of Linux's <asm-generic/socket.h>; Python does not name it.
_SO_TIMESTAMPNS = 35
_STAMP = struct.Struct("qq")


@dataclass(frozen=True, slots=True)
class Way:
    """How the client learns of an answer."""

    name: str
    woken_by_answers: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one turn: requests per CPU second, wake-ups a request, the median latency in µs."""

    per_cpu_second: float
    wake_ups: float
    p50: float


class Connection:
    """A kept-alive connection with at most one request on it, which was `due` at an instant."""

    def __init__(self, port: int, *, stamped: bool) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if stamped:
            self.socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self.socket.setblocking(False)
        self.due = 0
        self.stamped = stamped
        self._done = False
        self._parser = httptools.HttpResponseParser(self)

    def on_message_complete(self) -> None:
        self._done = True

    def read(self) -> int:
        """The answer's latency in ns; 0: it is not complete. Raises BlockingIOError."""
        if self.stamped:
            data, notes, _, _ = self.socket.recvmsg(16384, 64)
            now = time.monotonic_ns() - _age(notes)
        else:
            data = self.socket.recv(16384)
            now = time.monotonic_ns()
        self._parser.feed_data(data)
        if not self._done:
            return 0
        self._done = False
        return now - self.due


def _age(notes: list[tuple[int, int, bytes]]) -> int:
    """How long ago the kernel has received what was read, in ns."""
    for _, kind, stamp in notes:
        if kind == _SO_TIMESTAMPNS:
            seconds, nanoseconds = _STAMP.unpack(stamp)
            return time.time_ns() - int(seconds * 1_000_000_000 + nanoseconds)
    raise BenchmarkError("the kernel does not say when it received an answer")


def load(way: Way, port: int, seconds: float) -> Figures:
    """A turn of one way, on the core that is the client's."""
    idle = [Connection(port, stamped=not way.woken_by_answers) for _ in range(_CONNECTIONS)]
    by_descriptor = {each.socket.fileno(): each for each in idle}
    waiting: deque[Connection] = deque()
    latencies: list[int] = []
    poller, timer = Poller(), Timer()
    poller.register(timer.descriptor, READ)
    for descriptor in by_descriptor if way.woken_by_answers else ():
        poller.register(descriptor, READ)
    due = time.monotonic_ns() + 10_000_000
    end, sent, woken = due + round(seconds * 1e9), 0, 0
    timer.arm(due)
    begin = time.process_time()
    while due < end:
        woken += 1
        for descriptor, _ in poller.poll():
            if descriptor != timer.descriptor:
                connection = by_descriptor[descriptor]
                if latency := connection.read():
                    latencies.append(latency)
                    idle.append(connection)
                continue
            _take(waiting, idle, latencies)
            now = time.monotonic_ns()
            while due <= now and idle:
                connection = idle.pop()
                connection.due = due
                connection.socket.send(_REQUEST)
                waiting.append(connection)
                due += 1_000_000_000 // _RATE
                sent += 1
            timer.arm(due)
        if way.woken_by_answers:
            waiting.clear()
    used = time.process_time() - begin
    for connection in by_descriptor.values():
        connection.socket.close()
    timer.close()
    poller.close()
    latencies.sort()
    return Figures(sent / used, woken / sent, latencies[len(latencies) // 2] / 1e3)


def _take(waiting: deque[Connection], idle: list[Connection], latencies: list[int]) -> None:
    """Read the answers that are there, those of the oldest requests first."""
    for _ in range(len(waiting)):
        try:
            latency = waiting[0].read()
        except BlockingIOError:
            return
        if latency:
            latencies.append(latency)
            idle.append(waiting.popleft())


def compare(options: Namespace) -> int:
    ways = [Way("woken by each", woken_by_answers=True), Way("by arrivals", woken_by_answers=False)]
    os.sched_setaffinity(0, {CLIENT_CORE})
    with nginx_running() as nginx:
        taken = in_turns(
            ways,
            options.rounds,
            lambda way: load(way, nginx.port, options.seconds),
            lambda figures: f"{figures.per_cpu_second:,.0f} requests per CPU second",
        )
    print(f"\n{machine()}; medians of {options.rounds} × {options.seconds:.0f} s\n")
    print(f"{wake_up_cost()}\n")
    headers = ("the client is", "requests per CPU second", "µs", "wake-ups a request", "p50 µs")
    rows = [
        (
            name,
            f"{figures.per_cpu_second:,.0f}",
            f"{1e6 / figures.per_cpu_second:.1f}",
            f"{figures.wake_ups:.2f}",
            f"{figures.p50:.0f}",
        )
        for name, figures in taken.medians.items()
    ]
    print(tabulate(rows, headers=headers, tablefmt="github"))
    return 0 if taken.sound else 1


def arguments() -> ArgumentParser:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5)
    return parser


if __name__ == "__main__":
    main(arguments(), compare)
