"""HTTP beside the hot path: readiness, teardown. The one module that imports httpx."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx
import trio

from stressrun.errors import ExitCode, StressrunError
from stressrun.http.failure import HANDSHAKE, failure
from stressrun.http.tls import client_context
from stressrun.safety.guard import Guard
from stressrun.scenario.model import Http
from stressrun.units import format_duration, format_size

BY_DEFAULT = Http()

_MOST_UNREAD = 64 * 1024


class NoAnswerError(StressrunError):
    """A request got no answer; the message says what was seen instead."""

    exit_code = ExitCode.SETUP


async def fetch(
    method: str,
    url: str,
    *,
    guard: Guard,
    timeout: float,
    http: Http = BY_DEFAULT,
    json: object | None = None,
) -> httpx.Response:
    """Send one request to an address that the guard allows; redirects are not followed.

    Of `http` the TLS settings and the Unix socket apply. Raises RefusedError or SetupError from
    the guard, SetupError for a TLS file, NoAnswerError when no answer came within `timeout`
    seconds.
    """
    transport = _GuardedTransport(guard, http, secure=urlsplit(url).scheme == "https")
    try:
        async with httpx.AsyncClient(
            transport=transport, timeout=timeout, trust_env=False
        ) as client:
            return await client.request(method, url, json=json)
    except httpx.TimeoutException as error:
        raise NoAnswerError(f"no answer within {format_duration(timeout)}") from error
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        raise NoAnswerError(system_reason(error)) from error


async def fetch_text(
    url: str,
    *,
    guard: Guard,
    timeout: float,
    most: int,
    http: Http = BY_DEFAULT,
    accept: str = "*/*",
) -> tuple[int, str, str]:
    """The status, content type and text of an answer of at most `most` bytes.

    The server may not compress it, for what is small on the wire could be huge here. Of `http` the
    TLS settings and the Unix socket apply. Raises RefusedError or SetupError from the guard,
    SetupError for a TLS file, NoAnswerError when not all of it came within `timeout` seconds, or
    it is another than this.
    """
    headers = {"Accept": accept}
    async with _answer("GET", url, guard, timeout, http, headers) as response:
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise NoAnswerError("its answer is compressed, which was not asked for")
        content = await _read(response, most)
        if len(content) > most:
            raise NoAnswerError(f"its answer is larger than {format_size(most)}")
        kind = response.headers.get("Content-Type", "")
        return response.status_code, kind, content.decode("utf-8", "replace")


async def fetch_status(
    method: str,
    url: str,
    *,
    guard: Guard,
    timeout: float,
    http: Http = BY_DEFAULT,
    headers: Mapping[str, str] | None = None,
) -> int:
    """The status that a request is answered with, whatever else there is to the answer.

    Of `http` the TLS settings and the Unix socket apply. Raises RefusedError or SetupError from the
    guard, SetupError for a TLS file, NoAnswerError when none came within `timeout` seconds.
    """
    async with _answer(method, url, guard, timeout, http, headers or {}) as response:
        # To hang up in the middle of a usual answer would be an error of the service's.
        with suppress(httpx.HTTPError):
            await _read(response, _MOST_UNREAD)
        return response.status_code


@asynccontextmanager
async def _answer(
    method: str,
    url: str,
    guard: Guard,
    timeout: float,
    http: Http,
    headers: Mapping[str, str],
) -> AsyncIterator[httpx.Response]:
    """The beginning of an answer; it has so many seconds for all that is read of it."""
    transport = _GuardedTransport(guard, http, secure=urlsplit(url).scheme == "https")
    headers = {**headers, "Accept-Encoding": "identity"}
    try:
        with trio.fail_after(timeout):
            async with (
                httpx.AsyncClient(transport=transport, timeout=None, trust_env=False) as client,
                client.stream(method, url, headers=headers) as response,
            ):
                yield response
    except trio.TooSlowError as error:
        raise NoAnswerError(f"no answer within {format_duration(timeout)}") from error
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        raise NoAnswerError(system_reason(error)) from error


async def _read(response: httpx.Response, most: int) -> bytes:
    """A body as it was sent; of one that is larger than `most` bytes somewhat more than these."""
    content = bytearray()
    # What httpx reads with ends well when it is cancelled, but not when it is left.
    with trio.CancelScope() as reading:
        async for part in response.aiter_raw():
            content += part
            if len(content) > most:
                reading.cancel()
    return bytes(content)


def system_reason(error: BaseException) -> str:
    """What the system said at the bottom of an error, such as `connection refused`."""
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, ssl.SSLError):
            found = failure(below, HANDSHAKE)
            return found.kind if str(found) == found.kind else f"{found.kind}: {found}"
        if isinstance(below, OSError) and below.errno:
            return os.strerror(below.errno).lower()
        if isinstance(below, BaseExceptionGroup):  # one of each address that was tried
            below = below.exceptions[0]
        else:
            below = below.__cause__ or below.__context__
    return str(error) or type(error).__name__


class _GuardedTransport(httpx.AsyncHTTPTransport):
    """Connects to the very address that the guard has judged, or to a Unix socket."""

    def __init__(self, guard: Guard, http: Http, *, secure: bool) -> None:
        # Without TLS nothing is verified; to load whom to trust would only take its time.
        tls = client_context(http.tls, alpn=["http/1.1"]) if secure else False
        super().__init__(verify=tls, uds=http.unix_socket, trust_env=False)
        self._guard = None if http.unix_socket is not None else guard

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._guard is None:
            return await super().handle_async_request(request)
        host = request.url.host
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        # The Host header was set from the original URL; TLS must ask for that name, too.
        request.extensions["sni_hostname"] = host
        *others, last = await self._guard.resolve(host, port)
        for address in others:
            try:
                return await self._ask(request, address)
            except httpx.ConnectError:
                continue
        return await self._ask(request, last)

    async def _ask(self, request: httpx.Request, address: str) -> httpx.Response:
        host = f"[{address}]" if ip_address(address).version == 6 else address
        request.url = request.url.copy_with(host=host)
        return await super().handle_async_request(request)
