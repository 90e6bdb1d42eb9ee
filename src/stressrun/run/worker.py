"""A worker: the process in which load runs, away from drawing, monitoring and reporting.

`python -m stressrun.run.worker DESCRIPTOR` talks to the controller over a socket pair: it is told
to prepare, to run a stage from an agreed instant, and to stop; it says what it measured every
250 ms. When the controller is gone, it ends at once.
"""

from __future__ import annotations

import gc
import os
import resource
import socket
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import trio

from stressrun.errors import StressrunError
from stressrun.load.pacing import Segment
from stressrun.load.stage import PoolReading
from stressrun.metrics.recorder import Recorder
from stressrun.run.meter import GeneratorMeter
from stressrun.run.transport import Channel, Message
from stressrun.safety.guard import Guard
from stressrun.scenario.build import scenario_from
from stressrun.scenario.model import Stage

_TELEMETRY_INTERVAL = 0.25


class Runner(Protocol):
    """What runs one kind of load in a worker: endpoints, or writes."""

    @property
    def most_running(self) -> int: ...

    @property
    def pool(self) -> PoolReading | None: ...

    async def prepare(self, guard: Guard) -> None: ...

    async def watch(self) -> None:
        """What goes on besides the stages, until cancelled."""

    async def run(self, stage: Stage, number: int, start: int) -> None: ...

    def stop(self) -> None: ...

    async def close(self) -> None: ...


class Worker:
    """Serves one controller."""

    def __init__(self, channel: Channel, nursery: trio.Nursery) -> None:
        self._channel = channel
        self._nursery = nursery
        self._recorder = Recorder()
        self._meter = GeneratorMeter()
        self._runner: Runner | None = None
        self._stage_scope = trio.CancelScope()
        self._grace = 0.0

    async def serve(self) -> None:
        """Do what the controller says until it is gone."""
        try:
            while (message := await self._channel.receive()) is not None:
                match message["do"]:
                    case "prepare":
                        await self._prepare(message)
                    case "stage":
                        self._start_stage(message["number"], message["start"])
                    case "stop":
                        self._stop()
        finally:
            self._nursery.cancel_scope.cancel()
            if self._runner is not None:
                with trio.move_on_after(5, shield=True):
                    await self._runner.close()

    async def _prepare(self, message: Message) -> None:
        try:
            self._scenario = scenario_from(message["scenario"])
            guard = Guard(self._scenario.allow_hosts)
            self._runner = self._make_runner(message)
            await self._runner.prepare(guard)
        except StressrunError as error:
            await self._channel.send(
                {
                    "said": "failed",
                    "message": error.message,
                    "hint": error.hint,
                    "exit_code": int(error.exit_code),
                }
            )
            return
        self._nursery.start_soon(self._runner.watch)
        # What exists now lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        await self._channel.send({"said": "ready"})

    def _make_runner(self, message: Message) -> Runner:
        if message["load"] == "endpoints":
            from stressrun.load.endpoints import EndpointRunner

            return EndpointRunner(
                self._scenario,
                Segment(*message["segment"]),
                self._recorder,
                run_id=message["run_id"],
                rows=message["rows"],
            )
        from stressrun.load.writes import WriteRunner

        return WriteRunner(
            self._scenario,
            self._recorder,
            run_id=message["run_id"],
            ledger_directory=Path(message["ledger"]) if message["ledger"] else None,
            rows=message["rows"],
        )

    def _start_stage(self, number: int, start: int) -> None:
        stage = self._scenario.stages[number]
        until_end = (start - time.monotonic_ns()) / 1e9 + stage.duration
        deadline = trio.current_time() + until_end + stage.graceful_stop
        self._stage_scope = trio.CancelScope(deadline=deadline)
        self._grace = stage.graceful_stop
        self._nursery.start_soon(self._run_stage, self._stage_scope, number, start)

    async def _run_stage(self, scope: trio.CancelScope, number: int, start: int) -> None:
        assert self._runner is not None
        self._meter.read()
        # It may have been stopped when it was to begin.
        self._meter.woken((time.monotonic_ns() - start) / 1e9)
        with scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._tell, number)
                await self._runner.run(self._scenario.stages[number], number, start)
                nursery.cancel_scope.cancel()
        await self._report(number, "finished")

    def _stop(self) -> None:
        """End the stage now; what is in flight has the stage's grace."""
        if self._runner is not None:
            self._runner.stop()
        deadline = trio.current_time() + self._grace
        self._stage_scope.deadline = min(self._stage_scope.deadline, deadline)

    async def _tell(self, number: int) -> None:
        due = trio.current_time()
        while True:
            due += _TELEMETRY_INTERVAL
            await trio.sleep_until(due)
            self._meter.woken(trio.current_time() - due)
            await self._report(number, "telemetry")

    async def _report(self, number: int, said: str) -> None:
        assert self._runner is not None
        # Drained books must reach the controller even when the stage ends in between.
        with trio.CancelScope(shield=True):
            await self._channel.send(
                {
                    "said": said,
                    "stage": number,
                    "most_running": self._runner.most_running,
                    "books": self._recorder.drain(),
                    "generator": asdict(self._meter.read()),
                    "pool": asdict(pool) if (pool := self._runner.pool) is not None else None,
                }
            )


async def _serve(descriptor: int) -> None:
    channel = Channel(socket.socket(fileno=descriptor))
    async with trio.open_nursery() as nursery:
        await Worker(channel, nursery).serve()


def _raise_descriptor_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> None:
    _raise_descriptor_limit()
    try:
        trio.run(_serve, int(sys.argv[1]))
    except* trio.BrokenResourceError:
        os._exit(1)  # the controller is gone, and with it whoever could be told


if __name__ == "__main__":
    main()
