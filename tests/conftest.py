"""What all tests share; above all a real PostgreSQL, started as a run starts its own."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import settings
from psycopg import sql

from postgres_server import running_server

# How long an example takes says nothing on a machine that is shared. Whoever looks for more raises
# the number of examples.
settings.register_profile("shared", deadline=None, max_examples=30)
settings.load_profile("shared")


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a superuser on a server that lives as long as the tests."""
    with running_server(tmp_path_factory.mktemp("postgres"), {"fsync": "off"}) as url:
        yield url


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


@pytest.fixture
def schema_url(postgres_url: str) -> Iterator[str]:
    """The URL of a fresh schema, the place of all names: made faster than a database."""
    schema = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))
        yield f"{postgres_url}?options=-csearch_path%3D{schema}"
        admin.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(schema)))
