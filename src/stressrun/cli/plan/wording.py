"""How a plan writes figures: as short as they are."""

from __future__ import annotations


def duration(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1000:g} ms"


def percent(share: float) -> str:
    return f"{share * 100:.3g} %"
