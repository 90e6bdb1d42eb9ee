"""The end of what a run has up: kept for later, or taken down though the ledger fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledgers import break_ledger
from stressrun.run.deployment import Deployment
from stressrun.run.resources import Resources
from stressrun.safety.ledger import Ledger, open_ledger
from stressrun.scenario.load import load

RUN = "run-1"
SCENARIO = """
version: 1
name: carts
base_url: http://127.0.0.1:1
endpoints:
  - {name: make, request: POST /carts, capture: {cart: $.id}, undo: "DELETE /carts/${cart}"}
stages: [{name: s, duration: 1s, endpoints: {rate: 1/s}}]
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path) as opened:
        yield opened


@pytest.fixture
def deployment(tmp_path: Path, ledger: Ledger) -> Iterator[Deployment]:
    """One whose requests are going to make something."""
    path = tmp_path / "carts.yaml"
    path.write_text(SCENARIO)
    loaded = load(path, environ={})
    deployed = Deployment(
        loaded,
        run_id=RUN,
        directory=tmp_path,
        state=tmp_path,
        ledger=ledger,
        keep=True,
        told=print,
    )
    place = {"url": "http://127.0.0.1:1", "service": None, "disposable": False}
    deployed.resources = Resources(ledger, RUN, place)
    deployed.resources.intend(loaded.scenario)
    yield deployed
    deployed.guardian.release()


async def test_a_run_that_is_kept_has_told_all_that_it_made(
    ledger: Ledger, deployment: Deployment
) -> None:
    (entry,) = ledger.outstanding(RUN)
    assert entry.detail["under_way"]
    deployment.keep()
    (entry,) = ledger.outstanding(RUN)
    assert not entry.detail["under_way"]


async def test_a_ledger_that_fails_keeps_nothing_from_being_taken_down(
    tmp_path: Path, deployment: Deployment
) -> None:
    break_ledger(tmp_path)
    assert not deployment.has_made_something
    (left,) = await deployment.take_down()
    assert "the ledger could not be used: no such table" in left
