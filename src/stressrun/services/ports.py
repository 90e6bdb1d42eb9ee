"""Free ports on the loopback, for services that are yet to be started."""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Collection
from itertools import islice
from pathlib import Path

from stressrun.errors import SetupError

LOOPBACK = "127.0.0.1"
_FIRST = 10_000
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


class PortTakenError(SetupError):
    """Another process listens on a port that a service needs."""


def free_ports(count: int, without: Collection[int] = ()) -> list[int]:
    """So many different free ports, below the range that the kernel gives to outgoing connections.

    Drawn at random, so that two runs which start at once do not pick the same. Raises SetupError.
    """
    ports = range(_FIRST, _ephemeral())
    drawn = iter(random.sample(ports, len(ports)))
    free = list(islice((p for p in drawn if p not in without and is_free(p)), count))
    if len(free) < count:
        raise SetupError(
            f"only {len(free)} of {count} ports are free on {LOOPBACK}",
            hint="end some of the processes that listen there",
        )
    return free


def is_free(port: int) -> bool:
    """Whether nobody listens on a loopback port; one in TIME_WAIT is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            return error.errno != errno.EADDRINUSE
        return True


def _ephemeral() -> int:
    """The first port of the kernel's own range, or Linux's default where there is no room below."""
    try:
        first = int(_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 32_768
    return first if first > _FIRST + 1000 else 32_768
