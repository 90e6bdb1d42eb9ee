"""Whether a service is there: a path that answers 200, or a port that accepts connections."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import httpx
import trio

from stressrun.errors import SetupError
from stressrun.http.client import fetch
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
        probe = _Probe(lambda timeout: _try_tcp(url, guard, timeout))
    else:
        page = url.rstrip("/") + "/" + ready.get.lstrip("/")
        awaited = f"GET {page} to answer 200"
        probe = _Probe(lambda timeout: _try_http(page, guard, timeout))

    ended: int | None = None
    in_time = False
    with trio.move_on_after(ready.within):
        ended = await probe.until_success_or_exit(process)
        in_time = True
    if in_time and ended is None:
        return
    problem = (
        f"ended with {describe_status(ended)} before it was ready"
        if ended is not None
        else f"was not ready within {format_duration(ready.within)}"
    )
    message = f"service {name!r} {problem}; awaited {awaited}; last seen: {probe.seen}"
    hint = "start it, or correct its url and ready"
    if process is not None:
        message += f"; its last lines:\n{process.tail() or '(its log is empty)'}"
        hint = f"see its command and ready in the scenario, and all of its log in {process.log}"
    raise SetupError(message, hint=hint)


class _Probe:
    """Tries again and again, and remembers what it saw last."""

    def __init__(self, attempt: Callable[[float], Awaitable[str]]) -> None:
        self._attempt = attempt
        self.seen = "nothing yet"

    async def until_success_or_exit(self, process: ServiceProcess | None) -> int | None:
        """The exit status of the process when it ends first, None when the service is ready."""
        ended: int | None = None
        failure: Exception | None = None

        async def watch(watched: ServiceProcess) -> None:
            nonlocal ended
            ended = await watched.wait()
            nursery.cancel_scope.cancel()

        async def try_on() -> None:
            nonlocal failure
            try:
                while seen := await self._attempt(_MOST_PER_TRY):
                    self.seen = seen
                    await trio.sleep(_POLL)
            except Exception as error:
                failure = error
            nursery.cancel_scope.cancel()

        # Both tasks keep their outcome: a nursery would wrap an error in a group.
        async with trio.open_nursery() as nursery:
            if process is not None:
                nursery.start_soon(watch, process)
            nursery.start_soon(try_on)
        if failure is not None:
            raise failure
        return ended


async def _try_http(url: str, guard: Guard, timeout: float) -> str:
    """Empty when the page answers 200, else what was seen."""
    try:
        response = await fetch("GET", url, guard=guard, timeout=timeout)
    except httpx.TimeoutException:
        return f"no answer within {format_duration(timeout)}"
    except httpx.HTTPError as error:
        return _reason(error)
    return "" if response.status_code == httpx.codes.OK else f"status {response.status_code}"


async def _try_tcp(url: str, guard: Guard, timeout: float) -> str:
    """Empty when the port accepts a connection, else what was seen."""
    parts = urlsplit(url)
    port = parts.port or 80
    address = (await guard.resolve(parts.hostname or "", port))[0]
    with trio.move_on_after(timeout):
        try:
            stream = await trio.open_tcp_stream(address, port)
        except OSError as error:
            return _reason(error)
        await stream.aclose()
        return ""
    return f"no connection within {format_duration(timeout)}"


def _reason(error: BaseException) -> str:
    """What the system said at the bottom of an error, such as `connection refused`."""
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, OSError) and below.strerror:
            return below.strerror.lower()
        below = below.__cause__ or below.__context__
    return str(error) or type(error).__name__
