import pytest

from stressrun.errors import RefusedError, SetupError
from stressrun.safety.guard import Guard


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
async def test_loopback_is_always_allowed(host: str) -> None:
    assert await Guard().resolve(host, 80)


@pytest.mark.parametrize("host", ["192.0.2.7", "10.1.2.3", "2001:db8::1", "0.0.0.0"])
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
