"""One side of a comparison: a tree's services, data and workers, which do blocks of load."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import trio

from stressrun.compare.mocked import calls_of
from stressrun.load.stage import StageResult
from stressrun.metrics.excerpt import on_one_line
from stressrun.metrics.recorder import Recorder
from stressrun.postgres.observing import NotSeen, Observer
from stressrun.postgres.shape import shape_of
from stressrun.postgres.statistics import MARK, Reading, between, busiest
from stressrun.postgres.template import Template
from stressrun.run.deployment import Deployment
from stressrun.scenario.model import CommandSeeding, CommandService, Scenario
from stressrun.verdict.work import NO_WORK, Work, counted

_PATIENCE = 10.0
# Of many short blocks the barriers are a large part: a worker that is late for one has lag.
_LEAD = 0.03
_MOST_STATEMENTS = 50
_SHOWN = 80


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
    """A deployment that does blocks of load; `name` is base or head.

    With `reset`, each block finds the database as it was seeded, and mocks that nobody has called.
    """

    def __init__(self, name: str, deployment: Deployment, *, reset: bool) -> None:
        self.name = name
        self.deployment = deployment
        self._reset = reset
        self._observer: Observer | None = None
        self._before: Reading | None = None
        self._cpu: Mapping[str, float] = {}
        self._iterations = 0
        self._calls: Counter[str] = Counter()
        self._work = NO_WORK

    async def set_up(self) -> None:
        """Start the services, fill the database, start the workers.

        Raises SetupError, RefusedError.
        """
        await self.deployment.set_up(loads=True)
        database = self.deployment.scenario.database
        if database is not None:
            self._observer = Observer(
                database, self.deployment.guard, run_id=self.deployment.run_id
            )
        if self._reset:
            await self.deployment.stop_commands()
            await self._template().keep()
        else:
            await self._begin()

    async def block(self, number: int) -> StageResult:
        """Do a block, its warm-up first. Raises WorkerLost, TargetLost, SetupError."""
        if self._reset:
            await self._template().restore()
            await self.deployment.set_mocks_back()
            await self.deployment.start_commands()
            await self._begin()
        await self._stage(2 * number)
        result = await self._stage(2 * number + 1)
        if self._reset:
            await self._end()
        return result

    async def finish(self) -> Work:
        """End the load and what is loaded but its database; the work that was done."""
        if not self._reset:
            await self._end()
        return self._work

    def close(self) -> None:
        """Close the connection that looks at the database."""
        if self._observer is not None:
            self._observer.close()

    async def _begin(self) -> None:
        """Start the workers, and count from now on."""
        await self.deployment.start_crew()
        self._before = await self._read()
        self._cpu = self.deployment.cpu_seconds()
        self._iterations = 0
        self._calls.clear()

    async def _end(self) -> None:
        """End workers and services, and add what they did to the work."""
        cpu = {
            name: seconds - self._cpu.get(name, 0.0)
            for name, seconds in self.deployment.cpu_seconds().items()
        }
        # What their sessions have counted, they tell the server when they end.
        await self.deployment.crew.close()
        await self.deployment.stop_commands()
        counts = await self._counts() | dict(self._calls)
        self.close()
        self._work += Work(self._iterations, cpu, counts)

    async def _counts(self) -> dict[str, float]:
        """What the server has counted since the beginning; nothing where it does not say."""
        before, after = self._before, await self._read()
        if before is None or after is None:
            return {}
        statistics = between(before, after)
        if statistics is None:
            return {}
        return counted(statistics) | await self._statements(before, after)

    async def _statements(self, before: Reading, after: Reading) -> dict[str, float]:
        """How often each statement was executed, where pg_stat_statements is there."""
        ranked = busiest(before, after)
        if not ranked or self._observer is None:
            return {}
        try:
            texts = await self._observer.texts([key for key, *_ in ranked[:_MOST_STATEMENTS]])
        except NotSeen:
            return {}
        return {
            f"calls of `{on_one_line(shape_of(texts[key]), _SHOWN)}`": calls
            for key, calls, *_ in ranked
            if key in texts and MARK not in texts[key]
        }

    def _template(self) -> Template:
        url = self.deployment.scenario.database_url
        assert url is not None
        return Template(url, self.deployment.guard, self.deployment.run_id)

    async def _stage(self, number: int) -> StageResult:
        stage = self.deployment.scenario.stages[number]
        result = StageResult(stage, number, elapsed=stage.duration)
        crew = self.deployment.crew
        await self.deployment.run_stage(result, crew.next_start(_LEAD), self._heard)
        self._calls.update(calls_of(result.mocks))
        self.deployment.check_alive(f"{stage.name} of {self.name}")
        self._iterations += sum(
            row.succeeded + row.failed
            for (kind, _), row in result.books.rows.items()
            if kind in ("endpoint", "operation")
        )
        return result

    def _heard(self, worker: str, books: Recorder, most_vus: int) -> None:
        self.deployment.resources.made(books.made)

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
