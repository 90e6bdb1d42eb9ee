"""The controller's side of its workers: started, told, listened to, ended."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from signal import SIGTERM
from typing import Any

import trio

from stressrun.errors import ExitCode, StressrunError
from stressrun.load.stage import PoolReading, StageResult, WorkerReading, WorkerUse
from stressrun.metrics.recorder import Recorder
from stressrun.run.transport import Channel, Message
from stressrun.safety.masking import Mask
from stressrun.scenario.model import Scenario, Stage
from stressrun.services.process import ServiceProcess, describe_status, spawn

LEAD = 0.1
"""The barrier, in seconds: every worker has heard of a stage before it starts."""

# How long a worker may be silent in a stage, where it speaks every 250 ms, before it is given up.
_PATIENCE = 10.0
# How long it may take to prepare: to draw its data and to open its connections.
_PREPARATION = 120.0


Heard = Callable[[str, Recorder, int], None]
"""Called with a worker's name and news, and the sum of the most virtual users of all workers."""


class WorkerLost(StressrunError):  # noqa: N818 - the generator is gone, which makes a run invalid
    """A worker ended or fell silent: what it measured is incomplete."""

    exit_code = ExitCode.INVALID


class _Worker:
    """One worker process and the channel to it."""

    def __init__(self, name: str, process: ServiceProcess, channel: Channel) -> None:
        self.name = name
        self.process = process
        self.channel = channel
        self.most_running = 0
        self.given_up = False

    async def receive(self, patience: float) -> Message:
        """What the worker says next. Raises WorkerLost when it ends or falls silent."""
        with trio.move_on_after(patience) as waiting:
            message = await self.channel.receive()
        if waiting.cancelled_caught:
            self.given_up = True
            raise WorkerLost(
                f"the worker {self.name} has said nothing for {patience:.0f} s",
                hint="its machine was suspended or overloaded: run again",
            )
        if message is None:
            status = await self.process.wait()
            raise WorkerLost(
                f"the worker {self.name} ended by itself ({describe_status(status)})",
                hint=f"see its log: {self.process.log}",
            )
        return message

    async def tell(self, message: Message) -> None:
        # A worker that is gone is noticed where its answer is awaited.
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self.channel.send(message)


class Crew:
    """All workers of a run: for the endpoints as many as the scenario says, and one for writes."""

    def __init__(self, run_id: str, directory: Path) -> None:
        self._run_id = run_id
        self._directory = directory
        self._workers: list[_Worker] = []
        self._mask = Mask()
        self._stopped = False
        self._lost: WorkerLost | None = None
        self._untold: set[str] = set()

    async def start(
        self,
        scenario: Scenario,
        document: Mapping[str, Any],
        ledger: Path | None,
        rows: Mapping[str, Any],
        mask: Mask,
    ) -> None:
        """Start the workers and wait until each has prepared.

        `rows` are those that the load takes from the database; `mask` takes the
        secrets out of what the workers tell of failures.
        Raises the StressrunError that kept one from it.
        """
        self._mask = mask
        count = scenario.workers if scenario.endpoints else 0
        for index in range(count):
            self._add(f"endpoints-{index}")
        if scenario.writes:
            self._add("writes")
        async with trio.open_nursery() as nursery:
            for index, worker in enumerate(self._workers):
                load = worker.name.partition("-")[0]
                order: Message = {
                    "do": "prepare",
                    "scenario": document,
                    "run_id": self._run_id,
                    "ledger": str(ledger) if ledger else None,
                    "rows": rows,
                    "load": load,
                    "segment": [index, count],
                }
                nursery.start_soon(self._prepare, worker, order)

    @property
    def pids(self) -> list[int]:
        """The numbers of the workers' processes."""
        return [worker.process.pid for worker in self._workers]

    @property
    def untold(self) -> bool:
        """Whether a stage ended before its requests had all been told of."""
        return bool(self._untold)

    @staticmethod
    def next_start(lead: float = LEAD) -> int:
        """The instant in nanoseconds at which a stage that is told of now can start."""
        return time.monotonic_ns() + round(lead * 1e9)

    async def run(self, result: StageResult, start: int, heard: Heard) -> None:
        """Run one stage on all workers and gather what they say into `result`, and tell of it.

        Raises WorkerLost.
        """
        stage = result.stage
        busy = [worker for worker in self._workers if self._has_work(worker, stage)]
        result.generator.uses = {worker.name: WorkerUse() for worker in busy}
        for worker in self._workers:
            worker.most_running = 0
        self._untold |= {worker.name for worker in busy if worker.name != "writes"}
        async with trio.open_nursery() as nursery:
            for worker in busy:
                await worker.tell({"do": "stage", "number": result.number, "start": start})
                if self._stopped:
                    await worker.tell({"do": "stop"})
                nursery.start_soon(self._listen, worker, result, heard)
        if self._lost is not None:
            result.books.settle()
            raise self._lost

    async def stop(self) -> None:
        """Have the workers end their stage now; what is in flight has the stage's grace."""
        self._stopped = True
        for worker in self._workers:
            await worker.tell({"do": "stop"})

    async def close(self) -> None:
        """End all workers and wait until they are gone."""
        with trio.CancelScope(shield=True):
            for worker in self._workers:
                # The end of the channel is a worker's order to end.
                await worker.channel.close()
            async with trio.open_nursery() as nursery:
                for worker in self._workers:
                    nursery.start_soon(_end, worker)
            self._workers.clear()

    def _add(self, name: str) -> None:
        ours, theirs = socket.socketpair()
        try:
            process = spawn(
                f"worker {name}",
                # Without -P a module of the user's folder could take the place of a library.
                [sys.executable, "-P", "-m", "stressrun.run.worker", str(theirs.fileno())],
                log=self._directory / f"worker-{name}.log",
                mark=f"{self._run_id}/worker-{name}",
                env=os.environ,
                pass_fds=[theirs.fileno()],
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._workers.append(_Worker(name, process, Channel(ours)))

    async def _prepare(self, worker: _Worker, order: Message) -> None:
        await worker.tell(order)
        answer = await worker.receive(_PREPARATION)
        if answer["said"] == "failed":
            error = StressrunError(answer["message"], hint=answer["hint"])
            error.exit_code = ExitCode(answer["exit_code"])
            raise error

    @staticmethod
    def _has_work(worker: _Worker, stage: Stage) -> bool:
        return (stage.writes if worker.name == "writes" else stage.endpoints) is not None

    async def _listen(self, worker: _Worker, result: StageResult, heard: Heard) -> None:
        said = ""
        while said != "finished":
            try:
                message = await worker.receive(_PATIENCE)
            except WorkerLost as lost:
                # Without this one the stage measures nothing; what the others did still counts.
                self._lost = lost
                await self.stop()
                return
            said = message["said"]
            books = Recorder.from_wire(message["books"])
            books.mask(self._mask.text)
            result.books.merge(books)
            reading = WorkerReading(**message["generator"])
            result.generator.add(worker.name, reading, books.loop_lag)
            if message["pool"] is not None:
                result.pool.add(PoolReading(**message["pool"]), reading.wall_seconds)
            worker.most_running = message["most_running"]
            most_vus = sum(w.most_running for w in self._workers if w.name != "writes")
            heard(worker.name, books, most_vus)
        self._untold.discard(worker.name)


async def _end(worker: _Worker) -> None:
    if not worker.given_up:
        with trio.move_on_after(5):
            await worker.process.wait()
    await worker.process.stop(signals=[SIGTERM], grace=1.0)
