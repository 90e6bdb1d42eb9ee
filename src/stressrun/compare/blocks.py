"""The blocks of a comparison: a stage's load for a few seconds, many times, with new arrivals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from stressrun.compare.mocked import as_in
from stressrun.errors import UsageError
from stressrun.metrics.recorder import RowKey
from stressrun.run.budget import planned
from stressrun.scenario.load import Document, Loaded
from stressrun.scenario.model import (
    Arrivals,
    ExistingPostgres,
    ExistingService,
    Load,
    Scenario,
    Stage,
    Users,
)
from stressrun.scenario.nodes import Plain
from stressrun.verdict.comparison import ALPHA
from stressrun.verdict.statistics import pairs_needed

# With as few as the test needs, one pair of the wrong sign would hide any change; and many short
# blocks see more than few long ones, as the moods of a machine last for seconds.
_MORE_PAIRS = 24
# The first pair of blocks is not counted.
WARM_UP_PAIRS = 1


@dataclass(frozen=True, slots=True)
class Part:
    """What is under load together: all that the stage loads, one `endpoint`, or the `writes`."""

    stage: Stage
    endpoint: str | None = None
    writes: bool = False

    @property
    def only(self) -> str:
        """What is under load by itself, in words; empty where it is all."""
        return "the writes" if self.writes else self.endpoint or ""

    def rows(self, scenario: Scenario) -> list[RowKey]:
        """What is compared in it."""
        rows: list[RowKey] = []
        if self.stage.endpoints is not None and not self.writes:
            names = (each.name for each in scenario.endpoints)
            rows += [("endpoint", name) for name in names if self.endpoint in (None, name)]
        if self.stage.writes is not None and self.endpoint is None:
            for mix in scenario.writes:
                rows += [("operation", f"{mix.name}.{name}") for name in mix.weights]
        return rows


def check_sides(scenario: Scenario, folder: Path | None) -> None:
    """See that base and head can each have services of their own. Raises UsageError.

    The `folder` is the one that base has a copy of; None: both are in the same.
    """
    if scenario.compare.prepare and folder is None:
        raise UsageError(
            "base and head would prepare the same folder, one over the other",
            hint="name a commit, so that base has a folder of its own: --against HEAD",
        )
    _check_addresses(scenario, folder)
    for service in scenario.services:
        if isinstance(service, ExistingPostgres | ExistingService):
            kind = "postgres: embedded" if isinstance(service, ExistingPostgres) else "a command"
            raise UsageError(
                f"service {service.name} is there already, and base and head would share it",
                hint=f"compare where it is started for each of them: give it {kind}, as by -e",
            )
    url = scenario.database_url
    if scenario.compare.reset and url is None:
        raise UsageError(
            "there is no database to set back", hint="leave out compare: {reset: true}"
        )
    if url is not None and not url.startswith("${services."):
        raise UsageError(
            "the database is there already, and base and head would share it",
            hint="compare with a service {postgres: embedded} as the database, as by -e",
        )


def _check_addresses(scenario: Scenario, folder: Path | None) -> None:
    base_url, socket = scenario.base_url, scenario.http.unix_socket
    if base_url is not None and socket is None and not base_url.startswith("${services."):
        raise UsageError(
            f"what answers at {base_url} is there already, and base and head would share it",
            hint="start it as a service: base_url: ${services.api.url}",
        )
    if socket is not None and (folder is None or not Path(socket).is_relative_to(folder)):
        raise UsageError(
            f"base and head would share the socket {socket}",
            hint="compare over TCP, or with a socket in the folder of the project",
        )


def chosen_stage(scenario: Scenario) -> Stage:
    """The stage whose load the blocks have. Raises UsageError where none suits."""
    if scenario.compare.stage is not None:
        stage = next(each for each in scenario.stages if each.name == scenario.compare.stage)
        if not _goes_on(stage):
            raise UsageError(
                f"the stage {stage.name} ends when its iterations are done, and a block has a time",
                hint="compare under a stage with a rate or with vus: compare: {stage: …}",
            )
        return stage
    judged = [stage for stage in scenario.stages if not stage.warmup and _goes_on(stage)]
    constant = [stage for stage in judged if _is_constant(stage)]
    if not judged:
        raise UsageError(
            "no judged stage has a rate, users or workers, and blocks need one",
            hint="add one, and name it: compare: {stage: …}",
        )
    return (constant or judged)[-1]


def parts_of(scenario: Scenario, *, isolated: bool) -> list[Part]:
    """What is compared, one after the other: everything at once, or each endpoint by itself."""
    stage = chosen_stage(scenario)
    if not isolated:
        return [Part(stage)]
    parts = []
    if stage.endpoints is not None:
        parts += [Part(stage, endpoint=each.name) for each in scenario.endpoints]
    if stage.writes is not None:
        parts.append(Part(stage, writes=True))
    return parts


def pairs_of(scenario: Scenario, wanted: int | None) -> int:
    """How many pairs of blocks: those that are wanted, or as many as the test needs, and more."""
    given = wanted or scenario.compare.pairs
    if given is not None:
        return given
    tests = len(Part(chosen_stage(scenario)).rows(scenario))
    return pairs_needed(tests, ALPHA) + _MORE_PAIRS


def order(pair: int) -> Sequence[int]:
    """Which side goes first in a pair: A B, then B A, so that what drifts meets both alike."""
    return (0, 1) if pair % 2 == 0 else (1, 0)


def in_blocks(loaded: Loaded, part: Part, pairs: int) -> Loaded:
    """The scenario with the warm-up and the block of each pair as its stages, and no thresholds.

    Stages of the same number have the same arrivals on both sides.
    """
    scenario, document = loaded.scenario, dict(loaded.document)
    # The databases go with the comparison: there is nothing to undo in them.
    for key in ("thresholds", "invariants", "compare", "teardown"):
        document.pop(key, None)
    document["built_in_thresholds"] = False
    given = cast(list[Document], loaded.document["stages"])
    stage = next(each for each in given if each["name"] == part.stage.name)
    if part.only:
        document, stage = _isolated(document, stage, scenario, part)
    stages = list(_stages(stage, scenario, pairs))
    document["stages"] = cast(Plain, stages)
    if scenario.mocks:
        names = [str(each["name"]) for each in stages]
        document["services"] = as_in(document["services"], part.stage.name, names)
    return loaded.with_document(document)


class _Unresolved(dict[str, str]):
    """Values of references that leave each as it stands."""

    def __missing__(self, name: str) -> str:
        return f"${{{name}}}"


def planned_by(head: Loaded, parts: Sequence[Part], pairs: int) -> dict[str, float]:
    """What both sides together are going to use in all parts: base does what head does."""
    plans = [planned(in_blocks(head, part, pairs).resolve(_Unresolved())[1]) for part in parts]
    return {name: 2 * sum(plan[name] for plan in plans) for name in plans[0]}


def _stages(stage: Document, scenario: Scenario, pairs: int) -> Iterator[Document]:
    compare = scenario.compare
    for number in range(pairs + WARM_UP_PAIRS):
        yield stage | {"name": f"warm-up-{number}", "duration": f"{compare.warm_up:.6f}s"}
        yield stage | {"name": f"block-{number}", "duration": f"{compare.block:.6f}s"}


def _isolated(
    document: Document, stage: Document, scenario: Scenario, part: Part
) -> tuple[Document, Document]:
    """Document and stage with one endpoint, at its share of the rate, or with the writes alone."""
    if part.endpoint is None:
        without = {key: value for key, value in stage.items() if key != "endpoints"}
        return document, without
    endpoints = cast(list[Document], document["endpoints"])
    document["endpoints"] = [each for each in endpoints if each["name"] == part.endpoint]
    weights = {each.name: each.weight for each in scenario.endpoints}
    assert part.stage.endpoints is not None
    load = cast(Document, stage["endpoints"])
    share = weights[part.endpoint] / sum(weights.values())
    stage = {key: value for key, value in stage.items() if key != "writes"}
    return document, stage | {"endpoints": load | _scaled(part.stage.endpoints, share)}


def _scaled(load: Load, share: float) -> Document:
    if isinstance(load, Users):
        first, last = (max(1, round(count * share)) for count in _ends(load))
        return {"vus": {"from": first, "to": last}}
    begin, end = (f"{rate * share:.6f}/s" for rate in _ends(load))
    return {"rate": {"from": begin, "to": end}}


def _loads(stage: Stage) -> list[Load]:
    return [load for load in (stage.endpoints, stage.writes) if load is not None]


def _goes_on(stage: Stage) -> bool:
    return all(isinstance(load, Arrivals | Users) for load in _loads(stage))


def _is_constant(stage: Stage) -> bool:
    first, *_ = loads = _loads(stage)
    ramps = map(_ends, loads)
    return isinstance(first, Arrivals) and all(begin == end for begin, end in ramps)


def _ends(load: Load) -> tuple[float, float]:
    """What a load begins and ends with: a rate, or a number of users."""
    assert isinstance(load, Arrivals | Users)
    ramp = load.rate if isinstance(load, Arrivals) else load.count
    return ramp.start, ramp.end
