"""Requests and answers as a person reads them: decoded, cut, without what is secret in general."""

from __future__ import annotations

import re
from collections.abc import Iterable

from stressrun.http.decoding import DecodingFailed, decode
from stressrun.http.message import body_of, parse_head
from stressrun.http.request import parse_request
from stressrun.metrics.excerpt import MOST, excerpt

_MOST_DECODED = 1024 * 1024
_SECRET_HEADER = re.compile(r"auth|cookie|key|secret|session|token", re.IGNORECASE)
_SECRET_MEMBER = re.compile(
    r"""(?i)("[^"\s]*(?:password|secret|token)[^"\s]*"\s*:\s*")(?:[^"\\]|\\.)*"""
)
_SECRET_ARGUMENT = re.compile(r"(?i)([?&][^=&\s]*(?:key|password|secret|token)[^=&\s]*=)[^&\s]*")


def request_text(content: bytes, most: int = MOST) -> str:
    """A rendered request with its headers and the beginning of its body.

    It is an excerpt of which, once it is masked, so many characters are to be shown.
    """
    method, target, headers, body = parse_request(content)
    line = _SECRET_ARGUMENT.sub(r"\1***", f"{method} {target}")
    return _text(line, headers, body, most)


def answer_text(start: bytes, body: bytes | None, most: int = MOST) -> str:
    """An answer of which `start` came first; its `body`, or what of it is in `start`.

    It is an excerpt of which, once it is masked, so many characters are to be shown.
    """
    try:
        head = parse_head(start)
    except ValueError:
        return _cut(start.decode("utf-8", "backslashreplace"), most)
    if body is None:
        body = body_of(start)
    encodings = head.get("content-encoding")
    if encodings is not None:
        try:
            body = decode(body, encodings, _MOST_DECODED)
        except DecodingFailed as error:
            body = f"({error})".encode()
    return _text(f"{head.status} {head.reason}", head.headers, body, most)


def _text(line: str, headers: Iterable[tuple[str, str]], body: bytes, most: int) -> str:
    shown = "".join(
        f"\n{name}: {'***' if _SECRET_HEADER.search(name) else value}" for name, value in headers
    )
    text = f"{line.strip()}{shown}"
    if body:
        text += f"\n\n{body.decode('utf-8', 'backslashreplace')}"
    return _cut(text, most)


def _cut(text: str, most: int) -> str:
    """An excerpt with no secret in a JSON body."""
    shown, rest = excerpt(text, most)
    return _SECRET_MEMBER.sub(r"\1***", shown) + rest
