"""What is read out of an answer: captures and expectations, each parsed only when asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from stressrun.data.bounded import TookTooLong, bounded
from stressrun.data.checks import MISSING, Check, describe
from stressrun.data.expressions import compile_value
from stressrun.data.jsonpath import JsonPath
from stressrun.data.render import as_json
from stressrun.http.decoding import DecodingFailed, decode
from stressrun.http.message import Head, may_have_header, parse_head
from stressrun.load.session import Session
from stressrun.metrics.excerpt import MOST_OF_DETAIL, excerpt
from stressrun.scenario.model import (
    Capture,
    Expect,
    FromCookie,
    FromHeader,
    FromJson,
    FromRegex,
    FromStatus,
)

_MOST_DECODED = 64 * 1024 * 1024
# Of a captured value: later steps compare and write it, and Python's stack has an end.
_DEEPEST = 100
_UNREAD = object()
_decoder = json.JSONDecoder()

Variables = dict[str, object]
Source = FromJson | FromHeader | FromStatus | FromCookie | FromRegex


class Unreadable(Exception):  # noqa: N818 - an outcome, told as the failure's kind
    """The answer does not have what was asked for; the message is the failure's kind."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(kind)
        self.kind = kind
        self.detail = detail


class Reading:
    """One answer that is being read, each part when it is first asked for; raises Unreadable."""

    __slots__ = ("_content", "_head", "_json", "answer", "session")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.answer = session.answer
        self._head: Head | None = None
        self._content: bytes | None = None
        self._json: object = _UNREAD

    def head(self) -> Head:
        if self._head is None:
            self._head = parse_head(self.answer.start)
        return self._head

    def content(self) -> bytes:
        """The body, decoded."""
        if self._content is None:
            self._content = self._decoded()
        return self._content

    def text(self) -> str:
        return self.content().decode("utf-8", "replace")

    def json(self) -> object:
        if self._json is _UNREAD:
            try:
                self._json = _parsed(self.content().decode())
            except (ValueError, RecursionError) as error:
                raise Unreadable("the body is not JSON", str(error)) from error
        return self._json

    def _decoded(self) -> bytes:
        if not may_have_header(self.answer.start, b"content-encoding:"):
            return self.answer.body
        encodings = self.head().get("content-encoding")
        if encodings is None:
            return self.answer.body
        try:
            return decode(self.answer.body, encodings, _MOST_DECODED)
        except DecodingFailed as error:
            raise Unreadable("undecodable body", str(error)) from error


def _parsed(text: str) -> object:
    """The value of a JSON text. Raises ValueError."""
    try:
        value, end = _decoder.raw_decode(text)
    except ValueError:
        return _decoder.decode(text)  # white space before it
    return value if end == len(text) else _decoder.decode(text)


Find = Callable[[Reading], object]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look found; the texts are for people, values among them as JSON.

    `subject` is what was looked at or, of a capture, its variable; `wanted` what was expected of
    it, or where the value was looked for. `found` is None where there is nothing; `reason` says
    why an expectation could not be judged, or a value not be captured, where that is not all.
    """

    subject: str
    wanted: str
    found: str | None
    holds: bool
    reason: str = ""


class Look(Protocol):
    """A part of an answer that is looked at."""

    def read(self, reading: Reading, index: int, variables: Variables) -> None:
        """Do what an iteration needs. Raises Unreadable where the answer is not as it should be."""

    def tell(self, reading: Reading, index: int, variables: Variables) -> Finding:
        """What `read` finds, without doing anything about it."""


class CaptureLook:
    """Puts a part of an answer into the variables."""

    __slots__ = ("_find", "_variable", "_where")

    def __init__(self, capture: Capture) -> None:
        self._variable = capture.variable
        self._where, self._find = _source(capture.source)

    def read(self, reading: Reading, index: int, variables: Variables) -> None:
        try:
            value = self._find(reading)
        except LookupError:
            raise Unreadable(f"capture: no {self._variable}", f"nothing at {self._where}") from None
        except Unreadable as error:
            raise Unreadable(f"capture: {error.kind}", error.detail) from error
        if isinstance(value, str) and not _is_sendable(value):
            raise Unreadable(f"capture: {self._variable} is not text")
        if isinstance(value, list | dict) and _is_deeper(value, _DEEPEST):
            raise Unreadable(f"capture: {self._variable} is nested too deeply")
        variables[self._variable] = value

    def tell(self, reading: Reading, index: int, variables: Variables) -> Finding:
        value, reason = _sought(self._find, reading)
        if isinstance(value, str) and not _is_sendable(value):
            value, reason = MISSING, "what is there is not text"
        if value is MISSING:
            return Finding(self._variable, self._where, None, False, reason)
        return Finding(self._variable, self._where, as_json(value), True)


class ExpectationLook:
    """Holds a part of an answer against a check."""

    __slots__ = ("_check", "_find", "_holds", "_seed", "_site", "_subject")

    def __init__(self, subject: str, find: Find, check: Check, seed: int, site: str) -> None:
        self._subject = subject
        self._find = find
        self._check = check
        self._seed = seed
        self._site = site
        self._holds = check.compile(seed, site)

    def read(self, reading: Reading, index: int, variables: Variables) -> None:
        try:
            found = self._find(reading)
        except LookupError:
            found = MISSING
        except Unreadable as error:
            raise Unreadable(f"expect: {error.kind}", error.detail) from error
        try:
            holds = self._holds(found, index, variables)
        except KeyError as missing:
            raise Unreadable(f"expect: no value for {missing.args[0]}") from None
        except TookTooLong as error:
            raise Unreadable(f"expect: {self._subject}", str(error)) from None
        if not holds:
            shown = "missing"
            if found is not MISSING:
                shown = "".join(excerpt(as_json(found), MOST_OF_DETAIL))
            wanted = self._wanted(index, variables)
            raise Unreadable(f"expect: {self._subject}", f"expected {wanted}: it is {shown}")

    def tell(self, reading: Reading, index: int, variables: Variables) -> Finding:
        found, reason = _sought(self._find, reading)
        shown = None if found is MISSING else as_json(found)
        try:
            wanted = self._wanted(index, variables)
            holds = not reason and self._holds(found, index, variables)
        except KeyError as missing:
            wanted, holds = describe(self._check), False
            reason = reason or f"no value for {missing.args[0]}"
        except TookTooLong as error:
            holds, reason = False, str(error)
        return Finding(self._subject, wanted, shown, holds, reason)

    def _wanted(self, index: int, variables: Variables) -> str:
        """The check in words, with the values of its expressions."""
        check = self._check
        if check.value.constant:
            return describe(check)
        value = compile_value(check.value, self._seed, self._site)(index, variables)
        return f"{check.operator.replace('_', ' ')} {as_json(value)}"


def compile_captures(captures: tuple[Capture, ...]) -> list[CaptureLook]:
    """Looks that put the captured values into the variables."""
    return [CaptureLook(capture) for capture in captures]


def compile_expect(expect: Expect, seed: int, site: str) -> list[ExpectationLook]:
    """Looks that see whether the expectations hold."""
    parts: list[tuple[str, Find, Check, str]] = []
    for number, (name, check) in enumerate(expect.headers):
        parts.append((f"header {name}", partial(_header, name), check, f"headers.{number}"))
    for number, (path, check) in enumerate(expect.json):
        parts.append((path.source, partial(_json, path), check, f"json.{number}"))
    for number, check in enumerate(expect.body):
        parts.append(("body", _text, check, f"body.{number}"))
    for number, check in enumerate(expect.size):
        parts.append(("size", _size, check, f"size.{number}"))
    return [
        ExpectationLook(subject, find, check, seed, f"{site}.{place}")
        for subject, find, check, place in parts
    ]


def _source(source: Source) -> tuple[str, Find]:
    """Where a capture takes its value from, in words and as a function."""
    match source:
        case FromJson(path):
            return path.source, partial(_json, path)
        case FromHeader(name):
            return f"header {name}", partial(_header, name)
        case FromStatus():
            return "status", _status
        case FromCookie(name):
            return f"cookie {name}", partial(_cookie, name)
        case FromRegex(pattern):
            return f"regex {pattern}", partial(_regex, re.compile(pattern))


def _sought(find: Find, reading: Reading) -> tuple[object, str]:
    """What is found, MISSING for nothing; and why it cannot be looked for, where that is so."""
    try:
        return find(reading), ""
    except LookupError:
        return MISSING, ""
    except Unreadable as error:
        return MISSING, f"{error.kind}: {error.detail}"


def _is_sendable(text: str) -> bool:
    """Whether later requests can send it: half of a surrogate pair has no bytes."""
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _is_deeper(value: object, levels: int) -> bool:
    """Whether lists and objects are nested in more than so many levels."""
    level = [value]
    while level and levels >= 0:
        inner: list[object] = []
        for one in level:
            if isinstance(one, dict):
                inner += one.values()
            elif isinstance(one, list):
                inner += one
        level = [one for one in inner if isinstance(one, list | dict)]
        levels -= 1
    return bool(level)


def _status(reading: Reading) -> object:
    return reading.answer.status


def _header(name: str, reading: Reading) -> object:
    value = reading.head().get(name)
    if value is None:
        raise LookupError(name)
    return value


def _cookie(name: str, reading: Reading) -> object:
    cookies = reading.session.cookies
    value = None if cookies is None else cookies.get(name)
    if value is None:
        raise LookupError(name)
    return value


def _json(path: JsonPath, reading: Reading) -> object:
    return path.find(reading.json())


def _text(reading: Reading) -> object:
    return reading.text()


def _size(reading: Reading) -> object:
    return len(reading.content())


def _regex(pattern: re.Pattern[str], reading: Reading) -> object:
    text = reading.text()
    try:
        with bounded:
            found = pattern.search(text)
    except TookTooLong as error:
        raise Unreadable("too slow an expression", str(error)) from None
    if found is None:
        raise LookupError(pattern.pattern)
    value = found[1] if pattern.groups else found[0]
    if value is None:  # its group is in a part of the pattern that another part stood in for
        raise LookupError(pattern.pattern)
    return value
