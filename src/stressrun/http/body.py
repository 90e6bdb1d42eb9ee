"""The body of a request, compiled: its media type, and its bytes or what gives them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from itertools import count

from stressrun.data.expressions import (
    Json,
    Template,
    compile_json,
    compile_json_text,
    compile_text,
)
from stressrun.http.pieces import (
    BEYOND_UTF8,
    Piece,
    Render,
    as_argument,
    compile_piece,
    encode,
)
from stressrun.scenario.model import (
    Body,
    FormBody,
    JsonBody,
    MultipartBody,
    MultipartPart,
    RawBody,
)

_JSON = re.compile(r"\s*[^/;\s]+/(?:[^/;\s]+\+)?json\s*(?:;.*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Content:
    """`media_type` is the Content-Type, if any; `data` is bytes where it is always the same."""

    media_type: str | None
    data: bytes | Render


def compile_body(body: Body, seed: int, site: str, named: str | None = None) -> Content:
    """A body with the generated values of (seed, site, index).

    `named` is the Content-Type that the request's own headers give it, if they do.
    """
    match body:
        case JsonBody(json):
            return Content("application/json", _json(json, seed, f"{site}.json"))
        case FormBody(fields):
            return Content("application/x-www-form-urlencoded", _form(fields, seed, f"{site}.form"))
        case MultipartBody(parts):
            contents = [
                _text(part.content, seed, f"{site}.multipart.{number}")
                for number, part in enumerate(parts)
            ]
            boundary = _boundary([each for each in contents if isinstance(each, bytes)])
            return Content(
                f"multipart/form-data; boundary={boundary}", _multipart(parts, contents, boundary)
            )
        case RawBody(content, media_type):
            return Content(
                media_type, _text(content, seed, f"{site}.body", named or media_type or "")
            )


def _json(json: Json, seed: int, site: str) -> bytes | Render:
    render = compile_json(json, seed, site)
    return render(0, {}) if json.constant else render


def _form(fields: tuple[tuple[str, Template], ...], seed: int, site: str) -> bytes | Render:
    pieces: list[Piece] = []
    for number, (name, value) in enumerate(fields):
        pieces.append(f"{'&' if number else ''}{as_argument(name)}=")
        pieces.append(compile_piece(value, seed, f"{site}.{number}", as_argument))
    return encode(pieces)


def _text(content: Template | bytes, seed: int, site: str, media_type: str = "") -> bytes | Render:
    if isinstance(content, bytes):
        return content
    compiled = compile_json_text if _JSON.fullmatch(media_type) else compile_text
    text = compiled(content, seed, site)
    if content.constant:
        return text(0, {}).encode("utf-8", BEYOND_UTF8)
    return lambda index, variables: text(index, variables).encode("utf-8", BEYOND_UTF8)


def _multipart(
    parts: tuple[MultipartPart, ...], contents: list[bytes | Render], boundary: str
) -> bytes | Render:
    pieces: list[bytes | Render] = []
    for part, content in zip(parts, contents, strict=True):
        pieces += [f"--{boundary}\r\n{_part_head(part)}\r\n".encode(), content, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    if all(isinstance(content, bytes) for content in contents):
        return b"".join([piece for piece in pieces if isinstance(piece, bytes)])
    return lambda index, variables: b"".join(
        [piece if isinstance(piece, bytes) else piece(index, variables) for piece in pieces]
    )


def _part_head(part: MultipartPart) -> str:
    head = f'Content-Disposition: form-data; name="{_quoted(part.name)}"'
    if part.filename is not None:
        head += f'; filename="{_quoted(part.filename)}"'
    media_type = part.content_type
    if media_type is None and part.filename is not None:
        media_type = "application/octet-stream"
    return head + (f"\r\nContent-Type: {media_type}\r\n" if media_type else "\r\n")


def _quoted(name: str) -> str:
    """A name as browsers write it there (HTML, multipart/form-data encoding algorithm)."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _boundary(constant: list[bytes]) -> str:
    """A boundary that is in none of the contents, and the same for the same contents."""
    contents = b"".join(constant)
    digest = blake2b(contents, digest_size=12).hexdigest()
    candidates = (f"stressrun-{digest}-{number}" for number in count())
    return next(each for each in candidates if each.encode() not in contents)
