import socket
from typing import Any

import pytest
import trio

from stressrun.errors import RefusedError, SetupError
from stressrun.safety.guard import Guard


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
async def test_loopback_is_always_allowed(host: str) -> None:
    assert await Guard().resolve(host, 80)


@pytest.mark.parametrize("host", ["192.0.2.7", "10.1.2.3", "2001:db8::1", "64:ff9b::7f00:1"])
async def test_any_other_address_is_refused(host: str) -> None:
    with pytest.raises(RefusedError, match=r"not loopback and not under allow_hosts") as refused:
        await Guard().resolve(host, 80)
    assert repr(host) in refused.value.hint


@pytest.mark.parametrize(
    ("allowed", "host"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.0/24", "192.0.2.7"),
        ("2001:db8::/32", "2001:db8::1"),
    ],
)
async def test_an_address_or_a_network_can_be_allowed(allowed: str, host: str) -> None:
    assert await Guard([allowed]).resolve(host, 80) == (host,)


async def test_a_name_without_an_address_allows_none_and_forbids_none() -> None:
    guard = Guard(["no-such-host.invalid", "192.0.2.0/24"])
    assert await guard.resolve("192.0.2.7", 80) == ("192.0.2.7",)
    with pytest.raises(RefusedError):
        await guard.resolve("198.51.100.1", 80)


@pytest.mark.parametrize("allowed", ["192.0.2.8", "198.51.100.0/24"])
async def test_allowing_one_does_not_allow_another(allowed: str) -> None:
    with pytest.raises(RefusedError):
        await Guard([allowed]).resolve("192.0.2.7", 80)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".invalid", "\ud800"])
async def test_a_host_without_an_address_is_told(host: str) -> None:
    with pytest.raises(SetupError, match="could not be resolved"):
        await Guard().resolve(host, 80)


class Names(trio.abc.HostnameResolver):
    """A resolver in whose names an attacker has a say: each look-up may give another address."""

    def __init__(self, **answers: list[str]) -> None:
        self._answers = answers

    async def getaddrinfo(self, host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        name = host.decode().partition(".")[0]
        answers = self._answers.get(name)
        if answers is None:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in addresses.split()
        ]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> Any:
        raise NotImplementedError


def names(**answers: list[str]) -> None:
    """For the test's own trio.run."""
    trio.socket.set_custom_hostname_resolver(Names(**answers))


async def test_a_name_that_is_rebound_is_refused_when_it_is_looked_up_again() -> None:
    names(api=["127.0.0.1", "192.0.2.7"])
    guard = Guard()
    assert await guard.resolve("api.test", 80) == ("127.0.0.1",)
    with pytest.raises(RefusedError, match=r"refused api\.test \(192\.0\.2\.7\)"):
        await guard.resolve("api.test", 80)


async def test_of_several_addresses_all_must_be_allowed() -> None:
    names(both=["127.0.0.1 192.0.2.7"])
    with pytest.raises(RefusedError, match=r"192\.0\.2\.7"):
        await Guard().resolve("both.test", 80)
    assert len(await Guard(["192.0.2.0/24"]).resolve("both.test", 80)) == 2


async def test_a_name_that_is_allowed_may_move_but_not_to_where_clouds_keep_credentials() -> None:
    names(db=["192.0.2.7", "192.0.2.8", "169.254.169.254"])
    guard = Guard(["DB.test."])
    assert await guard.resolve("db.test", 80) == ("192.0.2.7",)
    assert await guard.resolve("db.test", 80) == ("192.0.2.8",)
    with pytest.raises(RefusedError, match="no name allows a link-local") as refused:
        await guard.resolve("db.test", 80)
    assert "'169.254.169.254'" in refused.value.hint
    assert await Guard(["169.254.169.254"]).resolve("db.test", 80) == ("169.254.169.254",)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [("::ffff:10.1.2.3", "10.0.0.0/8"), ("::ffff:127.0.0.1", "192.0.2.7")],
)
async def test_an_address_of_ipv4_within_ipv6_is_judged_as_what_it_is(
    address: str, allowed: str
) -> None:
    assert await Guard([allowed]).resolve(address, 80) == (address,)
    with pytest.raises(RefusedError):
        await Guard([allowed]).resolve("::ffff:198.51.100.1", 80)


async def test_where_servers_listen_is_no_host() -> None:
    for address in ("0.0.0.0", "::"):
        with pytest.raises(RefusedError, match="no host") as refused:
            await Guard().resolve(address, 80)
        assert "127.0.0.1" in refused.value.hint
