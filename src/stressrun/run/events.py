"""What happens in a run, told to whoever shows or stores it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from stressrun.errors import ExitCode
from stressrun.load.once import IterationFinished
from stressrun.load.stage import PoolReading, StageResult
from stressrun.load.watching import StepFinished
from stressrun.metrics.recorder import Recorder
from stressrun.scenario.model import Scenario, Stage
from stressrun.verdict.baseline import Against
from stressrun.verdict.comparison import Finding
from stressrun.verdict.invariants import Answer
from stressrun.verdict.origin import Origin
from stressrun.verdict.thresholds import Evaluation
from stressrun.verdict.work import WorkChange


@dataclass(frozen=True, slots=True)
class RunStarted:
    run_id: str
    scenario: Scenario
    file: Path
    directory: Path


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth a line: a service is ready, a table was created, a teardown step failed."""

    text: str


@dataclass(frozen=True, slots=True)
class Kept:
    """Services and data stay as they are; `urls` by service, with the passwords in them."""

    run_id: str
    urls: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StageStarted:
    stage: Stage
    number: int


@dataclass(frozen=True, slots=True)
class Tick:
    """A report interval of a stage: what it did in the last `interval` seconds, and in `total`."""

    stage: Stage
    elapsed: float
    interval: float
    books: Recorder
    total: Recorder
    pool: PoolReading | None


@dataclass(frozen=True, slots=True)
class StageFinished:
    result: StageResult


@dataclass(frozen=True, slots=True)
class InvariantsAsked:
    """What the invariants were found to be after a stage."""

    stage: Stage
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run's end. `cause` and `remedy` are one line each, empty when it passed.

    `partial` says why stages are missing or cut short; `residue` names what is left behind, and
    `removed` what was taken away, each with how many of it were found afterwards.
    `baseline` None: there was none to hold the run against.
    """

    run_id: str
    scenario: Scenario
    file: Path
    origin: Origin
    started_at: datetime
    ended_at: datetime
    stages: tuple[StageResult, ...]
    thresholds: tuple[Evaluation, ...]
    invariants: tuple[Answer, ...]
    verdict: str
    exit_code: ExitCode
    cause: str = ""
    remedy: str = ""
    partial: str = ""
    residue: tuple[str, ...] = field(default=())
    removed: tuple[str, ...] = ()
    baseline: Against | None = None


@dataclass(frozen=True, slots=True)
class PartWork:
    """The work for each request; `only` is the endpoint that was under load by itself, if one."""

    only: str
    changes: tuple[WorkChange, ...]


@dataclass(frozen=True, slots=True)
class ComparisonFinished:
    """What came out of a comparison with `base`, over `pairs` of blocks of a stage's load.

    `cause` and `remedy` are one line each, empty when it passed. `warnings` say what makes the
    findings doubtful; `residue` names what is left behind.
    """

    run_id: str
    scenario: Scenario
    file: Path
    started_at: datetime
    ended_at: datetime
    base: str
    stage: str
    pairs: int
    findings: tuple[Finding, ...]
    work: tuple[PartWork, ...]
    verdict: str
    exit_code: ExitCode
    cause: str = ""
    remedy: str = ""
    warnings: tuple[str, ...] = ()
    residue: tuple[str, ...] = ()


Finished = RunFinished | ComparisonFinished
Event = (
    RunStarted
    | Note
    | Kept
    | StepFinished
    | IterationFinished
    | StageStarted
    | Tick
    | StageFinished
    | InvariantsAsked
    | RunFinished
)
Listener = Callable[[Event], None]
