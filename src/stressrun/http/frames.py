"""The frames of HTTP/2 that a server sends, with its farewell (GOAWAY) taken out of them.

The h2 package takes no more frames after a GOAWAY, but a server that retires a connection still
answers what is under way (RFC 9113 section 6.8): nginx does so after every 1,000 requests.
"""

from __future__ import annotations

from dataclasses import dataclass

from stressrun.http.failure import ConnectionFailed

_HEADER = 9
_SETTINGS = 4
_GOAWAY = 7
# The largest frame that a server may send unless it is told otherwise.
_MOST = 16_384


@dataclass(frozen=True, slots=True)
class Farewell:
    """What a server said last: streams after `last_stream` were not and will not be processed."""

    last_stream: int
    error_code: int
    text: str


class Frames:
    """Takes what came from a server; `farewell` is its latest."""

    def __init__(self) -> None:
        self._rest = b""
        self._began = False
        self.farewell: Farewell | None = None

    def take(self, data: bytes) -> bytes:
        """The whole frames that are there now, without farewells.

        Raises ConnectionFailed for a beginning that is not HTTP/2's, and for a frame too large.
        """
        data = self._rest + data
        begin = position = 0
        kept = []
        while len(data) - position >= _HEADER:
            length, kind = int.from_bytes(data[position : position + 3]), data[position + 3]
            self._check_first(kind)
            end = position + _HEADER + length
            if length > _MOST:
                raise ConnectionFailed("http2: FRAME_SIZE_ERROR", f"a frame of {length:,} bytes")
            if end > len(data):
                break
            if kind == _GOAWAY:
                kept.append(data[begin:position])
                begin = end
                self.farewell = _farewell(data[position + _HEADER : end])
            position = end
        kept.append(data[begin:position])
        self._rest = data[position:]
        return b"".join(kept)

    def _check_first(self, kind: int) -> None:
        if not self._began and kind != _SETTINGS:
            raise ConnectionFailed("no http2", "the server answered in another protocol")
        self._began = True


def _farewell(payload: bytes) -> Farewell:
    if len(payload) < 8:
        raise ConnectionFailed("http2: FRAME_SIZE_ERROR", "a GOAWAY frame without its fields")
    last_stream = int.from_bytes(payload[:4]) & 0x7FFF_FFFF
    text = payload[8:].decode("utf-8", "backslashreplace")
    return Farewell(last_stream, int.from_bytes(payload[4:8]), text)
