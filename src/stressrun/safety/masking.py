"""Keeps secrets out of what is shown, logged and stored."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "***"

_PASSWORD = re.compile(
    r"(?P<login>[a-zA-Z][\w+.-]*://[^\s:/@]*:)[^\s\"]+(?=@)"
    r"|(?P<key>password *= *)(?:'(?:[^'\\]|\\.)*'|[^\s&\"]+)"
)
# Shorter values would blot out all text and hide nothing.
_SHORTEST = 3


class Mask:
    """Replaces known secrets, and the passwords of URLs, by `***`."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        kept = [secret for secret in secrets if len(secret) >= _SHORTEST]
        # The longest first: one secret may hold another.
        known = sorted({form for secret in kept for form in _forms(secret)}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def text(self, text: str) -> str:
        """The text with no secret in it."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        return _PASSWORD.sub(lambda match: f"{match['login'] or match['key']}{MASK}", text)


def _forms(secret: str) -> tuple[str, ...]:
    """A secret as it is, in a URL, in a form, and within the quotes of JSON."""
    return (
        secret,
        quote(secret, safe="", errors="backslashreplace"),
        quote_plus(secret, errors="backslashreplace"),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
    )
