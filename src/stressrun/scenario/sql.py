"""What can be told of an SQL statement before a server has read it."""

from __future__ import annotations

import re

from stressrun.data.references import Reference
from stressrun.data.templates import Part, Template

# In these nothing is a parameter: comments, texts, quoted names, and bodies between $$.
_CLOSED = re.compile(
    r"""--[^\n]* | /\*.*?\*/
      | (?<![\w$])[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*"
      | (?<![\w$])(\$(?:[A-Za-z_]\w*)?\$).*?\1""",
    re.VERBOSE | re.DOTALL,
)
_COMMENTS = re.compile(r"(?:\s|--[^\n]*|/\*.*?\*/)*", re.DOTALL)
_WORD = re.compile(r"[A-Za-z]*")


def has_closed_parameter(statement: Template) -> bool:
    """Whether a `${…}` stands where it cannot be a parameter: between quotes, in a comment.

    References are none: their values are in the text when the run has started.
    """
    text = "".join(map(_shown, statement.parts))
    return any("\0" in match[0] for match in _CLOSED.finditer(text))


def _shown(part: Part) -> str:
    if isinstance(part, Reference):
        return part.name
    return part if isinstance(part, str) else "\0"


def first_word(statement: str) -> tuple[str, int]:
    """The word that says what a statement does, in small letters, and where it stands."""
    comments = _COMMENTS.match(statement)
    assert comments is not None
    word = _WORD.match(statement, comments.end())
    assert word is not None
    return word[0].lower(), word.start()
