"""A server that answers in 1 ms and freezes for 1 s every 5 s: python freezing_server.py PORT.

Its first freeze begins two seconds after its first request.
"""

from __future__ import annotations

import asyncio
import sys
import time

_ANSWER = (
    b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"id":4711}'
)
_FIRST_FREEZE = 2.0
_PERIOD = 5.0
_FREEZE = 1.0


class Freezer:
    """Stops the whole loop again and again, from the first request on."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._started = False

    def start(self) -> None:
        if not self._started:
            self._started = True
            self._freeze_at(self._loop.time() + _FIRST_FREEZE)

    def _freeze_at(self, due: float) -> None:
        self._loop.call_at(due, self._freeze, due)

    def _freeze(self, due: float) -> None:
        self._freeze_at(due + _PERIOD)
        time.sleep(max(0.0, due + _FREEZE - self._loop.time()))


class Connection(asyncio.Protocol):
    """Answers requests without a body, however they are cut into pieces."""

    def __init__(self, freezer: Freezer) -> None:
        self._freezer = freezer
        self._loop = asyncio.get_running_loop()
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._freezer.start()
        *requests, self._unread = (self._unread + data).split(b"\r\n\r\n")
        for _ in requests:
            self._loop.call_later(0.001, self._transport.write, _ANSWER)


async def serve(port: int) -> None:
    freezer = Freezer()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(freezer), "127.0.0.1", port, backlog=2000)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
