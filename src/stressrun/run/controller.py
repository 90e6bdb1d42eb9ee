"""One run from its first service to its last row: the controller, never on the measured path.

Every phase has a scope of its own. A first signal ends the phase that runs, gracefully; teardown
and the report follow. A second one ends everything at once.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from signal import Signals

import trio

from stressrun.errors import ExitCode, StressrunError
from stressrun.load.once import IterationFailed, run_once
from stressrun.load.stage import StageResult
from stressrun.metrics.recorder import Recorder
from stressrun.run import teardown
from stressrun.run.budget import Spending
from stressrun.run.deployment import (
    Deployment,
    TargetLost,
    expected_error,
    make_directory,
    new_run_id,
)
from stressrun.run.events import (
    Event,
    InvariantsAsked,
    Kept,
    Listener,
    Note,
    RunFinished,
    RunStarted,
    StageFinished,
    StageStarted,
)
from stressrun.run.machine import Neighbours, origin_of
from stressrun.run.monitors import Monitors, watching
from stressrun.run.questions import Questions
from stressrun.run.signals import watch_signals
from stressrun.run.slices import Slices
from stressrun.run.ticker import Ticker
from stressrun.safety.ledger import Ledger, open_ledger
from stressrun.safety.masking import Mask
from stressrun.scenario.load import Loaded
from stressrun.scenario.model import Scenario, Stage
from stressrun.services.process import become_subreaper, kill_remaining_descendants
from stressrun.verdict.baseline import Baseline, hold_against
from stressrun.verdict.comparison import SHOWN
from stressrun.verdict.generator import overtaxed, own_fault
from stressrun.verdict.invariants import Answer
from stressrun.verdict.judgement import interruption, judge
from stressrun.verdict.live import LiveThresholds
from stressrun.verdict.target import lost_target
from stressrun.verdict.thresholds import evaluate

_WATCH_INTERVAL = 0.25


@dataclass(frozen=True, slots=True)
class Options:
    """How a scenario is run: what to keep, where the state and the report go.

    `once` names endpoints that are done one time each, instead of all stages. The run is held
    against the `baseline`; `strict`: where that says nothing, it has not passed.
    """

    file: Path
    state: Path = Path(".stressrun")
    report_directory: Path | None = None
    keep: bool = False
    once: tuple[str, ...] = ()
    baseline: Baseline | None = None
    strict: bool = False


class Controller:
    """Runs one loaded scenario; what happens is told to the `listeners`."""

    def __init__(self, loaded: Loaded, options: Options) -> None:
        self.listeners: list[Listener] = []
        self.run_id = new_run_id()
        self.directory = options.state / self.run_id
        self._loaded = loaded
        self._options = options
        self._started_at = datetime.now(UTC)
        self._identity = loaded.identity
        self._secrets = Mask(loaded.secrets)
        self._deployed: Deployment | None = None
        self._results: list[StageResult] = []
        self._answers: list[Answer] = []
        self._failure: StressrunError | None = None
        self._residue: list[str] = []
        self._others_cpu: float | None = None
        # Ended by a signal at once, other than a stage.
        self._besides_load = trio.CancelScope()
        self._loading = False
        self._signal: Signals | None = None
        self._stopped_at: int | None = None
        self._live = LiveThresholds(loaded.scenario)
        self._spending = Spending(loaded.scenario)

    @property
    def _scenario(self) -> Scenario:
        return self._loaded.scenario if self._deployed is None else self._deployed.scenario

    @property
    def _mask(self) -> Mask:
        return self._secrets if self._deployed is None else self._deployed.mask

    async def run(self) -> RunFinished:
        """Run the scenario to its end, whatever that is; tells and returns how it ended."""
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(watch_signals, self._stop, self._abandon))
            nursery.start_soon(self._watch_time)
            self._tell(RunStarted(self.run_id, self._scenario, self._options.file, self.directory))
            try:
                with open_ledger(self._options.state) as ledger:
                    make_directory(self.directory)
                    with teardown.locked(self.directory):
                        await self._run(ledger)
            except StressrunError as error:
                self._failure = error
            finished = self._conclude()
            self._tell(finished)
            nursery.cancel_scope.cancel()
        return finished

    async def _run(self, ledger: Ledger) -> None:
        become_subreaper()
        held = self._deployed = Deployment(
            self._loaded,
            run_id=self.run_id,
            directory=self.directory,
            state=self._options.state,
            ledger=ledger,
            keep=self._options.keep,
            told=self._note,
        )
        try:
            with self._besides_load:
                await held.set_up(loads=not self._options.once)
                questions = Questions(
                    held.scenario, held.guard, run_id=self.run_id, rows=held.prepared.rows
                )
                if self._options.once:
                    await self._run_once(held)
                else:
                    await questions.try_out()
                    await held.start_crew()
            self._spending.check()
            if self._signal is None and not self._options.once:
                async with watching(held) as monitors:
                    neighbours = Neighbours()
                    await self._run_stages(held, monitors, questions)
                    self._others_cpu = neighbours.share()
        except (StressrunError, ExceptionGroup) as error:
            self._failure = expected_error(error)
            for line in self._failure.message.splitlines()[1:]:
                self._note(line)
        finally:
            with trio.CancelScope(shield=True):
                await held.crew.close()
                if self._options.keep and held.has_made_something:
                    self._tell(Kept(self.run_id, held.keep()))
                else:
                    self._residue = await held.take_down()
                    await kill_remaining_descendants(spare=[held.guardian.pid])
                held.guardian.release()

    # The single iterations.

    async def _run_once(self, held: Deployment) -> None:
        """Do the chosen endpoints one time each. Raises IterationFailed, TargetLost."""
        if self._scenario.writes:
            names = ", ".join(mix.name for mix in self._scenario.writes)
            self._note(f"--once does no writes: {names} left out")
        if self._scenario.invariants:
            self._note("--once asks no invariants")
        with held.resources.of(self._scenario) as recorder:
            errors = await run_once(
                self._scenario,
                self._options.once,
                held.guard,
                run_id=self.run_id,
                rows=held.prepared.rows,
                mask=held.mask,
                told=self._tell,
                recorder=recorder,
            )
        if errors:
            # A service that has just ended: its connections are gone before it is.
            await trio.sleep(_WATCH_INTERVAL)
        held.check_alive("--once")
        if errors:
            raise IterationFailed(errors)

    # The stages.

    async def _run_stages(self, held: Deployment, monitors: Monitors, questions: Questions) -> None:
        for number, stage in enumerate(self._scenario.stages):
            self._tell(StageStarted(stage, number))
            result = StageResult(stage, number)
            self._results.append(result)
            self._loading = True
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._watch_stage, held)
                    await self._run_stage(held, result, monitors)
                    nursery.cancel_scope.cancel()
            finally:
                self._loading = False
            self._tell(StageFinished(result))
            held.check_alive(f"stage {stage.name}")
            self._spending.check()
            if self._signal is None:
                await self._ask(questions, stage)
                self._spending.check()
            if self._signal is not None or self._live.crossed is not None:
                return
            if result.pool.last is not None and result.pool.last.lost:
                raise TargetLost(
                    f"the database took no more connections at the end of stage {stage.name}",
                    hint="see the server's own log",
                )

    async def _ask(self, questions: Questions, stage: Stage) -> None:
        """Ask the invariants after a stage, when all of it has ended."""
        books = Recorder()
        for result in self._results:
            books.merge(result.books)
        with trio.CancelScope() as self._besides_load:
            answers = [self._masked(answer) for answer in await questions.ask(stage, books)]
            self._answers += answers
            if answers:
                self._tell(InvariantsAsked(stage, tuple(answers)))

    def _masked(self, answer: Answer) -> Answer:
        value = None if answer.value is None else self._mask.text(answer.value)
        expected, detail = self._mask.text(answer.expected), self._line(answer.detail)
        return replace(answer, value=value, expected=expected, detail=detail)

    async def _watch_stage(self, held: Deployment) -> None:
        """End a stage whose target is gone, or which has failed: no more of it is wanted."""
        spent = self._spending.crossed
        while held.is_alive and self._live.crossed is None and not spent.is_set():
            with trio.move_on_after(_WATCH_INTERVAL):
                await spent.wait()
        self._stopped_at = time.monotonic_ns()
        await held.crew.stop()

    async def _run_stage(self, held: Deployment, result: StageResult, monitors: Monitors) -> None:
        await monitors.prepare()
        start = held.crew.next_start()
        monitors.start(start)
        ticker = Ticker(result, self._scenario.report_interval, start, self._tell)
        slices = Slices(result.stage, (*SHOWN, self._scenario.compare.figure))
        result.slices = slices.done
        self._live.start(result.stage)

        def measure() -> None:
            end = self._stopped_at or time.monotonic_ns()
            result.elapsed = max(0.0, min(result.stage.duration, (end - start) / 1e9))
            result.interrupted = self._stopped_at is not None

        def heard(worker: str, books: Recorder, most_vus: int) -> None:
            measure()
            result.most_vus = max(result.most_vus, most_vus)
            ticker.heard(books)
            self._spending.heard(books)
            held.resources.made(books.made)
            elapsed = (time.monotonic_ns() - start) / 1e9
            slices.heard(books, elapsed)
            result.outcomes.heard(books, elapsed)
            self._live.heard(worker, books, elapsed, result.generator.workers)
            monitors.hear(books.slowest)

        try:
            await held.run_stage(result, start, heard)
        finally:
            measure()
            slices.finish()
        self._live.finish(result.elapsed)
        await monitors.finish(result)

    # The end.

    def _conclude(self) -> RunFinished:
        complete = self._is_complete()
        judged = complete and not self._options.once
        thresholds = [self._live.crossed] if self._live.crossed is not None else []
        if judged and not thresholds:
            thresholds = evaluate(self._scenario, self._results, self._live.windows)
        fault = (
            own_fault(self._results)
            or lost_target(self._results)
            or overtaxed(self._scenario, self._results, self._live.windows)
        )
        postgres = None if self._deployed is None else self._deployed.prepared.postgres
        origin = origin_of(self._identity, postgres, self._others_cpu)
        against = None
        if self._options.baseline is not None:
            against = hold_against(
                self._options.baseline,
                origin,
                self._results,
                self._scenario.compare,
                usable=complete and fault is None,
            )
        judgement = judge(
            run_id=self.run_id,
            residue=self._residue,
            signal=self._signal,
            failure=self._failure,
            fault=fault,
            invariants=self._answers,
            thresholds=thresholds,
            baseline=against,
            strict=self._options.strict,
        )
        return RunFinished(
            run_id=self.run_id,
            scenario=self._scenario,
            file=self._options.file,
            origin=origin,
            started_at=self._started_at,
            ended_at=datetime.now(UTC),
            stages=tuple(self._results),
            thresholds=tuple(thresholds),
            invariants=tuple(self._answers),
            verdict=judgement.verdict,
            exit_code=judgement.exit_code,
            cause=self._line(judgement.cause),
            remedy=self._mask.text(judgement.remedy),
            partial="" if complete else self._line(self._interruption()),
            residue=tuple(self._mask.text(line) for line in self._residue),
            removed=() if self._deployed is None else self._deployed.removed,
            baseline=against,
        )

    def _is_complete(self) -> bool:
        """Whether all was done that was to be done."""
        if self._failure is not None:
            return False
        if self._options.once:
            return self._signal is None
        return len(self._results) == len(self._scenario.stages) and not any(
            result.interrupted for result in self._results
        )

    def _interruption(self) -> str:
        if self._signal is not None:
            return interruption(self._signal)
        if self._live.crossed is not None:
            return f"ended by the threshold {self._live.crossed.threshold.text}"
        assert self._failure is not None
        return self._failure.message

    def _line(self, text: str) -> str:
        return self._mask.text(text.partition("\n")[0])

    async def _watch_time(self) -> None:
        """End what is done besides the load when the budget's time is over; a stage sees to it."""
        await self._spending.watch_time()
        self._besides_load.cancel()

    # Signals.

    async def _stop(self, number: Signals) -> None:
        self._signal = number
        self._stopped_at = time.monotonic_ns()
        self._note(f"{number.name}: stopping and tearing down; again: end at once")
        self._besides_load.cancel()
        if self._loading and self._deployed is not None:
            await self._deployed.crew.stop()

    def _abandon(self, number: Signals) -> None:
        """End at once: the guardian ends all processes, the ledger names what else is left."""
        self._signal = number
        if self._deployed is not None:
            self._deployed.guardian.avenge()
            self._residue = teardown.left_behind(self._deployed.ledger, self.run_id)
        if self._loading:
            # Its workers end without a word on what they had begun.
            self._results[-1].interrupted = True
            self._results[-1].books.settle()
        finished = self._conclude()
        self._tell(replace(finished, verdict="interrupted", exit_code=ExitCode(128 + number)))
        os._exit(128 + number)

    def _note(self, text: str) -> None:
        self._tell(Note(self._mask.text(text)))

    def _tell(self, event: Event) -> None:
        for listener in self.listeners:
            listener(event)
