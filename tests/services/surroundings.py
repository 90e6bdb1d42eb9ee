"""What a run has around its services, and how to see that nothing of it is left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from stressrun.safety.guard import Guard
from stressrun.safety.ledger import Ledger
from stressrun.scenario.model import CommandService, Readiness
from stressrun.services.guardian import Guardian
from stressrun.services.process import MARK
from stressrun.services.running import Services

leaving_sockets = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
"""Cancelled within a handshake, httpcore leaves its socket to the garbage collector."""


def marked(run_id: str) -> list[int]:
    """The live processes of a run."""
    found = []
    for process in psutil.process_iter(["environ", "status"]):
        mark = (process.info["environ"] or {}).get(MARK, "")
        if mark.startswith(run_id) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found


def eventually(condition: Callable[[], object], within: float = 20.0) -> None:
    """Wait until a condition holds; it fails the test when it does not."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


@dataclass
class Run:
    """What a run would have: an id, a directory, a ledger, a guardian."""

    run_id: str
    directory: Path
    ledger: Ledger
    guardian: Guardian
    told: list[str]

    def services(self, *, keep: bool = False, guard: Guard | None = None) -> Services:
        return Services(
            run_id=self.run_id,
            directory=self.directory,
            ledger=self.ledger,
            guardian=self.guardian,
            guard=guard or Guard(),
            keep=keep,
            told=self.told.append,
        )

    def command(
        self,
        name: str,
        script: str,
        *,
        ready: Readiness | None = None,
        port: int | None = None,
    ) -> CommandService:
        """A service that is a Python script."""
        path = self.directory / f"{name}.py"
        path.write_text(script)
        command = (sys.executable, str(path))
        ready = ready or Readiness(None, 20.0)
        return CommandService(name, command, {}, str(self.directory), port, ready)

    def left(self) -> list[int]:
        return marked(self.run_id)
