"""Whether a service is there: a path that answers 200, or a port that accepts connections."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import urlsplit

import trio

from stressrun.errors import SetupError, StressrunError
from stressrun.http.client import BY_DEFAULT, NoAnswerError, fetch, system_reason
from stressrun.http.origin import origin_of
from stressrun.safety.guard import Guard
from stressrun.scenario.model import Http, Readiness
from stressrun.services.process import ServiceProcess, describe_status
from stressrun.units import format_duration

_POLL = 0.05
_MOST_PER_TRY = 5.0


async def until_ready(
    name: str,
    url: str,
    ready: Readiness,
    guard: Guard,
    process: ServiceProcess | None = None,
    http: Http = BY_DEFAULT,
) -> None:
    """Return when the service at `url`, asked as `http` says, is ready.

    Raises SetupError when it is not in time, or at once when its process ends before; with the
    last lines of its log. Raises what the guard raises.
    """
    if ready.get is None:
        awaited = f"a connection to {http.unix_socket or urlsplit(url).netloc}"
        probe = _Probe(partial(_try_connection, url, guard, http.unix_socket), process)
    else:
        page = url.rstrip("/") + "/" + ready.get.lstrip("/")
        awaited = f"GET {page} to answer 200"
        probe = _Probe(partial(_try_http, page, guard, http), process)

    with trio.move_on_after(ready.within) as scope:
        await probe.run()
    if probe.failure is not None:
        raise probe.failure
    if probe.ended is not None:
        problem = f"ended with {describe_status(probe.ended)} before it was ready"
    elif scope.cancelled_caught:
        problem = f"was not ready within {format_duration(ready.within)}"
    else:
        return
    message = f"service {name!r} {problem}; awaited {awaited}; last seen: {probe.seen}"
    hint = "start it, or correct its url and ready"
    if process is not None:
        message += f"; its last lines:\n{process.tail() or '(its log is empty)'}"
        hint = f"see its command and ready in the scenario, and all of its log in {process.log}"
    raise SetupError(message, hint=hint)


class _Probe:
    """Tries again and again, until one try succeeds or the process ends."""

    def __init__(
        self, attempt: Callable[[], Awaitable[str]], process: ServiceProcess | None
    ) -> None:
        self._attempt = attempt
        self._process = process
        self.seen = "no answer"
        self.ended: int | None = None
        # Kept here, because the nursery would wrap it in a group.
        self.failure: StressrunError | None = None

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._try_on, nursery.cancel_scope)
            if self._process is not None:
                nursery.start_soon(self._watch, self._process, nursery.cancel_scope)

    async def _try_on(self, scope: trio.CancelScope) -> None:
        try:
            while seen := await self._attempt():
                self.seen = seen
                await trio.sleep(_POLL)
        except StressrunError as error:
            self.failure = error
        scope.cancel()

    async def _watch(self, process: ServiceProcess, scope: trio.CancelScope) -> None:
        self.ended = await process.wait()
        scope.cancel()


async def _try_http(url: str, guard: Guard, http: Http) -> str:
    """Empty when the page answers 200, else what was seen."""
    try:
        response = await fetch("GET", url, guard=guard, timeout=_MOST_PER_TRY, http=http)
    except NoAnswerError as error:
        return error.message
    return "" if response.status_code == 200 else f"status {response.status_code}"


async def _try_connection(url: str, guard: Guard, unix_socket: str | None) -> str:
    """Empty when the port or the socket accepts a connection, else what was seen."""
    connect: Callable[[], Awaitable[trio.SocketStream]]
    if unix_socket is not None:
        connect = partial(trio.open_unix_socket, unix_socket)
    else:
        origin = origin_of(url)
        address = (await guard.resolve(origin.host, origin.port))[0]
        connect = partial(trio.open_tcp_stream, address, origin.port)
    with trio.move_on_after(_MOST_PER_TRY):
        try:
            stream = await connect()
        except OSError as error:
            return system_reason(error)
        await stream.aclose()
        return ""
    return f"no connection within {format_duration(_MOST_PER_TRY)}"
