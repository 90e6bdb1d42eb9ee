"""Whether runs can be compared, and why not in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stressrun.scenario.identity import Identity
from stressrun.verdict.origin import Machine, Origin, Versions, differences
from verdict_samples import ORIGIN

MACHINE, VERSIONS, SCENARIO = ORIGIN.machine, ORIGIN.versions, ORIGIN.scenario
HERE = "2 cores of Some CPU, 8.00 GB, Linux 6.1 x86_64"


def origin(
    machine: Machine = MACHINE, versions: Versions = VERSIONS, scenario: Identity = SCENARIO
) -> Origin:
    return Origin(machine, versions, scenario)


@pytest.mark.parametrize(
    ("then", "reasons"),
    [
        (origin(), []),
        (origin(replace(MACHINE, memory=8_100_000_000)), []),
        (origin(versions=replace(VERSIONS, python="3.13.1", postgresql=None)), []),
        (
            origin(replace(MACHINE, cores=1, cpu="Other CPU")),
            [
                "it was measured on another machine: 1 core of Other CPU, 8.00 GB, "
                f"Linux 6.1 x86_64; this one has {HERE}"
            ],
        ),
        (
            origin(replace(MACHINE, memory=16_000_000_000)),
            [
                "it was measured on another machine: 2 cores of Some CPU, 16.0 GB, "
                f"Linux 6.1 x86_64; this one has {HERE}"
            ],
        ),
        (
            origin(replace(MACHINE, id="f" * 16)),
            [f"it was measured on another machine, if one like this: {HERE}"],
        ),
        (
            origin(versions=replace(VERSIONS, stressrun="0.0.9")),
            ["stressrun 0.0.9 measured it, and this is 0.1.0"],
        ),
        (
            origin(scenario=Identity("other", "f" * 16, SCENARIO.sections)),
            ["the scenario is another: that was 'other', this is 'sample'"],
        ),
        (
            origin(scenario=Identity("sample", "f" * 16, {"endpoints": "3" * 16, "http": "4"})),
            ["the scenario is another: changed are endpoints, http, stages"],
        ),
        (
            origin(scenario=replace(SCENARIO, hash="f" * 16)),
            ["the scenario is another: it has another hash"],
        ),
    ],
)
def test_each_reason_is_told_in_words(then: Origin, reasons: list[str]) -> None:
    assert differences(then, ORIGIN) == reasons


@pytest.mark.parametrize(
    ("then", "now", "reasons"),
    [
        (0.02, 0.05, []),
        (0.45, 0.5, []),
        (None, 0.9, []),
        (0.9, None, []),
        (0.02, 0.2, ["others were not as busy: they used 2 % of the machine's CPU then, 20 % now"]),
        (0.3, 0.1, ["others were not as busy: they used 30 % of the machine's CPU then, 10 % now"]),
        (0.6, 0.6, ["others were too busy: they used 60 % of the machine's CPU then, 60 % now"]),
    ],
)
def test_neighbours_make_a_machine_another(
    then: float | None, now: float | None, reasons: list[str]
) -> None:
    assert differences(replace(ORIGIN, others_cpu=then), replace(ORIGIN, others_cpu=now)) == reasons


def test_all_reasons_are_told_at_once() -> None:
    other = origin(
        replace(MACHINE, cores=64),
        replace(VERSIONS, stressrun="9"),
        replace(SCENARIO, hash="f" * 16),
    )
    assert len(differences(other, ORIGIN)) == 3
