"""The `allow_hosts:` of a scenario: each one host or one network, and never all of them."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

from stressrun.scenario.part import Part

# The private networks of IPv4 (10.0.0.0/8) and of IPv6 (fc00::/7) are as wide as that.
_WIDEST = {4: 8, 6: 7}
_NAME = re.compile(r"[^\W_](?:[\w-]*\w)?(?:\.[^\W_](?:[\w-]*\w)?)*\.?")
_PARTS = re.compile(r"(?:\w+://)?\[?(?P<host>[^/\[\]@*]+?)\]?(?::\d+)?(?:/.*)?")
_SUCH_AS = "such as staging.example.com, 10.1.2.3 or 10.1.0.0/16"


def build_host(part: Part) -> str:
    """A host or network that the run may touch."""
    host = part.literal()
    if "${" in host:
        return host  # A reference: what it gives is checked when the run begins.
    if (found := host_problem(host)) is not None:
        part.fault(*found)
    return host


def host_problem(text: str) -> tuple[str, str] | None:
    """What is wrong with a host or network to be allowed, and what would be right."""
    is_network = "/" in text and "://" not in text
    return _network_problem(text) if is_network else _single_problem(text)


def _network_problem(text: str) -> tuple[str, str] | None:
    try:
        network = ip_network(text, strict=False)
    except ValueError as error:
        return f"not a network: {error}", "such as 10.1.0.0/16"
    if network.prefixlen < _WIDEST[network.version]:
        return f"{text} would allow far more than a test system", "such as 10.1.0.0/16"
    return None


def _single_problem(text: str) -> tuple[str, str] | None:
    if _is_single(text):
        return None
    if _is_address(text):
        return f"{text} is where servers listen, no host", "127.0.0.1 is allowed always"
    inner = _PARTS.fullmatch(text)
    alone = inner is not None and _is_single(inner["host"])
    hint = f"write the host alone: {inner['host']}" if inner and alone else _SUCH_AS
    return f"{text!r} is no host name, address or network", hint


def _is_single(text: str) -> bool:
    """Whether it is one host, by name or by address."""
    if _is_address(text):
        return not ip_address(text).is_unspecified
    return bool(_NAME.fullmatch(text)) and not re.fullmatch(r"[\d.]+", text)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
