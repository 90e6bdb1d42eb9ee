"""A time in which a monitor did not see."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gap:
    """From when to when, in seconds of the stage, something was not seen, and why."""

    begin: float
    end: float
    why: str
