"""How messages name what there is to choose from."""

from __future__ import annotations

from collections.abc import Collection, Iterable

_MOST = 20


def one_of(words: Iterable[str]) -> str:
    """`a, b or c`."""
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def there_are(kind: str, names: Collection[str]) -> str:
    """`the stages are a, b, c`, cut short where there are many."""
    if not names:
        return f"there are no {kind}"
    shown = ", ".join(list(names)[:_MOST])
    return f"the {kind} are {shown}{', …' if len(names) > _MOST else ''}"
