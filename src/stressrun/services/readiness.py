"""Whether a service is there: a path that answers 200, or a port that accepts connections."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import urlsplit

import trio

from stressrun.errors import SetupError, StressrunError
from stressrun.http.client import NoAnswerError, fetch, system_reason
from stressrun.safety.guard import Guard
from stressrun.scenario.model import Readiness
from stressrun.services.process import ServiceProcess, describe_status
from stressrun.units import format_duration

_POLL = 0.05
_MOST_PER_TRY = 5.0


async def until_ready(
    name: str, url: str, ready: Readiness, guard: Guard, process: ServiceProcess | None = None
) -> None:
    """Return when the service at `url` is ready.

    Raises SetupError when it is not in time, or at once when its process ends before; with the
    last lines of its log. Raises what the guard raises.
    """
    if ready.get is None:
        awaited = f"a connection to {urlsplit(url).netloc}"
        probe = _Probe(partial(_try_tcp, url, guard), process)
    else:
        page = url.rstrip("/") + "/" + ready.get.lstrip("/")
        awaited = f"GET {page} to answer 200"
        probe = _Probe(partial(_try_http, page, guard), process)

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


async def _try_http(url: str, guard: Guard) -> str:
    """Empty when the page answers 200, else what was seen."""
    try:
        response = await fetch("GET", url, guard=guard, timeout=_MOST_PER_TRY)
    except NoAnswerError as error:
        return error.message
    return "" if response.status_code == 200 else f"status {response.status_code}"


async def _try_tcp(url: str, guard: Guard) -> str:
    """Empty when the port accepts a connection, else what was seen."""
    parts = urlsplit(url)
    port = parts.port or 80
    address = (await guard.resolve(parts.hostname or "", port))[0]
    with trio.move_on_after(_MOST_PER_TRY):
        try:
            stream = await trio.open_tcp_stream(address, port)
        except OSError as error:
            return system_reason(error)
        await stream.aclose()
        return ""
    return f"no connection within {format_duration(_MOST_PER_TRY)}"
