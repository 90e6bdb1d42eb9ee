"""What a run is judged by: thresholds, invariants, and how it is compared."""

from __future__ import annotations

import re
from dataclasses import dataclass

from stressrun.data.checks import Check
from stressrun.scenario.model.preparing import CommandSeeding
from stressrun.scenario.model.requests import Request


@dataclass(frozen=True, slots=True)
class Threshold:
    """`text` is the source form; `subject` is the first word of it; `stage` None: all judged.

    `value` is in the unit of the metric: seconds, a fraction, per second, bytes or a number. With
    a `window` (seconds) it must hold in every one of each stage. One that does `abort` ends the
    run as soon as it is crossed, but not in the first seconds, `after`, of a stage. `built_in`
    are those that hold without being written, and so have no `place` in the document.
    """

    text: str
    subject: str
    name: str | None
    operation: str | None
    metric: str
    operator: str
    value: float
    stage: str | None
    window: float | None = None
    abort: bool = False
    after: float = 0.0
    built_in: bool = False
    place: tuple[str | int, ...] | None = None

    @property
    def written(self) -> str:
        """The value as it is written."""
        return re.split(r"[<>]=?", self.text)[-1].split()[0]


@dataclass(frozen=True, slots=True)
class SqlQuestion:
    """A statement that only reads, whose answer is one value."""

    sql: str


@dataclass(frozen=True, slots=True)
class RequestQuestion:
    """A request with one capture, which is the answer."""

    request: Request


@dataclass(frozen=True, slots=True)
class CountQuestion:
    """How many requests or operations of the load have succeeded since the run began.

    `kind` and `name` are those of a row of its books, `text` is the source form. An insert or COPY
    is as many as the rows that `each` of them writes.
    """

    text: str
    kind: str
    name: str
    each: int = 1


@dataclass(frozen=True, slots=True)
class Invariant:
    """What must hold after each stage, or after those of some names.

    All the checks that are `expected` hold of the question's answer; or another question has the
    same answer. It is asked again for `within` so many seconds where it does not hold. `place` is
    where it stands in the document.
    """

    name: str
    question: SqlQuestion | RequestQuestion
    expected: tuple[Check, ...] | SqlQuestion | RequestQuestion | CountQuestion
    stages: tuple[str, ...]
    within: float
    place: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Comparing:
    """How `stressrun compare` measures base and head: blocks of a stage's load, in pairs.

    `prepare` is done in each side's folder first. A block lasts `block` seconds after `warm_up`,
    under the load of the `stage` of a name; None: that which suits best. `figure` is judged, and
    changes smaller than `min_effect` (a share) do not matter; between a run and a stored one, those
    smaller than `baseline_effect`. `pairs` None: as many as it takes. With `reset` each block finds
    the database as it was seeded.
    """

    prepare: tuple[CommandSeeding, ...] = ()
    stage: str | None = None
    block: float = 0.5
    warm_up: float = 0.1
    figure: str = "p95"
    min_effect: float = 0.05
    baseline_effect: float = 0.3
    pairs: int | None = None
    reset: bool = False
