"""Products, carts and orders: the tables and the endpoints."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import LiteralString

from psycopg import AsyncConnection, errors
from psycopg.rows import DictRow
from psycopg_pool import AsyncConnectionPool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from stressrun.demo.checkout import validation
from stressrun.demo.checkout.payments import Payments
from stressrun.demo.checkout.slowness import Slowness

POPULAR_PRODUCTS = 3

SCHEMA = """
create table if not exists products (
  id bigserial primary key,
  sku text not null unique,
  name text not null,
  price numeric(10, 2) not null check (price >= 0),
  stock integer not null check (stock >= 0)
);
create table if not exists carts (
  id bigserial primary key,
  customer text not null,
  created_by text not null,
  created_at timestamptz not null default now()
);
create index if not exists carts_created_by on carts (created_by);
create table if not exists cart_items (
  cart_id bigint not null references carts on delete cascade,
  product_id bigint not null references products,
  quantity integer not null check (quantity between 1 and 1000),
  primary key (cart_id, product_id)
);
create index if not exists cart_items_product_id on cart_items (product_id);
create table if not exists orders (
  id bigserial primary key,
  cart_id bigint not null unique references carts on delete cascade,
  total numeric not null,
  created_at timestamptz not null default now()
);
"""

Connection = AsyncConnection[DictRow]
Pool = AsyncConnectionPool[Connection]


class Json(JSONResponse):
    """JSON in which times are strings, and money, too, so that no cent is lost."""

    def render(self, content: object) -> bytes:
        return json.dumps(content, default=str, separators=(",", ":")).encode()


class Shop:
    """The endpoints over one connection pool."""

    def __init__(self, pool: Pool, slowness: Slowness, payments: Payments) -> None:
        self._pool = pool
        self._slowness = slowness
        self._payments = payments

    async def health(self, request: Request) -> Json:
        async with self._pool.connection(timeout=1) as connection:
            await connection.execute("select 1")
        return Json({"status": "ok"})

    async def list_products(self, request: Request) -> Json:
        limit = validation.query_integer(request, "limit", default=20, most=1000)
        async with self._pool.connection() as connection:
            products = await _rows(connection, "select * from products order by id limit %s", limit)
        return Json({"products": products})

    async def get_product(self, request: Request) -> Json:
        async with self._pool.connection() as connection:
            for _ in range(1 + self._slowness.extra_queries):
                product = await _row(
                    connection, "select * from products where id = %s", _id(request)
                )
        return Json(_found(product, "product"))

    async def create_cart(self, request: Request) -> Json:
        """Make a cart; one without items gets one of the popular products."""
        body = await validation.json_object(request)
        customer = validation.text(body, "customer")
        created_by = validation.text(body, "created_by")
        items = validation.items(body)
        async with self._pool.connection() as connection, connection.transaction():
            items = items or {await _popular_product(connection): 1}
            [cart] = await _rows(
                connection,
                "insert into carts (customer, created_by) values (%s, %s) returning id",
                customer,
                created_by,
            )
            await _put(connection, cart["id"], items)
        return Json(cart, 201)

    async def get_cart(self, request: Request) -> Json:
        cart_id = _id(request)
        async with self._pool.connection() as connection:
            cart = await _row(connection, "select * from carts where id = %s", cart_id)
            items = await _rows(
                connection,
                "select product_id, quantity from cart_items where cart_id = %s order by 1",
                cart_id,
            )
        return Json({**_found(cart, "cart"), "items": items})

    async def add_item(self, request: Request) -> Json:
        cart_id = _id(request)
        product_id, quantity = validation.item(await validation.json_object(request))
        async with self._pool.connection() as connection, connection.transaction():
            if await _lock_cart(connection, cart_id):
                raise HTTPException(409, "the cart is checked out already")
            await _put(connection, cart_id, {product_id: quantity})
        return Json({"product_id": product_id, "quantity": quantity}, 201)

    async def checkout(self, request: Request) -> Json:
        """Make a cart's order, once: a repeated checkout is answered with the same order."""
        cart_id = _id(request)
        async with self._pool.connection() as connection, connection.transaction():
            if order := await _lock_cart(connection, cart_id):
                return Json(order)
            # Locked in the order of their ids, so that two checkouts cannot deadlock.
            items = await _rows(
                connection,
                "select p.id, p.price, p.stock, i.quantity"
                " from cart_items i join products p on p.id = i.product_id"
                " where i.cart_id = %s order by p.id for update of p",
                cart_id,
            )
            for item in items:
                if item["stock"] < item["quantity"]:
                    raise HTTPException(409, f"product {item['id']} is out of stock")
            total = sum((item["price"] * item["quantity"] for item in items), Decimal())
            await self._payments.authorise(total)
            await asyncio.sleep(self._slowness.lock_seconds)
            await connection.execute(
                "update products p set stock = p.stock - i.quantity"
                " from cart_items i where i.cart_id = %s and p.id = i.product_id",
                [cart_id],
            )
            [order] = await _rows(
                connection,
                "insert into orders (cart_id, total) values (%s, %s) returning *",
                cart_id,
                total,
            )
        await asyncio.sleep(self._slowness.checkout_sleep)
        return Json(order, 201)

    async def delete_carts(self, request: Request) -> Json:
        """Remove the carts of one creator, with their items and orders."""
        created_by = validation.text(request.query_params, "created_by")
        async with self._pool.connection() as connection:
            deleted = await connection.execute(
                "delete from carts where created_by = %s", [created_by]
            )
        return Json({"deleted": deleted.rowcount})


async def _lock_cart(connection: Connection, cart_id: int) -> DictRow | None:
    """Keep other changes of a cart waiting, and return its order when it has one."""
    cart = await _row(connection, "select id from carts where id = %s for update", cart_id)
    _found(cart, "cart")
    return await _row(connection, "select * from orders where cart_id = %s", cart_id)


async def _popular_product(connection: Connection) -> int:
    product = await _row(
        connection,
        "select id from (select id from products order by id limit %s) popular"
        " order by random() limit 1",
        POPULAR_PRODUCTS,
    )
    if product is None:
        raise HTTPException(409, "the shop has no products")
    return int(product["id"])


async def _put(connection: Connection, cart_id: int, items: Mapping[int, int]) -> None:
    try:
        # In the order of their ids, as a checkout locks them.
        await connection.execute(
            "insert into cart_items (cart_id, product_id, quantity)"
            " select %s, item.* from unnest(%s::bigint[], %s::integer[]) item (id, quantity)"
            " order by id"
            " on conflict (cart_id, product_id)"
            " do update set quantity = cart_items.quantity + excluded.quantity",
            [cart_id, list(items), list(items.values())],
        )
    except errors.ForeignKeyViolation as error:
        raise HTTPException(400, "an item names a product that does not exist") from error
    except errors.CheckViolation as error:
        most = validation.MOST_OF_A_PRODUCT
        raise HTTPException(400, f"a cart holds at most {most} of a product") from error


def _id(request: Request) -> int:
    text = request.path_params["id"]
    if not (text.isdecimal() and len(text) < 19):
        raise HTTPException(404, f"there is no id {text!r}")
    return int(text)


def _found(row: DictRow | None, what: str) -> DictRow:
    if row is None:
        raise HTTPException(404, f"there is no such {what}")
    return row


async def _row(connection: Connection, query: LiteralString, *parameters: object) -> DictRow | None:
    cursor = await connection.execute(query, parameters)
    return await cursor.fetchone()


async def _rows(connection: Connection, query: LiteralString, *parameters: object) -> list[DictRow]:
    cursor = await connection.execute(query, parameters)
    return await cursor.fetchall()
