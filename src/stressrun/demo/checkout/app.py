"""Puts the service together: pool, tables, routes, and answers to errors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg import OperationalError
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from stressrun.demo.checkout.access import AccessCount
from stressrun.demo.checkout.payments import PaymentError, payments_at
from stressrun.demo.checkout.shop import SCHEMA, Pool, Shop
from stressrun.demo.checkout.slowness import Slowness

POOL_SIZE = 8


def create_app(database_url: str, slowness: Slowness, payments_url: str | None = None) -> ASGIApp:
    """The service over a database; at its start the pool opens and the tables are made."""
    pool: Pool = AsyncConnectionPool(
        database_url,
        min_size=POOL_SIZE,
        max_size=POOL_SIZE,
        timeout=10,
        open=False,
        kwargs={"autocommit": True, "row_factory": dict_row},
    )
    payments = payments_at(payments_url)
    shop = Shop(pool, slowness, payments)
    routes = [
        Route("/healthz", shop.health),
        Route("/products", shop.list_products),
        Route("/products/{id}", shop.get_product),
        Route("/carts", shop.create_cart, methods=["POST"]),
        Route("/carts", shop.delete_carts, methods=["DELETE"]),
        Route("/carts/{id}", shop.get_cart),
        Route("/carts/{id}/items", shop.add_item, methods=["POST"]),
        Route("/carts/{id}/checkout", shop.checkout, methods=["POST"]),
    ]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with pool:
            await pool.wait(timeout=10)
            async with pool.connection() as connection, connection.transaction():
                # `if not exists` alone does not keep services apart that start at once.
                await connection.execute("select pg_advisory_xact_lock(hashtext('checkout'))")
                await connection.execute(SCHEMA)
            yield
        await payments.close()

    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={
            HTTPException: _refused,
            OperationalError: _unavailable,
            PaymentError: _unpaid,
        },
    )
    return AccessCount(app, routes)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _unpaid(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(error)}, 502)


async def _unavailable(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": f"the database could not serve this: {error}"}, 503)
