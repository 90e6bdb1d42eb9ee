"""A real PostgreSQL for every test that needs one, started as a run starts its own."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import psycopg
import pytest
import trio
from psycopg import sql

from stressrun.safety.guard import Guard
from stressrun.safety.ledger import open_ledger
from stressrun.scenario.model import EmbeddedPostgres
from stressrun.services.guardian import Guardian
from stressrun.services.process import MARK
from stressrun.services.running import Services, reserve


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a superuser on a server that lives as long as the tests."""
    run_id = f"tests-{os.getpid()}-{secrets.token_hex(2)}"
    directory = tmp_path_factory.mktemp("postgres")
    service = EmbeddedPostgres("db", "postgres", None, "postgres", None, {"fsync": "off"})
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


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    """The URL of a fresh database, dropped when the test has ended."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    try:
        yield postgres_url.rpartition("/")[0] + f"/{name}"
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            drop = sql.SQL("drop database {} with (force)")
            connection.execute(drop.format(sql.Identifier(name)))
