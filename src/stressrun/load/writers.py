"""Who does the operations of write mixes: writers with a connection each, and their mixes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Container, Generator
from typing import Any

import psycopg

from stressrun.load.executors import Executor, executor, most_users
from stressrun.load.pacing import Pacing, Segment
from stressrun.metrics.recorder import Recorder, Row, Sample
from stressrun.postgres.failure import CANCELED, error_kind
from stressrun.postgres.mix import Program
from stressrun.postgres.operations import Operation, Plan
from stressrun.postgres.pool import Connect
from stressrun.postgres.session import Done, Session
from stressrun.scenario.model import Arrivals, Stage


class Task:
    """One operation under way, and where it is counted.

    Instants are nanoseconds: `due` is 0 where only its beginning counts. `lag` is what of its time
    was the generator's own, where it is worth keeping. Once it is `ending`, the server is asked to
    cancel it.
    """

    __slots__ = ("begin", "due", "ending", "index", "lag", "operation", "plan", "row", "settled")

    def __init__(self, operation: Operation, row: Row, index: int, due: int) -> None:
        self.operation = operation
        self.row = row
        self.index = index
        self.due = due
        self.begin = 0
        self.lag = 0
        self.plan: Plan = None
        self.settled = False
        self.ending = False
        row.planned += 1

    def succeed(self, done: Done, end: int) -> None:
        """It did what it was to do."""
        row = self.row
        row.rows += done.rows
        row.rows_added += done.added
        begin = self.begin
        response = end - (self.due or begin)
        row.succeed(end - begin, response, done.sent, done.received)
        if self.lag:
            row.lag(response, self.lag)
        self.settled = True

    def fail(self, error: psycopg.Error, end: int) -> None:
        """The server refused it, or had to end it."""
        if self.ending and error.sqlstate == CANCELED:
            self.interrupt()
        else:
            self.refuse(error_kind(error), error, end)

    def refuse(self, kind: str, error: Exception, end: int) -> None:
        """It came to nothing."""
        self._keep_sample(kind, error)
        if self.plan is not None:
            self.operation.failed(self.plan)
        begin = self.begin
        service = end - begin if begin else None
        response = end - (self.due or begin or end)
        self.row.fail(kind, service, response, 0, 0)
        if self.lag:
            self.row.lag(response, self.lag)
        self.settled = True

    def interrupt(self) -> None:
        """It had no time left, and did nothing."""
        if self.plan is not None:
            self.operation.failed(self.plan)
        self.row.interrupted += 1
        self.settled = True

    def lose(self, error: psycopg.Error | None) -> None:
        """The server may have done it, and could not say so any more."""
        if error is not None:
            self._keep_sample(error_kind(error), error)
        self.row.unknown += 1
        self.settled = True

    def _keep_sample(self, kind: str, error: Exception) -> None:
        if self.row.wants_sample(kind):
            message = " ".join(str(error).split())
            # Of several statements the one that failed.
            failed = getattr(error, "__notes__", [self.operation.text])[0]
            self.row.keep(Sample(kind, message, failed, ""))


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
        self.supply = program.supply
        self.depth = program.mix.pipeline
        self.connect = connect
        self.writers: list[Writer] = []
        self.idle: list[Writer] = []
        self.resting: list[Writer] = []
        self.executor: Executor | None = None
        self.running = 0
        self.free_since = 0
        self._table = program.table
        self._counted = [
            (operation, recorder.row("operation", f"{self.name}.{operation.name}"))
            for operation in program.operations
        ]
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
        # The last is the first to start: one that has a connection.
        connected_first = sorted(self.writers, key=lambda writer: writer.session is None)
        self.idle = connected_first[: most_users(load)][::-1]
        self.resting.clear()

    @property
    def name(self) -> str:
        return self.program.mix.name

    def task(self, number: int, due: int) -> Task:
        """What the executor's number is to do; no stage repeats an index of another."""
        index = self._first_index + number
        if index >= self._next_index:
            self._next_index = index + 1
        table = self._table
        operation, row = self._counted[table[index % len(table)]]
        return Task(operation, row, index, due)

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
            self.task(number, 0).row.dropped += 1


def spare(connected: Collection[Writer], busy: Container[Writer]) -> Writer | None:
    """Whose connection to give up next: of those that the stage does not use, else of all."""
    free = [writer for writer in connected if writer not in busy]
    unused = [writer for writer in free if writer not in writer.mix.idle]
    counts = _connections(connected)
    return max(unused or free, key=lambda writer: counts[writer.mix], default=None)


def gives(mix: MixLoad, connected: Collection[Writer]) -> bool:
    """Whether a mix is to give a connection up: its last one when no other has more, either."""
    counts = _connections(connected)
    return counts[mix] > 1 or max(counts.values()) == 1


def _connections(connected: Collection[Writer]) -> Counter[MixLoad]:
    return Counter(writer.mix for writer in connected)
