"""The head of an answer, read from its raw bytes when something asks for it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import httptools

_INTERIM = re.compile(rb"HTTP/[0-9.]+ 1(?!01)")

# As long as this, looking through all is quicker than finding the head's end.
_SHORT = 1024


@dataclass(frozen=True, slots=True)
class Head:
    """Status, reason and headers, these in their order and as they were written."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str | None:
        """The value of a header in any case, that of several lines joined by commas."""
        return ", ".join(values) if (values := self.get_all(name)) else None

    def get_all(self, name: str) -> list[str]:
        """The values of all lines of a header."""
        wanted = name.lower()
        return [value for name, value in self.headers if name.lower() == wanted]


def parse_head(raw: bytes) -> Head:
    """The head of the answer that begins `raw`; interim answers (1xx) before it are left out.

    What follows the head may be there, wholly or in part, and is not judged. Raises ValueError
    when the head is broken or has no end.
    """
    reader = _Reader()
    reason = "it has no end"
    try:
        reader.parser.feed_data(raw)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
        reason = str(error)
    if reader.head is None:
        raise ValueError(f"no head of an answer: {reason}")
    return reader.head


def body_of(raw: bytes) -> bytes:
    """What of its body is in the bytes that begin an answer, the framing taken off.

    Where the framing is broken, all that follows the head is given as it came.
    """
    reader = _BodyReader()
    try:
        reader.parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        return b""
    except httptools.HttpParserError:
        return _after_head(raw)
    return b"".join(reader.body)


def _after_head(raw: bytes) -> bytes:
    head, _, rest = raw.lstrip(b"\r\n").partition(b"\r\n\r\n")
    while _INTERIM.match(head):
        head, _, rest = rest.partition(b"\r\n\r\n")
    return rest


def may_have_header(raw: bytes, name: bytes) -> bool:
    """Whether what begins an answer may have a header (in small letters, with its colon).

    A quick look that spares most answers the parsing: it can be wrong only in saying yes.
    """
    if len(raw) > _SHORT:
        end = raw.find(b"\r\n\r\n")
        # An interim answer's head is not the one that counts.
        if not raw.startswith(b"HTTP/1.1 1"):
            raw = raw[:end]
    return name in raw.lower()


class _Reader:
    """What the parser calls: the same parser as the connection's, so that both agree."""

    def __init__(self) -> None:
        self.head: Head | None = None
        self.parser = httptools.HttpResponseParser(self)

    def on_message_begin(self) -> None:
        self._reason = b""
        self._headers: list[tuple[str, str]] = []

    def on_status(self, reason: bytes) -> None:
        self._reason = reason

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((_text(name), _text(value).strip(" \t")))

    def on_headers_complete(self) -> None:
        status = self.parser.get_status_code()
        # A change of protocol is of the 1xx, too, but nothing comes after it.
        if self.head is None and (status >= 200 or status == 101):
            self.head = Head(status, _text(self._reason), tuple(self._headers))


class _BodyReader(_Reader):
    def __init__(self) -> None:
        super().__init__()
        self.body: list[bytes] = []

    def on_body(self, data: bytes) -> None:
        self.body.append(data)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
