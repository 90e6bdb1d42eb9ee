"""Long texts cut for people, around the masking of the secrets in them.

The first part of a secret that a cut went through is no longer known to be one. So before the
masking `excerpt` leaves more than is to be shown, which `shortened` takes off after it.
"""

from __future__ import annotations

import re

# Characters of a request, of an answer and of a failure's detail that are shown.
MOST = 2_000
MOST_OF_DETAIL = 300

# No secret is longer.
_RESERVE = 2_000

_CUT = re.compile(r"… \(([0-9][0-9,]*) more characters\)\Z")


def excerpt(text: str, most: int) -> tuple[str, str]:
    """The beginning of a text of which so many characters are to be shown, and a word on the rest.

    It is this long so that it can be masked, and shortened then.
    """
    kept = most + _RESERVE
    return text[:kept], _of_the_rest(len(text) - kept)


def shortened(text: str, most: int) -> str:
    """The first so many characters of a text, and how many more there are.

    Of an excerpt that was cut, and masked since, those are left out that a cut secret may end.
    """
    cut = _CUT.search(text)
    if cut is None:
        return text[:most] + _of_the_rest(len(text) - most)
    shown = min(most, max(0, cut.start() - _RESERVE))
    return text[:shown] + _of_the_rest(cut.start() - shown + int(cut[1].replace(",", "")))


def _of_the_rest(count: int) -> str:
    return f"… ({count:,} more characters)" if count > 0 else ""


def on_one_line(text: str, most: int) -> str:
    """A text on one line, cut between words: one that is a secret is there as a whole, or not."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: line.rfind(' ', 0, most) + 1]}..."
