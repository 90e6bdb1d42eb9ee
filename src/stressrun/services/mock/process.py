"""The process of a mock: `python -m stressrun.services.mock.process CONTROL LISTENER`.

Both are descriptors that it inherits: the channel to the controller, and the listening socket.
"""

from __future__ import annotations

import gc
import resource
import socket
import sys

from stressrun.scenario.mocks import build_mock
from stressrun.scenario.nodes import Faults
from stressrun.scenario.part import Part
from stressrun.services.mock.control import Control
from stressrun.services.mock.server import Server


def main() -> None:
    """Serve until the controller is gone."""
    _raise_descriptor_limit()
    control = Control(socket.socket(fileno=int(sys.argv[1])))
    listener = socket.socket(fileno=int(sys.argv[2]))
    order = control.wait()
    if order is None:
        return
    name = order["name"]
    part = Part(order["service"], ("services", name), Faults())
    mock = build_mock(name, part, order["stages"])
    server = Server(mock, order["seed"], listener, control, stays=order["stays"])
    # What exists now lives as long as the process: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    control.send({"said": "ready"})
    server.run()


def _raise_descriptor_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main()
