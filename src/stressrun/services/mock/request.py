"""A request as a mock looks at it: nothing of it is read before something asks for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from urllib.parse import parse_qsl, unquote

import httptools

from stressrun.data.checks import MISSING

_FORM = "application/x-www-form-urlencoded"


class Request:
    """A whole request. Texts are None, and JSON values MISSING, where it does not have them."""

    def __init__(
        self,
        method: bytes,
        target: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
        arrival: int,
    ) -> None:
        """`arrival` is the instant at which it was there, in nanoseconds."""
        self.method = method.decode("latin-1")
        self.arrival = arrival
        path, _, self._query = _origin_form(target).partition(b"?")
        self.path = path.decode("utf-8", "replace")
        self.body = body
        self._headers = headers

    @cached_property
    def query(self) -> Mapping[str, str]:
        """The first value of each name."""
        return _pairs(self._query)

    @cached_property
    def document(self) -> object:
        """The body as JSON has it; of a form its fields."""
        if (self.header("content-type") or "").partition(";")[0].strip().lower() == _FORM:
            return _pairs(self.body)
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return MISSING

    def header(self, name: str) -> str | None:
        """The first header of a name, this in small letters."""
        wanted = name.encode("latin-1")
        for given, value in self._headers:
            if given.lower() == wanted:
                return value.decode("utf-8", "replace")
        return None


Segments = Sequence[str]
Get = Callable[[Request, Segments], object]


def getter(variable: str, segments: Sequence[str]) -> Get:
    """What reads a variable such as `path.id` or `body.items.0.sku`; null where it is missing.

    `segments` are the names in the route's path, in their order.
    """
    source, _, name = variable.partition(".")
    match source:
        case "path":
            position = segments.index(name)
            return lambda request, found: unquote(found[position])
        case "query":
            return lambda request, found: request.query.get(name)
        case "header":
            wanted = name.lower()
            return lambda request, found: request.header(wanted)
    steps = name.split(".")
    return lambda request, found: _value(request.document, steps)


def _value(document: object, steps: Sequence[str]) -> object:
    for step in steps:
        if isinstance(document, dict):
            document = document.get(step)
        elif isinstance(document, list) and step.isdecimal() and int(step) < len(document):
            document = document[int(step)]
        else:
            return None
    return None if document is MISSING else document


def _origin_form(target: bytes) -> bytes:
    """The path and the query of a target, which may be a whole URL, as proxies are sent one."""
    if target.startswith(b"/"):
        return target
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        return target
    path = url.path or b"/"
    return path if url.query is None else path + b"?" + url.query


def _pairs(text: bytes) -> dict[str, str]:
    pairs = parse_qsl(text.decode("utf-8", "replace"), keep_blank_values=True)
    return dict(reversed(pairs))
