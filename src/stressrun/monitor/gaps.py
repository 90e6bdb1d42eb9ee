"""When something was not seen, and why."""

from __future__ import annotations

from dataclasses import dataclass

from stressrun.metrics.gap import Gap

_MOST = 20
_SEVERAL = "several reasons, of which there were too many to name"


@dataclass(slots=True)
class _Open:
    begin: int
    end: int
    why: str


class Gaps:
    """Gaps in the order of their ends; instants are nanoseconds.

    What goes on for the same reason is one gap, and past 20 the last one takes them all.
    """

    def __init__(self) -> None:
        self._gaps: list[_Open] = []

    def add(self, begin: int, end: int, why: str) -> None:
        """Nothing was seen from one instant to another."""
        last = self._gaps[-1] if self._gaps else None
        if last is not None and last.why == why and last.end >= begin:
            last.end = end
        elif last is not None and len(self._gaps) == _MOST:
            last.end, last.why = end, _SEVERAL
        else:
            self._gaps.append(_Open(begin, end, why))

    def since(self, start: int) -> tuple[Gap, ...]:
        """All gaps, in seconds from an instant."""
        return tuple(
            Gap((gap.begin - start) / 1e9, (gap.end - start) / 1e9, gap.why) for gap in self._gaps
        )
