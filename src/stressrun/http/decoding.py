"""Content-Encoding: what a service compresses for its clients, as it was before.

br and zstd need a library each, which is imported when the first such body is read.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable

ACCEPTED = "gzip, deflate, br, zstd"

# Each is a copy of what is left.
_MOST_STREAMS = 1_000
_MOST_ENCODINGS = 5
_GZIP, _ZLIB, _RAW = 31, 15, -15
# The window that a decoder has to have (RFC 9659), and no more: it is memory.
_ZSTD_WINDOW = 23


class DecodingFailed(Exception):  # noqa: N818 - it is an outcome, which fails a request
    """The body is not what its Content-Encoding says, or is too large; the message says which."""


def decode(content: bytes, encodings: str, limit: int) -> bytes:
    """A body before it was encoded, as a Content-Encoding header lists it: the last one outermost.

    An empty body is one of any encoding. Raises DecodingFailed for an unknown encoding, a body
    that is broken or ends too early, and one of more than `limit` bytes.
    """
    names = [name for part in encodings.split(",") if (name := _plain(part))]
    if len(names) > _MOST_ENCODINGS:
        raise DecodingFailed(f"encoded {len(names)} times, at most {_MOST_ENCODINGS} are decoded")
    for name in reversed(names):
        if name != "identity":
            content = _decode(content, name, limit)
    return content


def _plain(name: str) -> str:
    return name.strip().lower().removeprefix("x-")


def _decode(content: bytes, name: str, limit: int) -> bytes:
    read = _READERS.get(name)
    if read is None:
        raise DecodingFailed(f"unknown encoding {name!r}")
    decoded: list[bytes] = []
    room = limit
    while content:
        if len(decoded) == _MOST_STREAMS:
            raise DecodingFailed(f"more than {_MOST_STREAMS} streams of {name} in one body")
        part, complete, content = read(content, room + 1)
        room -= len(part)
        if room < 0:
            raise DecodingFailed(f"more than {limit:,} bytes when decoded")
        if not complete:
            raise DecodingFailed(f"broken {name}: it ends too early")
        decoded.append(part)
    return b"".join(decoded)


# Readers of one stream: at most so many bytes of it (brotli: or a few more), whether that was its
# end, and what follows it.


def _gzip(content: bytes, most: int) -> tuple[bytes, bool, bytes]:
    return _inflate(content, most, "gzip", _GZIP)


def _deflate(content: bytes, most: int) -> tuple[bytes, bool, bytes]:
    # Meant is zlib's format; some services send it without its frame, and clients take both.
    return _inflate(content, most, "deflate", _ZLIB if _begins_zlib(content) else _RAW)


def _begins_zlib(content: bytes) -> bool:
    return content[0] & 0x0F == 8 and int.from_bytes(content[:2], "big") % 31 == 0


def _inflate(content: bytes, most: int, name: str, window: int) -> tuple[bytes, bool, bytes]:
    decompressor = zlib.decompressobj(window)
    try:
        decoded = decompressor.decompress(content, most)
    except zlib.error as error:
        raise DecodingFailed(f"broken {name}: {error}") from error
    return decoded, decompressor.eof, decompressor.unused_data


def _brotli(content: bytes, most: int) -> tuple[bytes, bool, bytes]:
    import brotli

    decompressor = brotli.Decompressor()
    try:
        decoded = decompressor.process(content, output_buffer_limit=most)
    except brotli.error as error:
        raise DecodingFailed(f"broken br: {error}") from error
    return decoded, decompressor.is_finished(), b""


def _zstd(content: bytes, most: int) -> tuple[bytes, bool, bytes]:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd

    decompressor = zstd.ZstdDecompressor(
        options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW}
    )
    try:
        decoded = decompressor.decompress(content, most)
    except zstd.ZstdError as error:
        raise DecodingFailed(f"broken zstd: {error}") from error
    return decoded, decompressor.eof, decompressor.unused_data


_READERS: dict[str, Callable[[bytes, int], tuple[bytes, bool, bytes]]] = {
    "gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
