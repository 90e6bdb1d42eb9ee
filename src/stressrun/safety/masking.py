"""Keeps secrets out of what is shown, logged and stored."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote

MASK = "***"

_PASSWORD = re.compile(
    r"(?P<before>[a-zA-Z][\w+.-]*://[^\s:/@]*:)[^\s]+(?=@)|(?<=password=)[^\s&]+"
)
# Shorter values would blot out all text and hide nothing.
_SHORTEST = 3


class Mask:
    """Replaces known secrets, and the passwords of URLs, by `***`."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets for form in (secret, quote(secret, safe=""))}
        # The longest first: one secret may hold another.
        known = sorted((form for form in forms if len(form) >= _SHORTEST), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def text(self, text: str) -> str:
        """The text with no secret in it."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        return _PASSWORD.sub(lambda match: f"{match['before'] or ''}{MASK}", text)
