"""HTTP beside the hot path: readiness, teardown. The one module that imports httpx."""

from __future__ import annotations

from ipaddress import ip_address

import httpx

from stressrun.safety.guard import Guard


async def fetch(
    method: str, url: str, *, guard: Guard, timeout: float, json: object | None = None
) -> httpx.Response:
    """Send one request to an address that the guard allows; redirects are not followed.

    Raises RefusedError or SetupError from the guard, httpx.HTTPError when no answer came.
    """
    transport = _GuardedTransport(guard)
    async with httpx.AsyncClient(transport=transport, timeout=timeout, trust_env=False) as client:
        return await client.request(method, url, json=json)


class _GuardedTransport(httpx.AsyncHTTPTransport):
    """Connects to the very address that the guard has judged."""

    def __init__(self, guard: Guard) -> None:
        super().__init__(trust_env=False)
        self._guard = guard

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
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
