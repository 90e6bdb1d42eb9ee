"""The HTTP load of one worker: its endpoints compiled, and a lane that lives for the whole run."""

from __future__ import annotations

import time
from ipaddress import ip_address
from socket import AF_INET, AF_INET6
from urllib.parse import urlsplit

import trio

from stressrun.data.mix import draw
from stressrun.http.connection import Address
from stressrun.load.executors import Executor, executor
from stressrun.load.lane import Assignment, Lane
from stressrun.load.pacing import Segment
from stressrun.load.virtual_user import compile_endpoint
from stressrun.metrics.recorder import Recorder
from stressrun.safety.guard import Guard
from stressrun.scenario.model import Arrivals, Scenario, Stage

# Far enough apart that no two stages use the same data, and odd modulo any pool's length.
STAGE_OFFSET = 2**40 + 7919


class EndpointRunner:
    """Runs the endpoints' share of each stage that is one segment's."""

    def __init__(self, scenario: Scenario, segment: Segment, recorder: Recorder) -> None:
        self._scenario = scenario
        self._segment = segment
        self._recorder = recorder
        self._lane: Lane | None = None
        self._executor: Executor | None = None
        self._stopped = False

    @property
    def most_running(self) -> int:
        """The most virtual users that were in an iteration at once in the stage."""
        return self._lane.most_running if self._lane is not None else 0

    async def prepare(self, guard: Guard) -> None:
        """Compile the endpoints and find the API's address.

        Raises RefusedError when the guard refuses it, SetupError when it has no address.
        """
        scenario = self._scenario
        assert scenario.base_url is not None
        base = urlsplit(scenario.base_url)
        assert base.hostname is not None
        port = base.port or 80
        address = await _reachable(await guard.resolve(base.hostname, port), port)
        self._programs = [
            compile_endpoint(
                endpoint,
                self._recorder,
                authority=base.netloc.rpartition("@")[2],
                base_path=base.path.rstrip("/"),
                seed=scenario.random_seed,
            )
            for endpoint in scenario.endpoints
        ]
        self._lane = Lane(address, self._recorder, request_timeout=scenario.request_timeout)

    async def run(self, stage: Stage, number: int, start: int) -> None:
        """Run this worker's share of a stage that begins at an instant in nanoseconds."""
        assert self._lane is not None
        assert stage.endpoints is not None
        load = stage.endpoints
        weights = [endpoint.weight for endpoint in self._scenario.endpoints]
        most = load.max_vus if isinstance(load, Arrivals) else max(load.count.start, load.count.end)
        if self._stopped:
            return
        self._executor = executor(load, stage.duration, self._segment, start)
        await self._lane.run(
            Assignment(
                executor=self._executor,
                endpoints=self._programs,
                table=draw(weights, self._scenario.random_seed, f"stages.{number}.endpoints"),
                offset=number * STAGE_OFFSET,
                max_vus=max(1, self._segment.share(round(most))),
            )
        )

    def stop(self) -> None:
        """Start no more iterations; what runs may go on within its stage's grace."""
        self._stopped = True
        if self._executor is not None and self._lane is not None:
            self._executor.end = min(self._executor.end, time.monotonic_ns())
            self._lane.wake()

    async def close(self) -> None:
        """Close all connections."""
        if self._lane is not None:
            self._lane.close()


async def _reachable(addresses: tuple[str, ...], port: int) -> Address:
    """The first address that accepts a connection; the first of all when none does now."""
    candidates = [
        Address(AF_INET6 if ip_address(address).version == 6 else AF_INET, (address, port))
        for address in addresses
    ]
    if len(candidates) == 1:
        return candidates[0]
    for candidate in candidates:
        with trio.move_on_after(2), trio.socket.socket(candidate.family) as probe:
            try:
                await probe.connect(candidate.address)
            except OSError:
                continue
            return candidate
    return candidates[0]
