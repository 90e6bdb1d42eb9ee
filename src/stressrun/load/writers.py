"""Who does the operations of write mixes: writers with a connection each, and their mixes."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from stressrun.load.executors import Executor, executor, most_users
from stressrun.load.pacing import Pacing, Segment
from stressrun.metrics.recorder import Recorder, Row
from stressrun.postgres.mix import Program
from stressrun.postgres.operations import Operation, Plan
from stressrun.postgres.pool import Connect
from stressrun.postgres.session import Session
from stressrun.scenario.model import Arrivals, Stage


class Task:
    """One operation under way: what it is to do, when it was due and when it began (ns).

    Where it keeps no time, `due` is 0 until it begins.
    """

    __slots__ = ("begin", "due", "index", "operation", "plan", "row", "settled")

    def __init__(self, operation: Operation, row: Row, index: int, due: int) -> None:
        self.operation = operation
        self.row = row
        self.index = index
        self.due = due
        self.begin = 0
        self.plan: Plan = None
        self.settled = False


class Writer:
    """One worker of a mix; its connection lives for the whole run, unless it is lost.

    It has one task under way, or in a pipeline several, and the `steps` that bring it on.
    """

    __slots__ = ("attempts", "descriptor", "mix", "session", "steps", "tasks", "waits_to_write")

    def __init__(self, mix: MixLoad) -> None:
        self.mix = mix
        self.session: Session | None = None
        self.descriptor = -1
        self.steps: Generator[Any, Any, Any] | None = None
        self.tasks: list[Task] = []
        self.attempts = 0
        self.waits_to_write = False


class MixLoad:
    """One mix, its writers, and what a stage wants of them.

    `idle` writers can start an operation; `resting` ones have given up their connections, so that
    the server keeps some free.
    """

    def __init__(self, program: Program, recorder: Recorder, connect: Connect) -> None:
        self.program = program
        self.connect = connect
        self.writers: list[Writer] = []
        self.idle: list[Writer] = []
        self.resting: list[Writer] = []
        self.executor: Executor | None = None
        self.running = 0
        self.free_since = 0
        self._recorder = recorder
        self._rows: dict[str, Row] = {}
        self._first_index = 0
        self._next_index = 0
        self._pacing: Pacing | None = None
        self._start = 0

    def begin(self, stage: Stage, start: int, seed: int, site: str) -> None:
        """Begin a stage at an instant, for as many writers as its load has."""
        load = stage.writes
        assert load is not None
        self.executor = executor(load, stage.duration, Segment(0, 1), start, seed, site)
        self._pacing = Pacing(load.rate, stage.duration) if isinstance(load, Arrivals) else None
        self._start = start
        self.free_since = 0
        self._first_index = self._next_index
        self.idle = self.writers[: most_users(load)]
        self.resting.clear()

    @property
    def name(self) -> str:
        return self.program.mix.name

    def operation(self, number: int) -> tuple[Operation, int]:
        """The operation of a stage's number, and its index, which no stage repeats."""
        index = self._first_index + number
        self._next_index = max(self._next_index, index + 1)
        return self.program.choose(index), index

    def row(self, operation: Operation) -> Row:
        """Where an operation is counted."""
        row = self._rows.get(operation.name)
        if row is None:
            name = f"{self.program.mix.name}.{operation.name}"
            row = self._rows[operation.name] = self._recorder.row("operation", name)
        return row

    def stop(self, now: int) -> None:
        """Start nothing more."""
        if self.executor is not None:
            self.executor.end = min(self.executor.end, now)

    def waiting(self, now: int) -> int:
        """About how many operations are due and have no free writer."""
        if self._pacing is None or self.idle:
            return 0
        elapsed = (now - self._start) / 1e9
        return max(
            0, round(self._pacing.expected(elapsed)) - (self._next_index - self._first_index)
        )

    def drop(self, now: int) -> None:
        """Count what was due by now and never started."""
        assert self.executor is not None
        for number in self.executor.drop(now):
            operation, _ = self.operation(number)
            row = self.row(operation)
            row.planned += 1
            row.dropped += 1
