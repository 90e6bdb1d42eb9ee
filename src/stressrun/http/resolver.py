"""Names into addresses that the guard allows, kept for as long as the scenario says."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from ipaddress import ip_address

import trio

from stressrun.errors import StressrunError
from stressrun.http.connection import Address
from stressrun.safety.guard import Guard


@dataclass(frozen=True, slots=True)
class _Found:
    addresses: tuple[Address, ...]
    until: float


@dataclass(slots=True)
class _LookUp:
    """A look-up under way; when it was cancelled it is done without an outcome."""

    done: trio.Event = field(default_factory=trio.Event)
    addresses: tuple[Address, ...] | None = None
    error: StressrunError | None = None


class Resolver:
    """Keeps what a host and port resolve to for `keep` seconds: infinity for good, 0 not at all."""

    def __init__(self, guard: Guard, keep: float) -> None:
        self._guard = guard
        self._keep = keep
        self._found: dict[tuple[str, int], _Found] = {}
        self._under_way: dict[tuple[str, int], _LookUp] = {}

    def known(self, host: str, port: int) -> tuple[Address, ...] | None:
        """The addresses that are kept, in the system's order; None: `resolve` must be asked."""
        found = self._found.get((host, port))
        if found is None or trio.current_time() >= found.until:
            return None
        return found.addresses

    async def resolve(self, host: str, port: int) -> tuple[Address, ...]:
        """The addresses that are kept, or looked up now, in the system's order.

        Those who wait for the same host and port share one look-up. Raises RefusedError,
        SetupError as the guard does.
        """
        while (addresses := self.known(host, port)) is None:
            look_up = self._under_way.get((host, port))
            if look_up is None:
                return await self._look_up(host, port)
            await look_up.done.wait()
            if look_up.error is not None:
                raise look_up.error
            if look_up.addresses is not None:
                return look_up.addresses
        return addresses

    async def _look_up(self, host: str, port: int) -> tuple[Address, ...]:
        look_up = self._under_way[host, port] = _LookUp()
        try:
            found = await self._guard.resolve(host, port)
            look_up.addresses = tuple(_address(address, port) for address in found)
            until = trio.current_time() + self._keep
            self._found[host, port] = _Found(look_up.addresses, until)
        except StressrunError as error:
            look_up.error = error
            raise
        finally:
            del self._under_way[host, port]
            look_up.done.set()
        return look_up.addresses


def _address(address: str, port: int) -> Address:
    family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET
    return Address(family, (address, port))
