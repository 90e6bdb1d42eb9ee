"""The controller's side of its mocks: started before all services, told of stages, ended last."""

from __future__ import annotations

import errno
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from signal import SIGKILL, SIGTERM

import trio

from stressrun.errors import ExitCode, SetupError, StressrunError
from stressrun.load.stage import StageResult
from stressrun.metrics.mock_calls import MockCalls
from stressrun.run.transport import Channel, Message
from stressrun.safety.ledger import LedgerError
from stressrun.scenario.load import Document
from stressrun.scenario.model import MockService, Scenario
from stressrun.services.launching import Launched, Launcher
from stressrun.services.ports import LOOPBACK, PortTakenError
from stressrun.services.process import describe_status
from stressrun.services.running import Lost
from stressrun.units import format_duration

# How long a mock may take to draw its data, and how long to tell what it has counted.
_PREPARATION = 120.0
_PATIENCE = 10.0
_BACKLOG = 4096


class MockSilent(StressrunError):  # noqa: N818 - a part of the generator is gone: a run is invalid
    """A mock does not tell what it was asked: what hung on it measures nothing."""

    exit_code = ExitCode.INVALID


@dataclass(slots=True)
class _Mock:
    """A mock's process, noted before it is there, and the channel to it.

    One that is not `ready` yet is asked nothing, and one that was `silent` is not asked again.
    """

    name: str
    launched: Launched
    channel: Channel
    ready: bool = False
    silent: bool = False

    async def tell(self, message: Message) -> None:
        # One that is gone is noticed where its answer is awaited.
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self.channel.send(message)

    async def receive(self, patience: float) -> Message | None:
        """What it says next; None when it has ended. Raises MockSilent."""
        with trio.move_on_after(patience) as waiting:
            message = await self.channel.receive()
        if waiting.cancelled_caught:
            self.silent = True
            raise MockSilent(
                f"the mock {self.name} has said nothing for {patience:.0f} s",
                hint="its machine was suspended or overloaded: run again",
            )
        if message is None and self.launched.process is not None:
            await self.launched.process.wait()
        return message


class Mocks:
    """All mocks of a run; with `keep` they may outlive this process."""

    def __init__(self, launcher: Launcher, *, keep: bool, told: Callable[[str], None]) -> None:
        self._launcher = launcher
        self._keep = keep
        self._told = told
        self._mocks: list[_Mock] = []
        self._released: list[_Mock] = []

    async def start(
        self, scenario: Scenario, document: Document, values: Mapping[str, str]
    ) -> None:
        """Start the mocks of a resolved scenario on their ports, and wait until they answer.

        Raises SetupError, PortTakenError where somebody else listens there. Call it on the main
        thread.
        """
        services = document.get("services", {})
        assert isinstance(services, dict)
        begin = time.monotonic()
        for mock in scenario.mocks:
            self._launch(mock, int(values[f"services.{mock.name}.port"]))
        for mock, started in zip(scenario.mocks, self._mocks, strict=True):
            order: Message = {
                "name": mock.name,
                "service": services[mock.name],
                "stages": [stage.name for stage in scenario.stages],
                "seed": scenario.random_seed,
                "stays": self._keep,
            }
            await started.tell(order)
        for started in self._mocks:
            await self._await_ready(started)
            place = f"{LOOPBACK}:{values[f'services.{started.name}.port']}"
            took = format_duration(time.monotonic() - begin)
            self._told(f"mock {started.name} is ready at {place} ({took})")

    async def begin(self, result: StageResult, start: int) -> None:
        """Tell of a stage that begins at an instant in nanoseconds."""
        for mock in self._mocks:
            await mock.tell({"do": "stage", "name": result.stage.name, "start": start})

    async def finish(self, result: StageResult) -> None:
        """Put the calls of a stage that has ended into its result.

        Those of a mock that has ended itself are lost with it. Raises MockSilent.
        """
        for mock in self._mocks:
            calls = await self._ask(mock)
            if calls is not None:
                result.mocks[mock.name] = calls

    async def set_back(self) -> None:
        """Have all of them be as they were when they were started."""
        for mock in self._mocks:
            await mock.tell({"do": "set back"})

    def lost(self) -> list[Lost]:
        """The mocks that have ended by themselves."""
        return [
            Lost(process.name, describe_status(process.status), process.tail())
            for mock in self._mocks
            if (process := mock.launched.process) is not None and process.status is not None
        ]

    def pids(self) -> Mapping[str, int]:
        """The number of each one's process, by name."""
        return {
            mock.name: process.pid
            for mock in self._mocks
            if (process := mock.launched.process) is not None
        }

    async def close(self) -> None:
        """End all of them; tells of requests outside of stages that no route fitted.

        Does not raise: what could not be ended stays in the ledger.
        """
        with trio.CancelScope(shield=True):
            while self._mocks:
                mock = self._mocks.pop()
                try:
                    await self._tell_of_unmatched(mock)
                    await mock.channel.close()
                    survivors = await self._launcher.end(mock.launched)
                except LedgerError as error:
                    self._told(error.message)
                    continue
                if survivors:
                    self._told(f"mock {mock.name}: processes {survivors} could not be ended")

    def release(self) -> None:
        """Let them go on without us, as the ledger names them."""
        # Kept, because the end of a handle would warn that its process still runs.
        self._released, self._mocks = self._mocks, []

    def _launch(self, mock: MockService, port: int) -> None:
        with listening(mock.name, port) as listener:
            launched = self._launcher.note(mock.name, (SIGTERM,))
            ours, theirs = socket.socketpair()
            self._mocks.append(_Mock(mock.name, launched, Channel(ours)))
            with theirs:
                descriptors = [theirs.fileno(), listener.fileno()]
                self._launcher.launch(
                    launched,
                    # Without -P a module of the user's folder could take the place of a library.
                    [
                        *(sys.executable, "-P", "-m", "stressrun.services.mock.process"),
                        *map(str, descriptors),
                    ],
                    cwd=".",
                    env=os.environ,
                    pass_fds=descriptors,
                    label=f"mock {mock.name!r}",
                    death_signal=None if self._keep else SIGKILL,
                )

    async def _await_ready(self, mock: _Mock) -> None:
        with trio.move_on_after(_PREPARATION):
            if await mock.channel.receive() is not None:
                mock.ready = True
                return
        process = mock.launched.process
        assert process is not None
        ended = "" if process.status is None else f" ({describe_status(process.status)})"
        raise SetupError(
            f"the mock {mock.name} did not start{ended}; its last lines:\n{process.tail()}",
            hint=f"see its log: {process.log}",
        )

    async def _ask(self, mock: _Mock) -> MockCalls | None:
        await mock.tell({"do": "end"})
        answer = await mock.receive(_PATIENCE)
        return None if answer is None else MockCalls.from_wire(answer["calls"])

    async def _tell_of_unmatched(self, mock: _Mock) -> None:
        process = mock.launched.process
        ended = process is None or process.status is not None
        if ended or mock.silent or not mock.ready:
            return
        try:
            calls = await self._ask(mock)
        except MockSilent as silent:
            self._told(silent.message)
            return
        if calls is not None and calls.unmatched:
            count = calls.unmatched.total()
            first = next(iter(calls.unmatched))
            others = f" and {count - 1:,} more" if count > 1 else ""
            self._told(f"mock {mock.name}: no route outside of stages for {first}{others}")


def listening(name: str, port: int) -> socket.socket:
    """A socket that listens on a mock's loopback port. Raises SetupError, PortTakenError."""
    try:
        return socket.create_server((LOOPBACK, port), backlog=_BACKLOG)
    except OSError as error:
        # Its own text names the address once more.
        why = os.strerror(error.errno or 0)
        message = f"mock {name!r} cannot have its port {port}: {why}"
        if error.errno == errno.EADDRINUSE:
            hint = "end the process that listens there, or leave the port out for a free one"
            raise PortTakenError(message, hint=hint) from error
        hint = "give it a port from 1024 on" if isinstance(error, PermissionError) else ""
        raise SetupError(message, hint=hint) from error
