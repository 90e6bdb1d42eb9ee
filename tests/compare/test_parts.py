"""What a comparison keeps of its parts."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from stressrun.compare import comparison
from stressrun.compare.comparison import Base, Comparison, Options
from stressrun.compare.side import Side
from stressrun.load.stage import StageResult
from stressrun.scenario.load import load

SCENARIO = """version: 1
name: shop
services: {api: {command: python -m shop}}
base_url: ${services.api.url}
endpoints: [{name: home, request: GET /}]
stages: [{name: load, duration: 1s, endpoints: {rate: 80/s}}]
"""


async def test_the_part_that_waited_most_for_the_disk_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO)
    compared = Comparison(
        load(path, environ={}),
        Options(path, Base("here"), lambda file, environ: load(file, environ=environ)),
        lambda text: None,
    )
    (part,) = compared._parts

    async def block(number: int) -> StageResult:
        return StageResult(part.stage, number)

    side = cast(Side, SimpleNamespace(block=block))
    compared._sides = [side, side]
    for share, most in ((None, None), (0.1, 0.1), (0.4, 0.4), (0.2, 0.4), (None, 0.4)):
        disk = SimpleNamespace(share=lambda share=share: share)
        monkeypatch.setattr(comparison, "Disk", lambda disk=disk: disk)
        await compared._do_blocks(part, deadline=-math.inf)
        assert compared._disk == most
