"""One side of a comparison: a tree's services, data and workers, which do blocks of load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import trio

from stressrun.load.stage import StageResult
from stressrun.postgres.observing import NotSeen, Observer
from stressrun.postgres.statistics import Reading, between
from stressrun.run.deployment import Deployment
from stressrun.scenario.model import CommandSeeding, CommandService, Scenario
from stressrun.verdict.work import Work

_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Tree:
    """Where a side's code is, and what its processes have in their environment besides."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def adapted(self, scenario: Scenario) -> Scenario:
        """The scenario with its commands in this tree."""
        return replace(
            scenario,
            services=tuple(
                self._here(each) if isinstance(each, CommandService) else each
                for each in scenario.services
            ),
            seeding=tuple(
                self.here(each) if isinstance(each, CommandSeeding) else each
                for each in scenario.seeding
            ),
        )

    def here(self, command: CommandSeeding) -> CommandSeeding:
        """A command in this tree: its folder counts from here, its own environment comes first."""
        return replace(
            command,
            cwd=str(self.folder / command.cwd),
            env={**self.environment, **command.env},
        )

    def _here(self, service: CommandService) -> CommandService:
        return replace(
            service,
            cwd=str(self.folder / service.cwd),
            env={**self.environment, **service.env},
        )


class Side:
    """A deployment that does blocks of load; `name` is base or head."""

    def __init__(self, name: str, deployment: Deployment) -> None:
        self.name = name
        self.deployment = deployment
        self._observer: Observer | None = None
        self._before: Reading | None = None
        self._cpu: Mapping[str, float] = {}
        self._requests = 0

    async def set_up(self) -> None:
        """Start the services, fill the database, start the workers.

        Raises SetupError, RefusedError.
        """
        await self.deployment.set_up(writes=True)
        await self.deployment.start_crew()
        database = self.deployment.scenario.database
        if database is not None:
            self._observer = Observer(
                database, self.deployment.guard, run_id=self.deployment.run_id
            )
        self._before = await self._read()
        self._cpu = self.deployment.cpu_seconds()

    async def block(self, number: int) -> StageResult:
        """Do a block, its warm-up first. Raises WorkerLost, TargetLost."""
        await self._stage(2 * number)
        return await self._stage(2 * number + 1)

    async def finish(self) -> Work:
        """End the load and what is loaded but its database; the work that was done."""
        cpu = {
            name: seconds - self._cpu.get(name, 0.0)
            for name, seconds in self.deployment.cpu_seconds().items()
        }
        # What their sessions have counted, they tell the server when they end.
        await self.deployment.crew.close()
        await self.deployment.stop_commands()
        after = await self._read()
        self.close()
        statistics = None
        if self._before is not None and after is not None:
            statistics = between(self._before, after)
        return Work(self._requests, cpu, statistics)

    def close(self) -> None:
        """Close the connection that looks at the database."""
        if self._observer is not None:
            self._observer.close()

    async def _stage(self, number: int) -> StageResult:
        stage = self.deployment.scenario.stages[number]
        result = StageResult(stage, number, elapsed=stage.duration)
        crew = self.deployment.crew
        await crew.run(result, crew.next_start(), lambda *_: None)
        self.deployment.check_alive(f"{stage.name} of {self.name}")
        self._requests += sum(
            row.succeeded + row.failed
            for (kind, _), row in result.books.rows.items()
            if kind in ("endpoint", "operation")
        )
        return result

    async def _read(self) -> Reading | None:
        """The server's statistics now; None where they cannot be had."""
        if self._observer is None:
            return None
        with trio.move_on_after(_PATIENCE):
            try:
                if not self._observer.connected:
                    await self._observer.connect()
                return await self._observer.read()
            except NotSeen:
                return None
        return None
