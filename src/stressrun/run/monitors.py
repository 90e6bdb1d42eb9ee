"""All that watches a run beside its load: the database, processes and host, Prometheus metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio

from stressrun.http.origin import origin_of
from stressrun.load.stage import StageResult
from stressrun.metrics.scraped import Scraped
from stressrun.metrics.slowest import Slowest
from stressrun.metrics.times import merged
from stressrun.monitor import postgres
from stressrun.monitor.machine import MachineMonitor
from stressrun.monitor.postgres import PostgresMonitor
from stressrun.monitor.prometheus import Access, MetricsMonitor, metrics_monitor
from stressrun.run.deployment import Deployment
from stressrun.scenario.model import Scenario


class Monitors:
    """The monitors of a run, as far as the scenario wants them."""

    def __init__(
        self,
        scenario: Scenario,
        database: PostgresMonitor | None,
        machine: MachineMonitor | None,
        metrics: Sequence[MetricsMonitor],
    ) -> None:
        self._scenario = scenario
        self._database = database
        self._machine = machine
        self._metrics = metrics

    async def prepare(self) -> None:
        """Before a stage: see from what it will be counted."""
        async with trio.open_nursery() as nursery:
            if self._database is not None:
                nursery.start_soon(self._database.prepare)
            for each in self._metrics:
                nursery.start_soon(each.prepare)
        if self._machine is not None:
            await self._machine.prepare()

    def start(self, instant: int) -> None:
        """A stage begins at an instant in nanoseconds of the monotonic clock."""
        if self._database is not None:
            self._database.start(instant)

    def hear(self, slowest: Slowest) -> None:
        """Take a worker's slowest requests since it last told."""
        if self._database is not None:
            self._database.hear(slowest)

    async def finish(self, result: StageResult) -> None:
        """After the stage has drained: put what was found into its result, within seconds."""
        found: dict[int, Scraped] = {}

        async def see_machine(machine: MachineMonitor) -> None:
            result.machine = await machine.finish()

        async def see_metrics(number: int, each: MetricsMonitor) -> None:
            found[number] = await each.finish()

        async with trio.open_nursery() as nursery:
            if self._machine is not None:
                nursery.start_soon(see_machine, self._machine)
            for number, each in enumerate(self._metrics):
                nursery.start_soon(see_metrics, number, each)
            if self._database is not None:
                times = (row.response for row in result.requests(self._scenario))
                result.database = await self._database.finish(merged(*times))
        result.metrics = tuple(found[number] for number in sorted(found))


@asynccontextmanager
async def watching(held: Deployment) -> AsyncIterator[Monitors]:
    """The monitors of a deployment at work while the block runs."""
    scenario, mask = held.scenario, held.mask.text
    wanted = scenario.monitoring
    machine, metrics = None, []
    if wanted is not None:
        machine = MachineMonitor(
            wanted, held.pids(), held.mock_pids(), held.crew.pids, [held.guardian.pid], mask
        )
        metrics = [
            metrics_monitor(source, wanted.interval, _access(source.url, held), mask)
            for source in wanted.prometheus
        ]
    async with (
        postgres.watching(scenario.database, held.guard, run_id=held.run_id, mask=mask) as database,
        trio.open_nursery() as nursery,
    ):
        if machine is not None:
            nursery.start_soon(machine.run)
        for each in metrics:
            nursery.start_soon(each.run)
        yield Monitors(scenario, database, machine, metrics)
        nursery.cancel_scope.cancel()


def _access(url: str, held: Deployment) -> Access:
    """The service under test is connected to as its endpoints are."""
    base_url = held.scenario.base_url
    is_base = base_url is not None and origin_of(url) == origin_of(base_url)
    return Access(held.guard, held.scenario.http) if is_base else Access(held.guard)
