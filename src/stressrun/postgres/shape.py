"""A statement's shape: one line, without its values, so that like is counted with like."""

from __future__ import annotations

import re
from functools import lru_cache

LONGEST = 200
"""The most characters of a shape."""

# What was cut off at the server's limit ends with the text. The look ahead is for speed.
_TOKEN = re.compile(
    r"""
    (?=[-/"'$\d]) (?:
        (?P<comment> --[^\n]* | /\*.*?(?:\*/|\Z) )
        | (?P<name> "(?:[^"]|"")*(?:"|\Z) )
        | (?<=\b[eE])'(?:[^'\\]|\\.|'')*(?:'|\Z)
        | '(?:[^']|'')*(?:'|\Z)
        | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z)
        | (?<![\w$])\d[\w.]*
    )
    """,
    re.DOTALL | re.VERBOSE,
)
_PREFIXED = re.compile(r"\b(?:[bBeEnNxX]|[uU]&)\?")
_VALUE = r"(?:\?|\$\d+)"
_LIST = re.compile(rf"{_VALUE}(?:\s*,\s*{_VALUE})+")
_ROW = rf"\((?:…|{_VALUE})\)"
_ROWS = re.compile(rf"{_ROW}(?:\s*,\s*{_ROW})+")


@lru_cache(maxsize=512)
def shape_of(statement: str) -> str:
    """A statement in one line, with `?` for its literals and `…` for lists of values.

    Longer ones are cut. Values are left out because they tell one call from another, and because
    they can be anybody's data.
    """
    bare = _TOKEN.sub(_bare, statement)
    if "'" in statement:
        bare = _PREFIXED.sub("?", bare)
    if "," in bare:
        bare = _ROWS.sub("(…), …", _LIST.sub("…", bare))
    line = " ".join(bare.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _bare(token: re.Match[str]) -> str:
    if token["comment"] is not None:
        return " "
    return token[0] if token["name"] is not None else "?"
