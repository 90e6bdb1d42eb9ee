"""Mocks for tests: built from YAML as a scenario has it, and run in a process of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from stressrun.metrics.mock_calls import MockCalls
from stressrun.scenario.mocks import build_mock
from stressrun.scenario.model import MockService
from stressrun.scenario.nodes import Faults, Plain, plain
from stressrun.scenario.part import Part
from stressrun.scenario.source import compose
from stressrun.services.mock.control import Control

STAGES = ("steady", "peak")


def routes_of(source: str) -> Plain:
    """Routes as a scenario's file has them: YAML's own `on` would be true."""
    return plain(compose(source, "mocks.yaml").root)


def mock_of(source: str) -> MockService:
    """The mock `m` of a list of routes."""
    faults = Faults()
    part = Part({"mock": routes_of(source)}, ("services", "m"), faults)
    mock = build_mock("m", part, STAGES)
    assert not faults.found, faults.found
    return mock


class RunningMock:
    """A mock that runs on a port of its own, told of stages as a run tells it."""

    def __init__(self, control: Control, port: int, process: subprocess.Popen[bytes]) -> None:
        self.control = control
        self.port = port
        self.process = process

    def enter(self, stage: str) -> None:
        """Begin a stage, and wait until it has."""
        self.control.send({"do": "stage", "name": stage, "start": time.monotonic_ns()})
        # Orders are obeyed in turn, and what is due comes before what is asked.
        assert self.exchange(b"GET /healthz HTTP/1.1\r\n\r\n")

    def calls(self) -> MockCalls:
        """End the stage: what was counted in it."""
        self.control.send({"do": "end"})
        answer = self.control.wait()
        assert answer is not None
        return MockCalls.from_wire(answer["calls"])

    def connect(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def exchange(self, request: bytes, answers: int = 1) -> bytes:
        """What comes for a request, until so many answers without bodies are there or the end."""
        with self.connect() as client:
            client.sendall(request)
            return received(client, answers)


def received(client: socket.socket, answers: int = 1) -> bytes:
    """What is sent until so many heads with their bodies are there, or until the end."""
    data = b""
    while _complete(data) < answers:
        more = client.recv(65_536)
        if not more:
            break
        data += more
    return data


def _complete(data: bytes) -> int:
    """How many whole answers there are in some bytes."""
    count = 0
    while b"\r\n\r\n" in data:
        head, _, rest = data.partition(b"\r\n\r\n")
        length = next(
            (
                int(line.partition(b":")[2])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            ),
            0,
        )
        if len(rest) < length:
            break
        count += 1
        data = rest[length:]
    return count


@contextmanager
def running_mock(
    source: str, *limits: str, stages: Sequence[str] = STAGES
) -> Iterator[RunningMock]:
    """A mock of a list of routes; `limits` are commands of a shell that come before it."""
    ours, theirs = socket.socketpair()
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener, theirs, ours:
        descriptors = (theirs.fileno(), listener.fileno())
        command = " ".join(
            (sys.executable, "-P", "-m", "stressrun.services.mock.process", *map(str, descriptors))
        )
        process = subprocess.Popen(
            ["/bin/sh", "-c", "; ".join((*limits, f"exec {command}"))],
            pass_fds=descriptors,
            env=os.environ,
        )
        theirs.close()
        mock = RunningMock(Control(ours), listener.getsockname()[1], process)
        try:
            order: dict[str, Any] = {
                "name": "m",
                "service": {"mock": routes_of(source)},
                "stages": list(stages),
                "seed": 1,
                "stays": False,
            }
            mock.control.send(order)
            assert mock.control.wait() == {"said": "ready"}
            yield mock
        finally:
            ours.shutdown(socket.SHUT_RDWR)
            status = process.wait(60)
        assert status == 0
