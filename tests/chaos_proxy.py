"""A TCP proxy that does to a connection what networks do: stall, reset, slice, limit and delay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import inf

import trio

from background import in_background
from http_server import reset

_PIECE = 65536


@dataclass(frozen=True, slots=True)
class Chaos:
    """What happens to one direction of each connection.

    Bytes pass in pieces of at most `slice`, each `delay` seconds late. After so many bytes the
    direction is dead while the connection stays (`stall`), the connection is closed (`limit`), or
    it is reset (`reset`).
    """

    slice: int = _PIECE
    delay: float = 0.0
    stall: float = inf
    limit: float = inf
    reset: float = inf


class ChaosProxy:
    """Between clients and the server on a port of this machine.

    What happens may be changed at any time, from any thread: it holds for what passes from then on.
    """

    def __init__(self, server: int) -> None:
        self._server = server
        self._token: trio.lowlevel.TrioToken | None = None
        self._streams: set[trio.SocketStream] = set()
        self._clients: set[trio.SocketStream] = set()
        self.port = 0
        self.to_server = Chaos()
        self.to_client = Chaos()
        # At once; of more a client is sent away.
        self.most_connections: float = inf

    async def serve(self, *, task_status: trio.TaskStatus[ChaosProxy]) -> None:
        """Relay until cancelled."""
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        self._token = trio.lowlevel.current_trio_token()
        task_status.started(self)
        await trio.serve_listeners(self._accept, listeners)

    def cut(self) -> None:
        """Reset every connection that there is."""
        assert self._token is not None
        self._token.run_sync_soon(self._cut)

    def _cut(self) -> None:
        for stream in self._streams:
            reset(stream)
            stream.socket.close()

    async def _accept(self, client: trio.SocketStream) -> None:
        if len(self._clients) >= self.most_connections:
            reset(client)
            return
        with suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            server = await trio.open_tcp_stream("127.0.0.1", self._server)
            both = {client, server}
            self._streams |= both
            self._clients.add(client)
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._pump, "to_server", client, server)
                    nursery.start_soon(self._pump, "to_client", server, client)
            except* (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            finally:
                self._streams -= both
                self._clients.remove(client)
                for stream in both:
                    stream.socket.close()

    async def _pump(
        self, direction: str, source: trio.SocketStream, sink: trio.SocketStream
    ) -> None:
        passed = 0
        while data := await source.receive_some(_PIECE):
            while data:
                chaos: Chaos = getattr(self, direction)
                await trio.sleep(chaos.delay)
                # It may have been changed in the meantime.
                chaos = getattr(self, direction)
                end = min(chaos.stall, chaos.limit, chaos.reset)
                piece = data[: int(min(chaos.slice, max(0, end - passed)))]
                await sink.send_all(piece)
                data, passed = data[len(piece) :], passed + len(piece)
                if passed >= end:
                    await self._end(chaos, end, source, sink)
        await sink.send_eof()

    async def _end(
        self, chaos: Chaos, end: float, source: trio.SocketStream, sink: trio.SocketStream
    ) -> None:
        if end == chaos.stall:
            await trio.sleep_forever()
        if end == chaos.reset:
            reset(sink)
        raise trio.ClosedResourceError


@contextmanager
def chaos_proxy(server: int) -> Iterator[ChaosProxy]:
    """A proxy before the server on a port, for a test that is no task."""
    with in_background(ChaosProxy(server).serve) as proxy:
        yield proxy
