"""The HTTP load of one worker: its endpoints compiled, and a lane that lives for the whole run."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from stressrun.data.mix import draw
from stressrun.errors import SetupError
from stressrun.http.origin import origin_of
from stressrun.http.resolver import Resolver
from stressrun.http.tls import client_context
from stressrun.load.assignment import Assignment
from stressrun.load.compilation import Compiler
from stressrun.load.executors import Executor, executor, most_users
from stressrun.load.lane import Lane
from stressrun.load.login import LoginProgram
from stressrun.load.pacing import Segment
from stressrun.load.virtual_user import EndpointProgram
from stressrun.metrics.recorder import Recorder, Row
from stressrun.safety.guard import Guard
from stressrun.scenario.model import Request, Scenario, SharedIterations, Stage

if TYPE_CHECKING:
    from stressrun.load.http2 import Http2Lane

# Far enough apart that no two stages use the same data, and odd modulo any pool's length.
STAGE_OFFSET = 2**40 + 7919
# Of one iteration for its own sake, in seconds: each of its requests has a timeout of its own.
_PATIENCE = 300.0


class EndpointRunner:
    """Runs the endpoints' share of each stage that is one segment's."""

    pool = None

    def __init__(
        self,
        scenario: Scenario,
        segment: Segment,
        recorder: Recorder,
        *,
        run_id: str,
        rows: Mapping[str, Any],
    ) -> None:
        self._scenario = scenario
        self._segment = segment
        self._recorder = recorder
        self._run_id = run_id
        self._rows = rows
        self._lane: Lane | Http2Lane | None = None
        self._executor: Executor | None = None
        self._stopped = False

    @property
    def most_running(self) -> int:
        """The most virtual users that were in an iteration at once in the stage."""
        return self._lane.most_running if self._lane is not None else 0

    async def watch(self) -> None:
        """Nothing goes on besides the stages."""

    async def prepare(self, guard: Guard) -> None:
        """Compile the endpoints and find the API's address.

        Raises RefusedError when the guard refuses it, SetupError when it has no address, a TLS
        file or a feeder cannot be used, or the login fails.
        """
        scenario = self._scenario
        compiler = Compiler(
            scenario, self._segment, self._recorder, run_id=self._run_id, rows=self._rows
        )
        self._programs = [compiler.endpoint(endpoint) for endpoint in scenario.endpoints]
        self._lane = await open_lane(scenario, guard, self._recorder)
        if compiler.login is not None and compiler.login.shared:
            await self._log_in(self._lane, compiler.login)

    async def _log_in(self, lane: Lane | Http2Lane, login: LoginProgram) -> None:
        """Log in before the load."""
        endpoint = login_endpoint(login)
        await lane.run(one_iteration(endpoint, index=0))
        books = Recorder.from_wire(self._recorder.drain())
        if not endpoint.row.succeeded:
            kind = next(iter(endpoint.row.errors), "no answer")
            steps = [name for (_, name), row in books.rows.items() if row.failed]
            raise SetupError(
                f"{steps[0] if steps else 'login'} failed before the load: "
                f"{kind.removeprefix('login: ')}",
                hint="see what it sends and gets by: stressrun SCENARIO --once",
            )

    async def run(self, stage: Stage, number: int, start: int) -> None:
        """Run this worker's share of a stage that begins at an instant in nanoseconds."""
        assert self._lane is not None
        assert stage.endpoints is not None
        load = stage.endpoints
        weights = [endpoint.weight for endpoint in self._scenario.endpoints]
        seed = self._scenario.random_seed
        if self._stopped:
            return
        site = f"stages.{number}"
        if self._scenario.watches_database:
            self._recorder.slowest.restart()
        self._executor = executor(load, stage.duration, self._segment, start, seed, site)
        await self._lane.run(
            Assignment(
                executor=self._executor,
                endpoints=self._programs,
                table=draw(weights, seed, f"{site}.endpoints"),
                offset=number * STAGE_OFFSET,
                max_vus=max(1, self._segment.share(most_users(load))),
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


async def open_lane(scenario: Scenario, guard: Guard, recorder: Recorder) -> Lane | Http2Lane:
    """A lane to the API of a scenario, whose address is found. Raises RefusedError, SetupError."""
    assert scenario.base_url is not None
    http2 = scenario.http.protocol == "http2"
    origin = origin_of(scenario.base_url)
    resolver = Resolver(guard, scenario.http.resolve_after)
    if scenario.http.unix_socket is None:
        await resolver.resolve(origin.host, origin.port)
    tls = client_context(scenario.http.tls, alpn=["h2" if http2 else "http/1.1"])
    if http2:
        from stressrun.load.http2 import Http2Lane

        return Http2Lane(scenario.http, resolver, recorder, tls=tls)
    return Lane(
        scenario.http,
        resolver,
        recorder,
        tls=tls,
        shortest_timeout=min(request.timeout for request in _requests(scenario)),
    )


def check_http2() -> None:
    """See that what HTTP/2 needs is installed. Raises SetupError."""
    if find_spec("h2") is None:
        raise SetupError(
            "protocol: http2 needs the package h2, which is not installed",
            hint="pip install 'stressrun[http2]'",
        )


def login_endpoint(login: LoginProgram) -> EndpointProgram:
    """An endpoint whose iterations are nothing but a login, in books of its own."""
    return EndpointProgram(Row(), steps=(), several=True, single=None, sources=(), login=login)


def one_iteration(endpoint: EndpointProgram, index: int) -> Assignment:
    """The work of doing an endpoint one time, now, with the data of an index."""
    load = SharedIterations(iterations=1, vus=1)
    start = time.monotonic_ns()
    once = executor(load, _PATIENCE, Segment(0, 1), start, seed=0, site="once")
    return Assignment(once, [endpoint], table=[0], offset=index, max_vus=1)


def _requests(scenario: Scenario) -> Iterable[Request]:
    for endpoint in scenario.endpoints:
        yield from endpoint.requests
    if scenario.login is not None:
        yield from scenario.login.requests
