"""A comparison from its first command to its last row: two sides, and blocks on them in turns.

A first signal ends it, and teardown follows; a second one ends everything at once.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from signal import Signals

import trio

from stressrun.compare import blocks, worktree
from stressrun.compare.blocks import Part
from stressrun.compare.shared import shared_code
from stressrun.compare.side import Side, Tree
from stressrun.compare.worktree import Repository
from stressrun.errors import ResidueError, StressrunError
from stressrun.load.stage import StageResult
from stressrun.metrics.recorder import RowKey
from stressrun.run import teardown
from stressrun.run.budget import hold_against
from stressrun.run.deployment import Deployment, expected_error, make_directory, new_run_id
from stressrun.run.events import ComparisonFinished, PartWork
from stressrun.run.machine import Disk
from stressrun.run.preparation import refuse_production
from stressrun.run.signals import watch_signals
from stressrun.safety.ledger import Ledger, LedgerError, open_ledger
from stressrun.safety.masking import Mask
from stressrun.scenario.load import Loaded
from stressrun.scenario.model import EmbeddedPostgres, Scenario
from stressrun.services.command import shown
from stressrun.services.process import become_subreaper, kill_remaining_descendants
from stressrun.units import format_duration
from stressrun.verdict.comparison import Pairs, change_of, compare, format_change, pooled
from stressrun.verdict.generator import limited, own_fault
from stressrun.verdict.judgement import Fault, judge_comparison
from stressrun.verdict.target import lost_target
from stressrun.verdict.work import work_changes

Told = Callable[[str], None]
Listener = Callable[[ComparisonFinished], None]
Load = Callable[[Path, Mapping[str, str]], Loaded]
"""Loads a scenario's file with variables besides those of the environment."""

NAMES = ("base", "head")
_MOST_TOLD = 6


@dataclass(frozen=True, slots=True)
class Base:
    """What head is compared with: a `commit` of a repository, or with None the same tree.

    `label` says it in words, such as `1a2b3c4 (merge base with main)`.
    """

    label: str
    repository: Repository | None = None
    commit: str | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """What is compared, and how long it may take.

    `environments` are of the processes of base and of head, besides what they have. `budget` is in
    seconds; `pairs` None: as many as it takes; `isolated`: one endpoint after the other; `strict`:
    what is inconclusive is no pass.
    """

    file: Path
    base: Base
    load: Load
    environments: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {})
    pairs: int | None = None
    budget: float | None = None
    isolated: bool = False
    strict: bool = False
    state: Path = Path(".stressrun")


class Comparison:
    """Compares once; what happens meanwhile is told in lines of text.

    `mask` takes the secrets of both sides out of a text.
    """

    def __init__(self, head: Loaded, options: Options, told: Told) -> None:
        """Raises RefusedError, and UsageError where no stage suits or the sides are not apart."""
        refuse_production(head.scenario)
        base = options.base
        top = base.repository.top if base.repository is not None and base.commit else None
        blocks.check_sides(head.scenario, top)
        self.run_id = new_run_id()
        self.directory = options.state / self.run_id
        self.mask = Mask(head.secrets)
        self._head = head
        self._options = options
        self._told = told
        self._started_at = datetime.now(UTC)
        self._parts = blocks.parts_of(head.scenario, isolated=options.isolated)
        self._pairs = blocks.pairs_of(head.scenario, options.pairs)
        plan = blocks.planned_by(head, self._parts, self._pairs)
        hold_against(head.scenario.budget, plan)
        self._begin = time.monotonic()
        self._scope = trio.CancelScope()
        self._signal: Signals | None = None
        self._failure: StressrunError | None = None
        self._ledger: Ledger | None = None
        self._sides: list[Side] = []
        self._warnings: list[str] = []
        self._residue: list[str] = []
        self._rows: dict[RowKey, Pairs] = {}
        self._results: list[list[StageResult]] = []
        self._work: list[PartWork] = []
        self._disk: float | None = None

    async def run(self, finished: Listener) -> ComparisonFinished:
        """Compare, whatever comes of it; `finished` is told before a signal counts again."""
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(watch_signals, self._stop, self._abandon))
            try:
                with open_ledger(self._options.state) as self._ledger:
                    make_directory(self.directory)
                    with teardown.locked(self.directory):
                        await self._run(self._ledger)
            except StressrunError as error:
                self._failure = error
            compared = self._conclude()
            finished(compared)
            nursery.cancel_scope.cancel()
        return compared

    async def _run(self, ledger: Ledger) -> None:
        become_subreaper()
        try:
            with self._scope:
                sides = await self._trees(ledger)
                for number, part in enumerate(self._parts):
                    await self._compare(ledger, number, part, sides)
        except (StressrunError, ExceptionGroup) as error:
            self._failure = expected_error(error)
            for line in self._failure.message.splitlines()[1:]:
                self._tell(line)
        finally:
            with trio.CancelScope(shield=True):
                await self._remove_trees(ledger)

    async def _trees(self, ledger: Ledger) -> tuple[tuple[Tree, Loaded], tuple[Tree, Loaded]]:
        """Where the code of base and head is, and their scenarios; base's is made here.

        Both do what head's scenario says, each with the files of its own.
        """
        base_environment, environment = self._options.environments
        head = Tree(Path.cwd(), environment), self._head
        base, file = self._options.base, self._options.file
        if base.repository is None or base.commit is None:
            return (Tree(Path.cwd(), base_environment), self._load_base(file)), head
        top = await worktree.add(base.repository, base.commit, ledger, self.run_id)
        if (top / ".gitmodules").exists():
            self._warn("base has no submodules: compare: {prepare: [git submodule update --init]}")
        copied = top / base.repository.within(file)
        worktree.complete(top, base.repository, file, self._head.files)
        folder = top / base.repository.within(Path.cwd())
        return (Tree(folder, base_environment), self._load_base(copied)), head

    def _load_base(self, file: Path) -> Loaded:
        base = self._options.load(file, self._options.environments[0])
        self.mask = Mask((*self._head.secrets, *base.secrets))
        return base

    async def _compare(
        self,
        ledger: Ledger,
        number: int,
        part: Part,
        trees: tuple[tuple[Tree, Loaded], tuple[Tree, Loaded]],
    ) -> None:
        """Compare under the load of one part, on services of its own."""
        begin = time.monotonic()
        with ExitStack() as locks:
            try:
                for name, (tree, loaded) in zip(NAMES, trees, strict=True):
                    side = self._side(ledger, name, number, part, tree, loaded)
                    self._sides.append(side)
                    locks.enter_context(teardown.locked(side.deployment.directory))
                    if number == 0:
                        await self._prepare(side, tree, loaded)
                    await side.set_up()
                if number == 0:
                    await self._warn_of_shared_code()
                await self._measure(part, deadline=self._deadline(number, begin))
            finally:
                with trio.CancelScope(shield=True):
                    await self._take_down()

    async def _measure(self, part: Part, deadline: float) -> None:
        """Do the blocks of a part; what they have shown is kept."""
        done = await self._do_blocks(part, deadline)
        nothing: dict[RowKey, Pairs] = dict.fromkeys(part.rows(self._head.scenario), ())
        self._rows |= nothing | self._paired(done)
        base, head = [await side.finish() for side in self._sides]
        self._work.append(PartWork(part.only, tuple(work_changes(base, head))))

    def _side(
        self, ledger: Ledger, name: str, number: int, part: Part, tree: Tree, loaded: Loaded
    ) -> Side:
        run_id = f"{self.run_id}-{name}" + (f"-{number + 1}" if number else "")
        directory = self._options.state / run_id
        make_directory(directory)

        def told(text: str) -> None:
            self._tell(f"{name}: {text}")

        return Side(
            name,
            Deployment(
                blocks.in_blocks(loaded, part, self._pairs),
                run_id=run_id,
                directory=directory,
                state=self._options.state,
                ledger=ledger,
                keep=False,
                told=told,
                adapted=tree.adapted,
            ),
            reset=self._head.scenario.compare.reset,
        )

    async def _prepare(self, side: Side, tree: Tree, loaded: Loaded) -> None:
        for number, command in enumerate(loaded.preparing, 1):
            here = tree.here(command)
            begin = time.monotonic()
            await side.deployment.run_command(f"prepare-{number}", here, f"command of {side.name}")
            took = format_duration(time.monotonic() - begin)
            self._tell(f"{side.name}: {shown(here)}: done ({took})")

    async def _warn_of_shared_code(self) -> None:
        repository = self._options.base.repository
        if repository is None:
            return
        base = self._sides[0].deployment.scenario
        for told in await shared_code(base, repository.top):
            self._warn(
                f"{told}, so that base may run head's code: have each side install its own "
                "(compare: prepare)"
            )

    def _warn(self, text: str) -> None:
        self._warnings.append(text)
        self._tell(f"warning: {text}")

    async def _do_blocks(
        self, part: Part, deadline: float
    ) -> list[tuple[StageResult, StageResult]]:
        """The results of base and head, pair by pair; fewer where the budget does not allow all."""
        self._tell(_announced(part, self._pairs, self._head.scenario))
        disk = Disk()
        done: list[tuple[StageResult, StageResult]] = []
        self._results.append([])
        for pair in range(self._pairs + blocks.WARM_UP_PAIRS):
            begin = time.monotonic()
            results: dict[int, StageResult] = {}
            for number in blocks.order(pair):
                results[number] = await self._sides[number].block(pair)
            if pair == 0:
                self._warn_of_short_blocks(results[0])
            if pair >= blocks.WARM_UP_PAIRS:
                done.append((results[0], results[1]))
                self._results[-1] += [results[0], results[1]]
                self._tell(self._pair_told(len(done), results[0], results[1]))
            now = time.monotonic()
            if now + (now - begin) > deadline and len(done) < self._pairs:
                self._tell(f"the budget ends here, after {len(done)} pairs")
                break
        shares = [share for share in (self._disk, disk.share()) if share is not None]
        self._disk = max(shares, default=None)
        return done

    def _warn_of_short_blocks(self, base: StageResult) -> None:
        """A block that is no longer than an iteration never has its stage's load."""
        block = self._head.scenario.compare.block
        for (kind, name), row in base.books.rows.items():
            p50 = row.response.quantile(0.5)
            if kind == "endpoint" and p50 is not None and p50 / 1e9 > block / 2:
                self._warn(
                    f"an iteration of {name} takes {format_duration(p50 / 1e9)}, and a block is "
                    f"{format_duration(block)}: make it longer (compare: {{block: …}})"
                )
                return

    def _paired(self, done: Sequence[tuple[StageResult, StageResult]]) -> dict[RowKey, Pairs]:
        """What the blocks of base and head have shown, row by row."""
        books = [(base.books, head.books) for base, head in done]
        return pooled(books, self._head.scenario.compare.figure)

    def _pair_told(self, number: int, base: StageResult, head: StageResult) -> str:
        """`pair 3 of 8: head's p95 by base's: browse +1.2 %, checkout −0.3 %`."""
        figure = self._head.scenario.compare.figure
        changes = (
            f"{name} {format_change(change)}"
            for (_, name), pairs in self._paired([(base, head)]).items()
            if (change := change_of(pairs, figure)) is not None
        )
        told = ", ".join(islice(changes, _MOST_TOLD)) or "too few values"
        return f"pair {number} of {self._pairs}: {figure} of head by base: {told}"

    def _deadline(self, number: int, begin: float) -> float:
        """When the blocks of a part have to be done: each has its share of what is left."""
        if self._options.budget is None:
            return math.inf
        now = time.monotonic()
        left = self._begin + self._options.budget - now
        # Each part that follows will need about as long to be set up as this one did.
        later = len(self._parts) - number - 1
        return now + (left - later * (now - begin)) / (later + 1)

    async def _take_down(self) -> None:
        for side in self._sides:
            side.close()
            await side.deployment.crew.close()
        guardians = [side.deployment.guardian for side in self._sides]
        try:
            for side in self._sides:
                self._residue += await side.deployment.take_down()
            await kill_remaining_descendants(spare=[guardian.pid for guardian in guardians])
        finally:
            for guardian in guardians:
                guardian.release()
            self._sides = []

    async def _remove_trees(self, ledger: Ledger) -> None:
        try:
            for entry in ledger.outstanding(self.run_id):
                try:
                    await worktree.remove(entry)
                except ResidueError as error:
                    self._residue.append(f"{error.message} ({error.hint})")
                else:
                    ledger.settle(entry.id)
        except LedgerError as error:
            self._residue.append(error.message)

    def _conclude(self) -> ComparisonFinished:
        scenario = self._head.scenario
        compare_by = scenario.compare
        findings = compare(self._rows, compare_by.figure, compare_by.min_effect)
        if self._failure is not None or self._signal is not None:
            findings = []
        judgement = judge_comparison(
            run_id=self.run_id,
            residue=self._residue,
            signal=self._signal,
            failure=self._failure,
            fault=self._fault(),
            findings=findings,
            work=[change for part in self._work for change in part.changes],
            disk=self._disk if _is_durable(scenario) else None,
            strict=self._options.strict,
        )
        mask = self.mask.text
        return ComparisonFinished(
            run_id=self.run_id,
            scenario=scenario,
            file=self._options.file,
            started_at=self._started_at,
            ended_at=datetime.now(UTC),
            base=self._options.base.label,
            stage=self._parts[0].stage.name,
            pairs=min((len(part) // 2 for part in self._results), default=0),
            findings=tuple(findings),
            work=tuple(self._work),
            verdict=judgement.verdict,
            exit_code=judgement.exit_code,
            cause=mask(judgement.cause.partition("\n")[0]),
            remedy=mask(judgement.remedy),
            warnings=tuple(map(mask, self._warnings)),
            residue=tuple(map(mask, self._residue)),
        )

    def _fault(self) -> Fault | None:
        """What keeps the figures of a part from being a verdict."""
        faults = (own_fault(part) or lost_target(part) or limited(part) for part in self._results)
        return next(filter(None, faults), None)

    # Signals.

    async def _stop(self, number: Signals) -> None:
        self._signal = number
        self._tell(f"{number.name}: tearing down; again: end at once")
        self._scope.cancel()

    def _abandon(self, number: Signals) -> None:
        """End at once: the guardians end all processes, the ledger names what else is left."""
        for side in self._sides:
            side.deployment.guardian.avenge()
        if self._ledger is not None:
            for run in (self.run_id, *(side.deployment.run_id for side in self._sides)):
                for line in teardown.left_behind(self._ledger, run):
                    self._tell(f"left behind: {line}")
            self._tell("remove it: stressrun clean --all")
        os._exit(128 + number)

    def _tell(self, text: str) -> None:
        self._told(self.mask.text(text))


def _is_durable(scenario: Scenario) -> bool:
    """Whether a database that is thrown away has its disk confirm each commit."""
    return any(
        isinstance(service, EmbeddedPostgres)
        and not {"fsync", "synchronous_commit"} & set(service.settings)
        for service in scenario.services
    )


def _announced(part: Part, pairs: int, scenario: Scenario) -> str:
    compare_by = scenario.compare
    seconds = (pairs + blocks.WARM_UP_PAIRS) * 2 * (compare_by.block + compare_by.warm_up)
    what = f"{part.only} alone, " if part.only else ""
    return (
        f"{what}stage {part.stage.name}: {pairs} pairs of blocks of "
        f"{format_duration(compare_by.block)}, about {format_duration(seconds)}"
    )
