from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable
from contextlib import suppress

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.http.decoding import ACCEPTED, DecodingFailed, decode

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LIMIT = 1_000_000
TEXT = b'{"products":[' + b",".join(b'{"id":%d}' % number for number in range(500)) + b"]}"


def raw_deflate(content: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(content) + compressor.flush()


ENCODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", zstd.compress),
    "identity": ("identity", bytes),
}
ENCODED = {name: encode(TEXT) for name, (_, encode) in ENCODERS.items()}
encoders = pytest.mark.parametrize("encoder", ENCODERS)
compressors = pytest.mark.parametrize("encoder", [name for name in ENCODERS if name != "identity"])


@encoders
@given(content=st.binary(max_size=2000))
def test_what_was_encoded_is_decoded(encoder: str, content: bytes) -> None:
    name, encode = ENCODERS[encoder]
    assert decode(encode(content), name, LIMIT) == content


@pytest.mark.parametrize("first", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("last", ["gzip", "deflate", "br", "zstd"])
def test_the_last_encoding_is_the_outermost(first: str, last: str) -> None:
    content = ENCODERS[last][1](ENCODERS[first][1](TEXT))
    assert decode(content, f"{first.upper()},\t{last} ,", LIMIT) == TEXT


@compressors
def test_a_body_of_exactly_the_limit_is_decoded_and_one_more_byte_is_too_much(encoder: str) -> None:
    name, encode = ENCODERS[encoder]
    assert decode(encode(TEXT), name, len(TEXT)) == TEXT
    with pytest.raises(DecodingFailed, match=f"^more than {len(TEXT) - 1:,} bytes when decoded$"):
        decode(encode(TEXT), name, len(TEXT) - 1)


@compressors
def test_a_bomb_is_stopped_at_the_limit(encoder: str) -> None:
    name, encode = ENCODERS[encoder]
    bomb = encode(bytes(5_000_000))
    with pytest.raises(DecodingFailed, match="more than 1,000,000 bytes"):
        decode(bomb, name, LIMIT)


@compressors
def test_a_body_cut_off_anywhere_is_told_to_end_too_early(encoder: str) -> None:
    name, encode = ENCODERS[encoder]
    content = encode(TEXT)
    for length in range(1, len(content)):
        with pytest.raises(DecodingFailed, match="it ends too early"):
            decode(content[:length], name, LIMIT)


@compressors
def test_a_body_that_is_something_else_is_told_to_be_broken(encoder: str) -> None:
    name, _ = ENCODERS[encoder]
    with pytest.raises(DecodingFailed, match=f"^broken {name}: "):
        decode(b"<!doctype html><p>Not compressed at all.</p>", name, LIMIT)


@compressors
@given(st.data())
def test_a_changed_body_never_raises_anything_else(encoder: str, data: st.DataObject) -> None:
    content = bytearray(ENCODED[encoder])
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] = data.draw(st.integers(0, 255))
    with suppress(DecodingFailed):
        decode(bytes(content), ENCODERS[encoder][0], LIMIT)


@pytest.mark.parametrize("encoder", ["gzip", "zstd"])
def test_a_body_may_have_several_streams(encoder: str) -> None:
    name, encode = ENCODERS[encoder]
    assert decode(encode(b"a") + encode(b"") + encode(TEXT), name, LIMIT) == b"a" + TEXT
    with pytest.raises(DecodingFailed, match="more than 3 bytes"):
        decode(encode(b"ab") + encode(b"cd"), name, 3)


@compressors
def test_what_follows_the_end_is_told_to_be_broken(encoder: str) -> None:
    name, encode = ENCODERS[encoder]
    with pytest.raises(DecodingFailed, match="broken"):
        decode(encode(TEXT) + b"\x07rest", name, LIMIT)


@pytest.mark.parametrize("encodings", [*ENCODERS, "gzip, br"])
def test_an_empty_body_is_one_of_any_encoding(encodings: str) -> None:
    assert decode(b"", encodings.removeprefix("raw "), LIMIT) == b""


def test_an_old_name_of_gzip_is_known() -> None:
    assert decode(ENCODED["gzip"], "X-GZip", LIMIT) == TEXT


def test_without_an_encoding_a_body_stays_as_it_is() -> None:
    assert decode(b"x", "", LIMIT) == b"x"


@pytest.mark.parametrize(
    ("encodings", "message"),
    [
        ("compress", "unknown encoding 'compress'"),
        ("rot13, gzip", "unknown encoding 'rot13'"),
        ("gzip," * 6, "encoded 6 times, at most 5 are decoded"),
    ],
)
def test_encodings_that_are_not_decoded(encodings: str, message: str) -> None:
    with pytest.raises(DecodingFailed, match=message):
        decode(gzip.compress(TEXT), encodings, LIMIT)


def test_all_that_requests_accept_is_decoded() -> None:
    for name in ACCEPTED.split(", "):
        assert decode(ENCODERS[name][1](TEXT), name, LIMIT) == TEXT


def test_a_body_of_very_many_streams_is_refused() -> None:
    with pytest.raises(DecodingFailed, match="more than 1000 streams of gzip"):
        decode(gzip.compress(b"") * 2_000, "gzip", 1_000_000)
