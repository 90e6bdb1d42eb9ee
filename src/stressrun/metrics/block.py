"""What a row did in a part of a stage, without its histograms: small enough to be kept for good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Block:
    """A row over a block of time; `count` is succeeded and failed.

    What was sent and has no outcome that is known is `unanswered`.

    `figures` are response times in seconds by their names, such as p95, without the generator's own
    lag; None: too few values.
    """

    planned: int = 0
    failed: int = 0
    dropped: int = 0
    count: int = 0
    figures: Mapping[str, float | None] = field(default_factory=dict)
    unanswered: int = 0
