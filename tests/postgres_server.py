"""A PostgreSQL server for tests, started as a run starts its own."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import trio

from stressrun.safety.guard import Guard
from stressrun.safety.ledger import open_ledger
from stressrun.scenario.model import EmbeddedPostgres
from stressrun.services.guardian import Guardian
from stressrun.services.process import MARK
from stressrun.services.running import Services, reserve


@contextmanager
def running_server(directory: Path, settings: Mapping[str, str]) -> Iterator[str]:
    """The URL of a superuser on a server that lives as long as the context."""
    run_id = f"tests-{os.getpid()}-{secrets.token_hex(2)}"
    service = EmbeddedPostgres("db", "postgres", None, "postgres", None, settings)
    values = reserve([service])
    with ExitStack() as stack:
        guardian = Guardian(f"{MARK}={run_id}")
        stack.callback(guardian.release)
        services = Services(
            run_id=run_id,
            directory=directory,
            ledger=stack.enter_context(open_ledger(directory)),
            guardian=guardian,
            guard=Guard(),
            keep=False,
            told=lambda line: None,
        )
        stack.callback(partial(trio.run, services.stop))
        trio.run(services.start, [service], values)
        yield values["services.db.url"]
