"""Messages between the controller and its workers: JSON in length-prefixed frames."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

import trio

_HEADER = struct.Struct("!I")
_RECEIVE = 65536

Message = dict[str, Any]


class Channel:
    """One end of a socket pair, for any number of senders and one receiver."""

    def __init__(self, end: socket.socket) -> None:
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(end))
        self._buffer = bytearray()
        self._sending = trio.Lock()

    async def send(self, message: Message) -> None:
        """Send a message. Raises trio.BrokenResourceError when the peer is gone."""
        content = json.dumps(message, separators=(",", ":")).encode()
        async with self._sending:
            await self._stream.send_all(_HEADER.pack(len(content)) + content)

    async def receive(self) -> Message | None:
        """The next message; None when the peer is gone."""
        header = await self._exactly(_HEADER.size)
        if header is None:
            return None
        content = await self._exactly(_HEADER.unpack(header)[0])
        if content is None:
            return None
        message: Message = json.loads(content)
        return message

    async def _exactly(self, size: int) -> bytes | None:
        while len(self._buffer) < size:
            try:
                received = await self._stream.receive_some(_RECEIVE)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return None
            if not received:
                return None
            self._buffer += received
        content = bytes(self._buffer[:size])
        del self._buffer[:size]
        return content

    async def close(self) -> None:
        await self._stream.aclose()
