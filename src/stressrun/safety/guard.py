"""Which hosts a run may touch: loopback, and what the scenario lists under `allow_hosts`.

Hosts are judged by the address that they resolve to, at each connect, and the caller then
connects to that very address, so that a name cannot change its meaning in between.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import trio

from stressrun.errors import RefusedError, SetupError

_Address = IPv4Address | IPv6Address


class Guard:
    """Resolves hosts and refuses the ones that a run may not touch."""

    def __init__(self, allow_hosts: Sequence[str] = ()) -> None:
        self._networks = []
        self._names = []
        for allowed in allow_hosts:
            try:
                self._networks.append(ip_network(allowed, strict=False))
            except ValueError:
                self._names.append(_canonical(allowed))

    async def resolve(self, host: str, port: int) -> tuple[str, ...]:
        """The addresses of a host that may be connected to, in the resolver's order.

        Raises RefusedError when any of them is not allowed, SetupError when there are none.
        """
        addresses = await _lookup(host, port)
        for address in addresses:
            await self._check(host, address, port)
        return addresses

    async def _check(self, host: str, address: str, port: int) -> None:
        ip = _meant(address)
        if ip.is_loopback or any(ip in network for network in self._networks):
            return
        shown = host if host == address else f"{host} ({address})"
        if ip.is_unspecified:
            raise RefusedError(
                f"the guard refused {shown}: it is where servers listen, no host",
                hint="write 127.0.0.1 for this machine",
            )
        named = await self._is_named(host, address, port)
        if named and (ip.is_link_local or ip.is_multicast):
            # Where clouds hand out credentials; whoever owns a name can make it lead there.
            raise RefusedError(
                f"the guard refused {shown}: no name allows a link-local or multicast address",
                hint=f"if it is really meant, add the address {address!r} to allow_hosts",
            )
        if not named:
            raise RefusedError(
                f"the guard refused {shown}: it is not loopback and not under allow_hosts",
                hint=f"for a test system of yours, add {host!r} to the scenario's allow_hosts",
            )

    async def _is_named(self, host: str, address: str, port: int) -> bool:
        """Whether a name under `allow_hosts` is this host's, or leads to its address."""
        if _canonical(host) in self._names:
            return True
        for name in self._names:
            # One that has no address allows none.
            with suppress(SetupError):
                if address in await _lookup(name, port):
                    return True
        return False


def _meant(address: str) -> _Address:
    """The address that is connected to: of `::ffff:10.1.2.3` that is 10.1.2.3."""
    ip = ip_address(address)
    return getattr(ip, "ipv4_mapped", None) or ip


def _canonical(name: str) -> str:
    return name.lower().rstrip(".")


async def _lookup(host: str, port: int) -> tuple[str, ...]:
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise SetupError(
            f"the host {host!r} could not be resolved: {error}",
            hint="check the name, or write its address",
        ) from error
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))
