"""Which hosts a run may touch: loopback, and what the scenario lists under `allow_hosts`.

Hosts are judged by the address that they resolve to, at each connect, and the caller then
connects to that very address, so that a name cannot change its meaning in between.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address, ip_network

import trio

from stressrun.errors import RefusedError, SetupError


class Guard:
    """Resolves hosts and refuses the ones that a run may not touch."""

    def __init__(self, allow_hosts: Sequence[str] = ()) -> None:
        self._allow_hosts = tuple(allow_hosts)

    async def resolve(self, host: str, port: int) -> tuple[str, ...]:
        """The addresses of a host that may be connected to, in the resolver's order.

        Raises RefusedError when any of them is not allowed, SetupError when there are none.
        """
        addresses = await _lookup(host, port)
        for address in addresses:
            if not await self._allowed(address, port):
                shown = host if host == address else f"{host} ({address})"
                raise RefusedError(
                    f"the guard refused {shown}: it is not loopback and not under allow_hosts",
                    hint=f"for a test system of yours, add {host!r} to the scenario's allow_hosts",
                )
        return addresses

    async def _allowed(self, address: str, port: int) -> bool:
        ip = ip_address(address)
        if ip.is_loopback:
            return True
        for allowed in self._allow_hosts:
            try:
                if ip in ip_network(allowed, strict=False):
                    return True
            except ValueError:
                # A name. One that has no address allows none.
                with suppress(SetupError):
                    if address in await _lookup(allowed, port):
                        return True
        return False


async def _lookup(host: str, port: int) -> tuple[str, ...]:
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise SetupError(
            f"the host {host!r} could not be resolved: {error}",
            hint="check the name, or write its address",
        ) from error
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))
