"""What a stage did: the books of all its workers, and what the generator did itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from stressrun.metrics.recorder import Recorder
from stressrun.scenario.model import Stage


@dataclass(slots=True)
class Generator:
    """The workers' own figures over a stage; times in seconds."""

    workers: int = 0
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    longest_stall: float = 0.0
    longest_gc_pause: float = 0.0

    def add(self, reading: dict[str, float]) -> None:
        """Add what a worker told of the time since it last told."""
        self.cpu_seconds += reading["cpu_seconds"]
        self.wall_seconds += reading["wall_seconds"]
        self.longest_stall = max(self.longest_stall, reading["longest_stall"])
        self.longest_gc_pause = max(self.longest_gc_pause, reading["longest_gc_pause"])

    @property
    def cpu_share(self) -> float:
        """The share of a core that a worker used, averaged over the workers."""
        return self.cpu_seconds / self.wall_seconds if self.wall_seconds else 0.0


@dataclass(slots=True)
class StageResult:
    """A stage as it ran. `elapsed` is from its start to its end or stop, without the grace."""

    stage: Stage
    number: int
    elapsed: float = 0.0
    interrupted: bool = False
    books: Recorder = field(default_factory=Recorder)
    generator: Generator = field(default_factory=Generator)
    most_vus: int = 0
