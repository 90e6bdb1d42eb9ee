"""One run from its first service to its last row: the controller, never on the measured path.

Every phase has a scope of its own. A first signal ends the phase that runs, gracefully; teardown
and the report follow. A second one ends everything at once.
"""

from __future__ import annotations

import os
import resource
import secrets
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM, Signals

import trio

from stressrun.errors import ExitCode, RefusedError, StressrunError
from stressrun.load.stage import StageResult
from stressrun.metrics.recorder import Recorder
from stressrun.run import teardown
from stressrun.run.crew import Crew, WorkerLost
from stressrun.run.events import (
    Event,
    Listener,
    Note,
    RunFinished,
    RunStarted,
    StageFinished,
    StageStarted,
    Tick,
)
from stressrun.run.preparation import prepare_database
from stressrun.safety.guard import Guard
from stressrun.safety.ledger import Ledger, open_ledger
from stressrun.scenario.load import Document, Loaded
from stressrun.scenario.model import Scenario, Stage
from stressrun.services.guardian import Guardian
from stressrun.services.process import MARK, become_subreaper, kill_remaining_descendants
from stressrun.services.running import Services, reserve
from stressrun.verdict.thresholds import Evaluation, evaluate


@dataclass(frozen=True, slots=True)
class Options:
    """How a scenario is run: what to keep, where the state and the report go."""

    file: Path
    state: Path = Path(".stressrun")
    report_directory: Path | None = None
    keep: bool = False


def new_run_id() -> str:
    """A run id that sorts by time and is unlikely to occur twice."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


class Controller:
    """Runs one loaded scenario; what happens is told to the `listeners`."""

    def __init__(self, loaded: Loaded, options: Options) -> None:
        self.listeners: list[Listener] = []
        self._loaded = loaded
        self._options = options
        self.run_id = new_run_id()
        self.directory = options.state / self.run_id
        self._started_at = datetime.now(UTC)
        self._scenario: Scenario = loaded.scenario
        self._results: list[StageResult] = []
        self._signal: Signals | None = None
        self._failure: StressrunError | None = None
        self._residue: list[str] = []
        self._phase = trio.CancelScope()
        self._crew: Crew | None = None
        self._stopped_at: int | None = None
        self._stack = ExitStack()

    async def run(self) -> RunFinished:
        """Run the scenario to its end, whatever that is; tells and returns how it ended."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._watch_signals)
            with self._stack:
                try:
                    self._refuse_production()
                    await self._run(self._stack.enter_context(open_ledger(self._options.state)))
                except StressrunError as error:
                    self._failure = self._failure or error
            finished = self._conclude()
            self._tell(finished)
            nursery.cancel_scope.cancel()
        return finished

    def _refuse_production(self) -> None:
        if self._scenario.environment == "production":
            raise RefusedError(
                "the guard refused the scenario: its environment is production",
                hint="stressrun is for development, test and staging; never run it on production",
            )

    async def _run(self, ledger: Ledger) -> None:
        become_subreaper()
        _raise_descriptor_limit()
        self.directory.mkdir(parents=True)
        self._lock = teardown.lock_run(self.directory)
        values = {**reserve(self._scenario.services), "run.id": self.run_id}
        document, self._scenario = self._loaded.resolve(values)
        self._tell(RunStarted(self.run_id, self._scenario, self._options.file, self.directory))
        guard = Guard(self._scenario.allow_hosts)
        guardian = Guardian(f"{MARK}={self.run_id}/")
        self._guardian = guardian
        self._ledger = ledger
        services = Services(
            run_id=self.run_id,
            directory=self.directory,
            ledger=ledger,
            guardian=guardian,
            guard=guard,
            keep=self._options.keep,
            told=self._note,
        )
        crew = Crew(self.run_id, self.directory)
        try:
            await self._set_up_and_load(services, crew, ledger, guard, document, values)
        finally:
            with trio.CancelScope(shield=True):
                await self._tear_down(services, crew, ledger, guard)

    async def _set_up_and_load(
        self,
        services: Services,
        crew: Crew,
        ledger: Ledger,
        guard: Guard,
        document: Document,
        values: dict[str, str],
    ) -> None:
        scenario = self._scenario
        try:
            with self._phase:
                await services.start(scenario.services, values)
                disposable = teardown.is_disposable(scenario)
                teardown.record(scenario, ledger, self.run_id)
                await prepare_database(
                    scenario,
                    None if disposable else ledger,
                    guard,
                    run_id=self.run_id,
                    told=self._note,
                )
                await crew.start(scenario, document, None if disposable else self._options.state)
            if self._signal is None:
                self._crew = crew
                await self._run_stages(crew, services)
        except (StressrunError, ExceptionGroup) as error:
            self._failure = _told(error)
        finally:
            self._crew = None

    async def _run_stages(self, crew: Crew, services: Services) -> None:
        for number, stage in enumerate(self._scenario.stages):
            self._tell(StageStarted(stage, number))
            result = StageResult(stage, number)
            self._results.append(result)
            await self._run_stage(crew, result)
            self._tell(StageFinished(result))
            for lost in services.lost():
                raise WorkerLost(
                    f"the service {lost.name} ended in stage {stage.name!r} ({lost.status})",
                    hint=f"its last lines:\n{lost.tail}",
                )
            if self._signal is not None:
                return

    async def _run_stage(self, crew: Crew, result: StageResult) -> None:
        start = crew.next_start()
        ticker = _Ticker(result.stage, self._scenario.report_interval or 5.0, start, self._tell)

        def heard(books: Recorder, running: int) -> None:
            result.most_vus = max(result.most_vus, running)
            ticker.heard(books, running)

        try:
            await crew.run(result, start, heard)
        finally:
            end = self._stopped_at or time.monotonic_ns()
            result.elapsed = max(0.0, min(result.stage.duration, (end - start) / 1e9))
            result.interrupted = self._signal is not None

    async def _tear_down(
        self, services: Services, crew: Crew, ledger: Ledger, guard: Guard
    ) -> None:
        await crew.close()
        if self._options.keep:
            self._note("kept as it is: services, rows and tables (--keep)")
            for line in services.release():
                self._note(line)
            self._note(f"when you have looked, remove it with: stressrun clean {self.run_id}")
            self._guardian.release()
            return
        failures = await teardown.undo_data(ledger, guard, self.run_id, self._note)
        await services.stop()
        await kill_remaining_descendants()
        self._residue = failures + [
            teardown.describe(entry)
            for entry in ledger.outstanding(self.run_id)
            if entry.kind in ("process", "directory")
        ]
        self._guardian.release()

    # Signals.

    async def _watch_signals(self, task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(SIGINT, SIGTERM, SIGHUP) as received:
            task_status.started()
            async for number in received:
                if self._signal is not None:
                    self._abandon(Signals(number))
                self._signal = Signals(number)
                self._stopped_at = time.monotonic_ns()
                self._note(f"{self._signal.name}: stopping, then teardown; once more to end at once")
                self._phase.cancel()
                if self._crew is not None:
                    await self._crew.stop()

    def _abandon(self, number: Signals) -> None:
        """End at once: the guardian ends the processes, the ledger names what else is left."""
        code = 128 + number
        self._guardian.avenge()
        left = [teardown.describe(entry) for entry in self._ledger.outstanding(self.run_id)]
        for line in left:
            self._note(f"left behind: {line}")
        self._note(f"verdict: interrupted (exit code {code})")
        sys.stdout.flush()
        os._exit(code)

    # The end.

    def _conclude(self) -> RunFinished:
        complete = len(self._results) == len(self._scenario.stages) and not any(
            result.interrupted for result in self._results
        )
        thresholds = evaluate(self._scenario, self._results) if complete else []
        verdict, code, cause, remedy = self._judge(thresholds)
        return RunFinished(
            run_id=self.run_id,
            scenario=self._scenario,
            file=self._options.file,
            started_at=self._started_at,
            ended_at=datetime.now(UTC),
            stages=tuple(self._results),
            thresholds=tuple(thresholds),
            verdict=verdict,
            exit_code=code,
            cause=cause,
            remedy=remedy,
            partial="" if complete else cause,
            residue=tuple(self._residue),
        )

    def _judge(self, thresholds: list[Evaluation]) -> tuple[str, ExitCode, str, str]:
        """Verdict, exit code, cause and remedy; of several causes the gravest."""
        if self._residue:
            return (
                "error",
                ExitCode.RESIDUE,
                f"teardown left {len(self._residue)} thing(s) behind",
                f"stressrun clean {self.run_id}",
            )
        if self._signal is not None:
            return (
                "interrupted",
                ExitCode(128 + self._signal),
                f"stopped by {self._signal.name}",
                "run it again for a verdict",
            )
        if self._failure is not None:
            verdict = "invalid" if self._failure.exit_code is ExitCode.INVALID else "error"
            return verdict, self._failure.exit_code, self._failure.message, self._failure.hint
        failed = [evaluation for evaluation in thresholds if not evaluation.passed]
        if failed:
            more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
            return (
                "failed",
                ExitCode.FAILED,
                f"threshold failed: {failed[0].threshold.text}{more}",
                "see in the stages' tables where it begins",
            )
        return "passed", ExitCode.PASSED, "", ""

    def _note(self, text: str) -> None:
        self._tell(Note(text))

    def _tell(self, event: Event) -> None:
        for listener in self.listeners:
            listener(event)


class _Ticker:
    """Gathers a stage's news into report intervals."""

    def __init__(self, stage: Stage, interval: float, start: int, tell: Listener) -> None:
        self._stage = stage
        self._interval = interval
        self._start = start
        self._tell = tell
        self._books = Recorder()
        self._last = 0.0

    def heard(self, books: Recorder, running: int) -> None:
        self._books.merge(books)
        elapsed = (time.monotonic_ns() - self._start) / 1e9
        if elapsed - self._last < self._interval or elapsed >= self._stage.duration:
            return
        self._tell(Tick(self._stage, elapsed, elapsed - self._last, self._books, running))
        self._books = Recorder()
        self._last = elapsed


def _told(error: Exception) -> StressrunError:
    """The error to tell the user; of a group the first. A defect is raised again."""
    if isinstance(error, StressrunError):
        return error
    if isinstance(error, ExceptionGroup):
        expected = error.subgroup(StressrunError)
        if expected is not None and error.split(StressrunError)[1] is None:
            return _told(expected.exceptions[0])
    raise error


def _raise_descriptor_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
