"""What a run has up while it lives: services, data and workers, which it takes down again."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import trio

from stressrun.errors import ExitCode, SetupError, StressrunError
from stressrun.load.stage import StageResult
from stressrun.postgres.sentinel import require_sentinel
from stressrun.postgres.url import UnreachableError
from stressrun.run import resources, teardown
from stressrun.run.crew import Crew, Heard
from stressrun.run.entries import describe
from stressrun.run.mocks import Mocks
from stressrun.run.preparation import (
    Prepared,
    check_targets,
    prepare_database,
    with_completed_database,
)
from stressrun.run.resources import Resources
from stressrun.safety.guard import Guard
from stressrun.safety.ledger import Ledger, LedgerError
from stressrun.safety.masking import Mask
from stressrun.scenario.load import Document, Loaded
from stressrun.scenario.model import CommandSeeding, CommandService, EmbeddedPostgres, Scenario
from stressrun.services.command import run_to_end
from stressrun.services.guardian import Guardian
from stressrun.services.ports import PortTakenError
from stressrun.services.process import MARK
from stressrun.services.running import Lost, Services, reserve


class TargetLost(StressrunError):  # noqa: N818 - it makes a run invalid rather than wrong
    """What was to be measured is gone."""

    exit_code = ExitCode.INVALID


def new_run_id() -> str:
    """A run id that sorts by time and is unlikely to occur twice."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def make_directory(directory: Path) -> None:
    """Make a run's folder. Raises SetupError."""
    try:
        directory.mkdir(parents=True)
    except OSError as error:
        raise SetupError(
            f"the run's folder {directory} could not be made: {error.strerror}",
            hint="run where the current folder is writable",
        ) from error


def expected_error(error: Exception) -> StressrunError:
    """The error to tell the user; of a group the first. A defect is raised again."""
    if isinstance(error, StressrunError):
        return error
    if isinstance(error, ExceptionGroup):
        expected = error.subgroup(StressrunError)
        if expected is not None and error.split(StressrunError)[1] is None:
            return expected_error(expected.exceptions[0])
    raise error


class Deployment:
    """One scenario deployed; logs and the lock are in `directory`, the ledger is in `state`.

    Until `set_up`, the scenario's references to services stand in its strings. `adapted` may change
    what is deployed, but not what the workers do.
    """

    def __init__(
        self,
        loaded: Loaded,
        *,
        run_id: str,
        directory: Path,
        state: Path,
        ledger: Ledger,
        keep: bool,
        told: Callable[[str], None],
        adapted: Callable[[Scenario], Scenario] = lambda scenario: scenario,
    ) -> None:
        self.run_id = run_id
        self.directory = directory
        self.ledger = ledger
        self.scenario: Scenario = loaded.scenario
        self.mask = Mask(loaded.secrets)
        self.guard = Guard(loaded.scenario.allow_hosts)
        self.guardian = Guardian(f"{MARK}={run_id}/")
        self.crew = Crew(run_id, directory)
        self.prepared = Prepared()
        self.resources = Resources(ledger, run_id, {})
        self.removed: tuple[str, ...] = ()
        self._reached_database = True
        self._loaded = loaded
        self._state = state
        self._tell = told
        self._adapted = adapted
        self._values: Mapping[str, str] = {}
        self._document: Document = {}
        self._services = Services(
            run_id=run_id,
            directory=directory,
            ledger=ledger,
            guardian=self.guardian,
            guard=self.guard,
            keep=keep,
            told=self._told,
        )
        self._mocks = Mocks(self._services.launcher, keep=keep, told=self._told)

    async def set_up(self, *, loads: bool) -> None:
        """Start the services and fill the database; `loads` says whether the stages will run.

        Raises SetupError, RefusedError. Call it on the main thread.
        """
        try:
            await self._start_services(loads)
        except PortTakenError:
            # Somebody took a port after it was reserved: once more, with others.
            await self._services.stop()
            await self._mocks.close()
            await self._start_services(loads)
        teardown.record(self.scenario, self._values, self.ledger, self.run_id)
        place = teardown.place_of_requests(self.scenario, self._values)
        self.resources = Resources(self.ledger, self.run_id, place)
        if not place["disposable"]:
            for doubt in resources.doubts(self.scenario):
                self._told(f"warning: {doubt}")
        try:
            self.prepared = await self._prepare_database(loads)
        except UnreachableError:
            made = [entry.kind for entry in self.ledger.outstanding(self.run_id)]
            self._reached_database = "table" in made or "rows" in made
            raise

    async def _prepare_database(self, loads: bool) -> Prepared:
        return await prepare_database(
            self.scenario,
            None if self._database_is_disposable() else self.ledger,
            self.guard,
            self._services.launcher,
            self.resources,
            run_id=self.run_id,
            writes=loads,
            told=self._told,
        )

    async def start_crew(self) -> None:
        """Start the workers. Raises the StressrunError that kept one from its work."""
        self.resources.intend(self.scenario)
        state = None if self._database_is_disposable() else self._state
        await self.crew.start(self.scenario, self._document, state, self.prepared.rows, self.mask)

    async def run_stage(self, result: StageResult, start: int, heard: Heard) -> None:
        """Run one stage from an instant on, as `Crew.run` does, with the mocks in step.

        Raises WorkerLost, MockSilent.
        """
        await self._mocks.begin(result, start)
        try:
            await self.crew.run(result, start, heard)
        finally:
            with trio.CancelScope(shield=True):
                await self._mocks.finish(result)

    async def run_command(self, name: str, command: CommandSeeding, label: str) -> None:
        """Run a command to its end; messages call it by its label. Raises SetupError."""
        await run_to_end(name, command, self._services.launcher, label)

    def _told(self, text: str) -> None:
        self._tell(self.mask.text(text))

    def pids(self) -> Mapping[str, int]:
        """The number of each service's first process, by name."""
        return self._services.pids()

    def mock_pids(self) -> Mapping[str, int]:
        """The number of each mock's process, by name."""
        return self._mocks.pids()

    def cpu_seconds(self) -> Mapping[str, float]:
        """The CPU time that each service has used so far, with its descendants, by name."""
        return self._services.cpu_seconds()

    async def start_commands(self) -> None:
        """Start all services but the databases again. Raises SetupError."""
        commands = [each for each in self.scenario.services if isinstance(each, CommandService)]
        await self._services.start(
            commands, self._values, base_url=self.scenario.base_url, http=self.scenario.http
        )

    async def set_mocks_back(self) -> None:
        """Have the mocks be as they were at the beginning."""
        await self._mocks.set_back()

    async def stop_commands(self) -> None:
        """End all services but the databases."""
        await self._services.stop(databases=False)

    def check_alive(self, phase: str) -> None:
        """Raises TargetLost for a service that ended during a phase of the run."""
        for lost in self._lost():
            self._told(f"the last lines of {lost.name}:\n{lost.tail}")
            raise TargetLost(
                f"service {lost.name} ended by itself in {phase} ({lost.status})",
                hint=f"see its log in {self.directory}",
            )

    @property
    def is_alive(self) -> bool:
        """Whether all services still run."""
        return not self._lost()

    def _lost(self) -> list[Lost]:
        return [*self._services.lost(), *self._mocks.lost()]

    @property
    def has_made_something(self) -> bool:
        """Whether the ledger names anything; one that cannot be read says that it does not."""
        try:
            return bool(self.ledger.outstanding(self.run_id))
        except LedgerError:
            return False

    async def take_down(self) -> list[str]:
        """Undo what was done to the data, and end the services; what is left behind, in words.

        A ledger that cannot be used keeps nothing of it from being done.
        """
        left = self._finish_resources()
        undone = await teardown.undo_data(
            self.ledger,
            self.guard,
            self.run_id,
            self._told,
            # A database that was never there is not about to be there again.
            patience=teardown.PATIENCE if self._reached_database else 0,
        )
        self.removed = tuple(map(self.mask.text, undone.removed))
        await self._services.stop()
        await self._mocks.close()
        return list(dict.fromkeys([*left, *undone.left, *self._still_there()]))

    def _finish_resources(self) -> list[str]:
        """Write down that nothing more is made, if all was told; why it could not be written."""
        if self.crew.untold:
            return []
        try:
            self.resources.finish()
        except LedgerError as error:
            return [error.message]
        return []

    def _still_there(self) -> list[str]:
        """The processes and folders that the ledger names, in words."""
        try:
            outstanding = self.ledger.outstanding(self.run_id)
        except LedgerError as error:
            return [error.message]
        return [describe(entry) for entry in outstanding if entry.kind in teardown.SERVICE_KINDS]

    async def _require_sentinel(self) -> None:
        """Of a database that outlives the run, where the scenario wants it."""
        database = self.scenario.database
        if database is None or not database.require_sentinel or self._database_is_disposable():
            return
        await require_sentinel(database.url, guard=self.guard, run_id=self.run_id)

    def keep(self) -> Mapping[str, str]:
        """Let the services go on without us; their URLs by name."""
        urls = {}
        for service in self.scenario.services:
            url = self._values[f"services.{service.name}.url"]
            # The password of our own server is for looking into it; that of another is not ours.
            ours = isinstance(service, EmbeddedPostgres)
            urls[service.name] = url if ours else self.mask.text(url)
        for problem in self._finish_resources():
            self._told(problem)
        self._services.release()
        self._mocks.release()
        return urls

    def _database_is_disposable(self) -> bool:
        return teardown.database_is_disposable(self.scenario, self._values)

    async def _start_services(self, loads: bool) -> None:
        """Give the services their ports and start them."""
        self._values = {**reserve(self._loaded.scenario.services), "run.id": self.run_id}
        passwords = [v for name, v in self._values.items() if name.endswith(".password")]
        self.mask = Mask((*self._loaded.secrets, *passwords))
        document, scenario = with_completed_database(*self._loaded.resolve(self._values))
        scenario = self._adapted(scenario)
        self._document, self.scenario = document, scenario
        # The hosts that it allows may be those of its services.
        self.guard = self._services.guard = Guard(scenario.allow_hosts)
        await check_targets(scenario if loads else replace(scenario, stages=()), self.guard)
        await self._require_sentinel()
        await self._mocks.start(scenario, document, self._values)
        await self._services.start(
            scenario.services, self._values, base_url=scenario.base_url, http=scenario.http
        )
