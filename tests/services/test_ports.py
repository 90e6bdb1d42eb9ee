from __future__ import annotations

import socket
from pathlib import Path

import pytest

from stressrun.errors import SetupError
from stressrun.services import ports
from stressrun.services.ports import LOOPBACK, free_ports, is_free


def test_ports_are_different_and_below_those_of_outgoing_connections() -> None:
    found = free_ports(50)
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert len(set(found)) == 50
    assert all(is_free(port) for port in found)
    assert first < 11_000 or max(found) < first


@pytest.mark.parametrize("host", [LOOPBACK, "0.0.0.0"])
def test_a_port_is_not_free_while_somebody_listens(host: str) -> None:
    with socket.create_server((host, 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)


def test_a_port_that_a_connection_has_just_left_is_free() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        port = server.getsockname()[1]
        accepted.close()  # this side waits in TIME_WAIT
        client.close()
    assert is_free(port)


def test_ports_that_are_taken_or_given_away_are_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_ephemeral", lambda: 10_004)
    monkeypatch.setattr(ports, "is_free", lambda port: port != 10_001)
    assert sorted(free_ports(2, without={10_000})) == [10_002, 10_003]
    with pytest.raises(SetupError, match="only 2 of 3 ports are free"):
        free_ports(3, without={10_000})
