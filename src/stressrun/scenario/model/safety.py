"""What a run may use up."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that a run may use; None is no limit. `bytes` are both ways, `duration` seconds."""

    requests: int | None = None
    rows: int | None = None
    bytes: int | None = None
    duration: float | None = None
