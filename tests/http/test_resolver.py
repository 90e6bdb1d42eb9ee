"""Names are looked up by a resolver of the tests' own; the guard that judges them is real."""

import socket
from math import inf
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from stressrun.errors import RefusedError, SetupError, StressrunError
from stressrun.http.connection import Address
from stressrun.http.resolver import Resolver
from stressrun.safety.guard import Guard

HERE = Address(socket.AF_INET, ("127.0.0.1", 80))
HERE_BY_IPV6 = Address(socket.AF_INET6, ("::1", 80))


class Names(trio.abc.HostnameResolver):
    """Answers after a second with `addresses`; without any, the name is not known."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked = 0

    async def getaddrinfo(self, host: bytes | None, port: Any, *how: Any) -> Any:
        self.asked += 1
        await trio.sleep(1)
        if not self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in self.addresses
        ]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        raise NotImplementedError


def answering(*addresses: str) -> Names:
    names = Names(*addresses)
    trio.socket.set_custom_hostname_resolver(names)
    return names


async def test_addresses_come_in_the_order_of_the_system(autojump_clock: MockClock) -> None:
    answering("::1", "127.0.0.1", "::1")
    assert await Resolver(Guard(), inf).resolve("api", 80) == (HERE_BY_IPV6, HERE)
    answering("127.0.0.1", "::1")
    assert await Resolver(Guard(), inf).resolve("api", 80) == (HERE, HERE_BY_IPV6)


async def test_nothing_is_known_of_a_name_that_was_not_resolved() -> None:
    assert Resolver(Guard(), inf).known("api", 80) is None


async def test_a_name_that_is_kept_for_good_is_looked_up_once(autojump_clock: MockClock) -> None:
    names = answering("127.0.0.1")
    resolver = Resolver(Guard(), inf)
    await resolver.resolve("api", 80)
    await trio.sleep(1_000_000)
    assert resolver.known("api", 80) == await resolver.resolve("api", 80) == (HERE,)
    assert names.asked == 1
    assert resolver.known("api", 81) is None
    assert resolver.known("other", 80) is None


async def test_a_name_is_kept_for_as_long_as_the_scenario_says(autojump_clock: MockClock) -> None:
    names = answering("127.0.0.1")
    resolver = Resolver(Guard(), 30)
    await resolver.resolve("api", 80)
    names.addresses = ("::1",)
    await trio.sleep(29.5)
    assert resolver.known("api", 80) == (HERE,)
    await trio.sleep(0.5)
    assert resolver.known("api", 80) is None
    assert await resolver.resolve("api", 80) == (HERE_BY_IPV6,)
    assert resolver.known("api", 80) == (HERE_BY_IPV6,)
    assert names.asked == 2


async def test_a_name_that_is_not_kept_is_looked_up_each_time(autojump_clock: MockClock) -> None:
    names = answering("127.0.0.1")
    resolver = Resolver(Guard(), 0)
    for asked in (1, 2):
        assert await resolver.resolve("api", 80) == (HERE,)
        assert resolver.known("api", 80) is None
        assert names.asked == asked


@pytest.mark.parametrize("keep", [0, 30, inf])
async def test_those_who_wait_for_the_same_name_share_a_look_up(
    keep: float, autojump_clock: MockClock
) -> None:
    names = answering("127.0.0.1")
    resolver = Resolver(Guard(), keep)
    found: list[tuple[Address, ...]] = []

    async def ask(after: float, port: int) -> None:
        await trio.sleep(after)
        found.append(await resolver.resolve("api", port))

    async with trio.open_nursery() as nursery:
        for after in (0, 0.1, 0.9):
            nursery.start_soon(ask, after, 80)
        nursery.start_soon(ask, 0, 81)
    assert found.count((HERE,)) == 3
    assert names.asked == 2
    assert trio.current_time() == pytest.approx(1)


async def test_who_waits_goes_on_where_the_one_who_looked_up_was_cancelled(
    autojump_clock: MockClock,
) -> None:
    names = answering("127.0.0.1")
    resolver = Resolver(Guard(), 0)
    found = []

    async def wait() -> None:
        await trio.sleep(0.1)
        found.append(await resolver.resolve("api", 80))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        with trio.move_on_after(0.5):
            await resolver.resolve("api", 80)
    assert found == [(HERE,)]
    assert names.asked == 2


@pytest.mark.parametrize(
    ("addresses", "kind", "message"),
    [
        (("127.0.0.1", "192.0.2.7"), RefusedError, "the guard refused api"),
        ((), SetupError, "could not be resolved"),
    ],
)
async def test_all_who_wait_are_told_why_there_is_no_address(
    addresses: tuple[str, ...],
    kind: type[StressrunError],
    message: str,
    autojump_clock: MockClock,
) -> None:
    names = answering(*addresses)
    resolver = Resolver(Guard(), inf)
    told = []

    async def ask() -> None:
        with pytest.raises(kind, match=message):
            await resolver.resolve("api", 80)
        told.append(True)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(ask)
    assert len(told) == 3
    assert names.asked == 1
    names.addresses = ("127.0.0.1",)
    assert await resolver.resolve("api", 80) == (HERE,)


async def test_a_name_of_this_system_is_resolved_by_it() -> None:
    resolver = Resolver(Guard(), inf)
    found = await resolver.resolve("localhost", 80)
    assert found
    assert set(found) <= {HERE, HERE_BY_IPV6}
    assert resolver.known("localhost", 80) == found
