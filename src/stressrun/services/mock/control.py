"""The mock's end of its channel to the controller: JSON in length-prefixed frames, as workers'."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

_HEADER = struct.Struct("!I")
_RECEIVE = 65_536

Message = dict[str, Any]


class Control:
    """Orders come in, what was counted goes out."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._buffer = bytearray()
        self.descriptor = end.fileno()

    def receive(self) -> list[Message] | None:
        """The messages that are complete after reading once; None when the peer is gone."""
        try:
            received = self._socket.recv(_RECEIVE)
        except OSError:
            return None
        if not received:
            return None
        self._buffer += received
        messages = []
        while len(self._buffer) >= _HEADER.size:
            end = _HEADER.size + _HEADER.unpack_from(self._buffer)[0]
            if len(self._buffer) < end:
                break
            messages.append(json.loads(self._buffer[_HEADER.size : end]))
            del self._buffer[:end]
        return messages

    def wait(self) -> Message | None:
        """The next message, before any is received; None when the peer is gone."""
        header = self._exactly(_HEADER.size)
        content = None if header is None else self._exactly(_HEADER.unpack(header)[0])
        message: Message | None = None if content is None else json.loads(content)
        return message

    def send(self, message: Message) -> None:
        """Send a message. Raises OSError when the peer is gone."""
        content = json.dumps(message, separators=(",", ":")).encode()
        self._socket.sendall(_HEADER.pack(len(content)) + content)

    def _exactly(self, size: int) -> bytes | None:
        """So many bytes and none more: what follows is found by whoever polls the descriptor."""
        content = b""
        while len(content) < size:
            try:
                received = self._socket.recv(size - len(content))
            except OSError:
                return None
            if not received:
                return None
            content += received
        return content
