"""Which processes are meant by a name: the roots of their trees, at one instant."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from stressrun.data.bounded import TookTooLong
from stressrun.monitor.patterns import Pattern
from stressrun.monitor.proc import Process, ancestors, command_line, listening, sockets_of
from stressrun.scenario.model import NamedProcess

Every = Mapping[int, Process]


class NotThereError(Exception):
    """There is no such process, or we cannot see it; the message says which."""


class Finder(Protocol):
    """Finds the roots among all processes. Raises NotThereError."""

    def __call__(self, every: Every) -> set[int]: ...


def finder(named: NamedProcess, own: Collection[int]) -> Finder:
    """How processes are found that a scenario names; stressrun's `own` are never meant."""
    if named.pid is not None:
        return Started([named.pid])
    if named.port is not None:
        return Listening(named.port)
    assert named.command is not None
    return Running(named.command, own)


class Started:
    """Processes of known numbers, as long as they are the same."""

    def __init__(self, pids: Collection[int]) -> None:
        self._pids = pids
        self._started: dict[int, int] = {}

    def __call__(self, every: Every) -> set[int]:
        found = set()
        for pid in self._pids:
            process = every.get(pid)
            if process is None or process.is_ended:
                continue
            if self._started.setdefault(pid, process.started) == process.started:
                found.add(pid)
        if not found:
            raise NotThereError(f"no process {' '.join(map(str, self._pids))}".rstrip())
        return found


@dataclass(slots=True)
class Listening:
    """Those that listen on a port; who that is is asked again when all of them have ended."""

    port: int
    _found: dict[int, int] | None = None

    def __call__(self, every: Every) -> set[int]:
        alive = {
            pid
            for pid, started in (self._found or {}).items()
            if pid in every and every[pid].started == started and not every[pid].is_ended
        }
        if not alive:
            sockets = listening(self.port)
            if not sockets:
                raise NotThereError(f"nothing listens on port {self.port}")
            alive = {pid for pid in every if not sockets.isdisjoint(sockets_of(pid))}
            self._found = {pid: every[pid].started for pid in alive}
        if not alive:
            raise NotThereError(f"another user's process listens on port {self.port}")
        return alive


class Running:
    """Those in whose command line a pattern is found: not stressrun itself, and who started it."""

    def __init__(self, pattern: str, own: Collection[int]) -> None:
        self._own = own
        self._pattern = pattern
        self._meant = Pattern(re.compile(pattern).search)

    def __call__(self, every: Every) -> set[int]:
        unmeant = {*self._own, *ancestors(os.getpid(), every)}
        lines = {
            pid: line
            for pid, process in every.items()
            if not process.is_ended and pid not in unmeant and (line := command_line(pid))
        }
        try:
            meant = self._meant.found_in(lines.values())
        except TookTooLong as slow:
            raise NotThereError(f"{self._pattern!r} in command lines: {slow}") from None
        found = {pid for pid, line in lines.items() if meant[line]}
        if not found:
            raise NotThereError(f"no process has a command line with {self._pattern!r} in it")
        return found
