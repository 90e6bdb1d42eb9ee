"""A database with tables that sessions can lock each other out of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import psycopg
import pytest
from looks import Connecting

from stressrun.postgres.connection import Connection, connect
from stressrun.safety.guard import Guard

TABLES = """
create table products (id int primary key, stock int);
create table orders (id int primary key, product int references products, note text unique);
create table "Odd name" (id int primary key);
insert into products select number, 1 from generate_series(1, 5) number;
insert into "Odd name" values (1);
"""


@pytest.fixture(scope="session")
def shop_url(postgres_url: str) -> Iterator[str]:
    """The URL of a database whose rows all tests leave as they found them."""
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("create database shop")
        url = postgres_url.rpartition("/")[0] + "/shop"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(TABLES)
        yield url
        admin.execute("drop database shop with (force)")


@pytest.fixture
async def connecting(shop_url: str) -> AsyncIterator[Connecting]:
    """Opens sessions by their names, which are closed when the test has ended."""
    async with AsyncExitStack() as stack:

        async def open_one(name: str) -> Connection:
            connection = await connect(shop_url, guard=Guard(), run_id=name)
            stack.push_async_callback(connection.close)
            return connection

        yield open_one
