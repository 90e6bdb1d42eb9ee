"""A run of its own for every test of services, and proof that no process of it is left."""

from __future__ import annotations

import gc
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from surroundings import Run, marked

from stressrun.safety.ledger import open_ledger
from stressrun.services.guardian import Guardian
from stressrun.services.process import MARK


@pytest.fixture
def collected() -> Iterator[None]:
    """What a test leaves to the garbage collector goes before another test is looked at."""
    yield
    gc.collect()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    run_id = f"test-{os.getpid()}-{secrets.token_hex(3)}"
    with open_ledger(tmp_path) as ledger:
        guardian = Guardian(f"{MARK}={run_id}")
        try:
            yield Run(run_id, tmp_path, ledger, guardian, [])
        finally:
            guardian.release()
    assert marked(run_id) == []
