"""The mix of the benchmark for Molotov: two endpoints, 6 to 2, one with a random path."""

import os
from random import randint

from aiohttp import ClientSession
from molotov import scenario

BASE_URL = os.environ["BASE_URL"]


@scenario(weight=6)
async def product(session: ClientSession) -> None:
    async with session.get(f"{BASE_URL}/products/{randint(1, 10000)}") as response:
        assert response.status == 200
        await response.read()


@scenario(weight=2)
async def products(session: ClientSession) -> None:
    async with session.get(f"{BASE_URL}/products") as response:
        assert response.status == 200
        await response.read()
