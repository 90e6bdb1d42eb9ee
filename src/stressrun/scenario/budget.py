"""The `budget:` of a scenario."""

from __future__ import annotations

from stressrun.scenario.model import Budget
from stressrun.scenario.part import Part
from stressrun.units import parse_size


def build_budget(root: Part) -> Budget:
    """The budget; one without limits where there is none."""
    part = root.section("budget")
    size = part.get("bytes")
    return Budget(
        requests=_count(part, "requests"),
        rows=_count(part, "rows"),
        bytes=None if size is None else size.parsed(parse_size, 1),
        duration=part.duration("duration", 0.0, positive=True) or None,
    )


def _count(part: Part, key: str) -> int | None:
    return None if part.get(key) is None else part.integer(key, 0)
