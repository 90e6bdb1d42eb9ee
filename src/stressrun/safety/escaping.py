"""Text that a terminal only shows: nothing in it moves the cursor, colours or reorders."""

from __future__ import annotations

from unicodedata import category


def visible(text: str) -> str:
    r"""The text with what would do something told by its code, such as `\x1b` for an escape.

    Lines, tabs and every kind of space stay.
    """
    return "\n".join(map(visible_line, text.split("\n")))


def visible_line(text: str) -> str:
    """As `visible`, on one line."""
    return text if text.isprintable() else _escaped(text)


def within_margin(text: str, margin: str = "  ") -> str:
    """A text of several lines, none of which can be taken for one of ours at the margin."""
    return margin + text.replace("\n", f"\n{margin}")


def _escaped(text: str) -> str:
    return "".join(
        character if _harmless(character) else character.encode("unicode_escape").decode()
        for character in text
    )


def _harmless(character: str) -> bool:
    return character.isprintable() or character == "\t" or category(character) == "Zs"
