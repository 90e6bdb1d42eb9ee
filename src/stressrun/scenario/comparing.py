"""The `compare:` of a scenario: how base and head are measured against each other."""

from __future__ import annotations

from collections.abc import Collection

from stressrun.data.suggest import did_you_mean
from stressrun.scenario.figures import unit_of
from stressrun.scenario.model import CommandSeeding, Comparing
from stressrun.scenario.part import Part
from stressrun.scenario.seeding import build_command
from stressrun.scenario.services import command_words
from stressrun.scenario.wording import there_are
from stressrun.units import DURATION, parse_share

_DEFAULT = Comparing()
_WITHIN = 600.0


def build_comparing(root: Part, stages: Collection[str]) -> Comparing:
    """What the section says, and the defaults of what it does not."""
    part = root.section("compare")
    stage, figure = part.get("stage"), part.get("figure")
    if stage is not None and stage.text() not in stages:
        hint = did_you_mean(stage.text(), stages) or there_are("stages", stages)
        stage.fault(f"no stage {stage.text()!r}", hint)
    if figure is not None and unit_of("http", figure.text()) is not DURATION:
        figure.fault(f"expected a percentile or mean, not {figure.text()!r}", "such as p95")
    return Comparing(
        prepare=tuple(_command(each) for each in part.items("prepare")),
        stage=None if stage is None else stage.text(),
        block=part.duration("block", _DEFAULT.block, positive=True),
        warm_up=part.duration("warm_up", _DEFAULT.warm_up, positive=True),
        figure=_DEFAULT.figure if figure is None else figure.text(),
        min_effect=_share(part, "min_effect", _DEFAULT.min_effect),
        baseline_effect=_share(part, "baseline_effect", _DEFAULT.baseline_effect),
        pairs=part.integer("pairs", 0) or None,
        reset="reset" in part and part["reset"].flag(),
    )


def _share(part: Part, key: str, default: float) -> float:
    share = part.get(key)
    return default if share is None else share.parsed(parse_share, default)


def _command(part: Part) -> CommandSeeding:
    if isinstance(part.value, dict):
        return build_command(part, within=_WITHIN)
    return CommandSeeding(command_words(part), {}, ".", _WITHIN)
