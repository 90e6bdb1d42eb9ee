"""Which series of an exporter are meant: `http_requests_total{path="/orders", status=~"5.."}`."""

from __future__ import annotations

import re
from dataclasses import dataclass

SELECTOR_FORM = 'a series such as http_requests_total{path="/orders", status=~"5.."}'

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_MATCHER = r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*"((?:[^"\\\n]|\\["\\n])*)"\s*'
_SELECTOR = re.compile(rf"\s*({_NAME})\s*(?:\{{(.*)\}})?\s*", re.DOTALL)
_ONE = re.compile(_MATCHER)
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Matcher:
    """What a label has to be: `operator` is =, !=, =~ or !~, of all of the value as in PromQL.

    One that is not there is empty.
    """

    label: str
    operator: str
    value: str

    @property
    def is_pattern(self) -> bool:
        return self.operator in ("=~", "!~")

    @property
    def excludes(self) -> bool:
        """Whether it means what is not so."""
        return self.operator.startswith("!")


@dataclass(frozen=True, slots=True)
class Selector:
    """Series of a name whose labels are as all the matchers say; `text` is the source form."""

    text: str
    name: str
    matchers: tuple[Matcher, ...]


def parse_selector(text: str) -> Selector:
    """A selector from its source form. Raises ValueError."""
    match = _SELECTOR.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not {SELECTOR_FORM}")
    return Selector(text, match[1], tuple(_matchers(match[2] or "")))


def _matchers(text: str) -> list[Matcher]:
    found = []
    rest = text.strip()
    while rest:
        match = _ONE.match(rest)
        if match is None:
            raise ValueError(f'{rest[:40]!r} is not a label with its value, such as path="/orders"')
        label, operator, quoted = match.groups()
        value = _ESCAPED.sub(lambda each: {"n": "\n"}.get(each[1], each[1]), quoted)
        matcher = Matcher(label, operator, value)
        if matcher.is_pattern:
            _check_pattern(value)
        found.append(matcher)
        rest = rest[match.end() :]
        if rest and not rest.startswith(","):
            raise ValueError(f"expected a comma before {rest[:40]!r}")
        rest = rest[1:]
    return found


def _check_pattern(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
