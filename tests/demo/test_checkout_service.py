"""The demo service in a process of its own over a real PostgreSQL."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
import trio

from mocks import running_mock

COMMAND = [sys.executable, "-m", "stressrun.demo.checkout"]


@dataclass(frozen=True)
class Service:
    url: str
    database_url: str
    process: subprocess.Popen[str]

    @property
    def database(self) -> psycopg.Connection:
        return psycopg.connect(self.database_url, autocommit=True)

    def value(self, query: str, *parameters: object) -> object:
        with self.database as connection:
            row = connection.execute(query.encode(), parameters).fetchone()
        return row[0] if row else None


@contextmanager
def running_service(database_url: str, **variables: str) -> Iterator[Service]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    environment = {**os.environ, "DATABASE_URL": database_url, "PORT": str(port), **variables}
    with subprocess.Popen(COMMAND, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            service = Service(f"http://127.0.0.1:{port}", database_url, process)
            wait_until_ready(service)
            yield service
        finally:
            process.kill()


def wait_until_ready(service: Service) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and service.process.poll() is None:
        try:
            if httpx.get(f"{service.url}/healthz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.02)
    service.process.kill()
    raise AssertionError(f"the service did not become ready:\n{service.process.communicate()[1]}")


@pytest.fixture(scope="module")
def shop_url(postgres_url: str) -> Iterator[str]:
    """The URL of a database that this module's tests share, as they share a service."""
    name = f"shop_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"create database {name}".encode())
        yield urlsplit(postgres_url)._replace(path=f"/{name}").geturl()
        connection.execute(f"drop database {name} with (force)".encode())


@pytest.fixture(scope="module")
def service(shop_url: str) -> Iterator[Service]:
    with running_service(shop_url) as service:
        with service.database as connection:
            connection.execute(
                "insert into products (sku, name, price, stock)"
                " select 'SKU-' || n, 'Product ' || n, n + 0.10, 1000 from generate_series(1, 6) n"
            )
        yield service


@pytest.fixture(scope="module")
def api(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=30) as client:
        yield client


def make_cart(api: httpx.Client, *items: tuple[int, int], created_by: str = "test") -> int:
    body = {
        "customer": "Ada",
        "created_by": created_by,
        "items": [{"product_id": product, "quantity": quantity} for product, quantity in items],
    }
    answer = api.post("/carts", json=body)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def make_product(service: Service, stock: int) -> int:
    sku = uuid.uuid4().hex
    query = "insert into products (sku, name, price, stock) values (%s, 'x', 2, %s) returning id"
    return int(str(service.value(query, sku, stock)))


async def post_once(service: Service, path: str, statuses: list[int]) -> None:
    """Add the answer's status to a list, or nothing when there is no answer."""
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
        with suppress(httpx.RemoteProtocolError):
            statuses.append((await client.post(path)).status_code)


async def post_at_once(service: Service, paths: list[str]) -> Counter[int]:
    """How many answers had which status."""
    statuses: list[int] = []
    async with trio.open_nursery() as nursery:
        for path in paths:
            nursery.start_soon(post_once, service, path, statuses)
    return Counter(statuses)


def access_counts(api: httpx.Client) -> Counter[tuple[str, str | None, int]]:
    report = api.get("/requests").json()
    counts = Counter({(r["method"], r["route"], r["status"]): r["count"] for r in report["routes"]})
    assert report["total"] == counts.total()
    return counts


def test_products_are_listed_in_order_up_to_the_limit(api: httpx.Client) -> None:
    products = api.get("/products", params={"limit": 3}).json()["products"]
    assert [product["id"] for product in products] == [1, 2, 3]
    assert products[0].keys() == {"id", "sku", "name", "price", "stock"}


def test_a_product_is_shown_with_its_exact_price(api: httpx.Client) -> None:
    assert api.get("/products/2").json()["price"] == "2.10"


@pytest.mark.parametrize("id_", ["999999", "0", "-1", "abc", "9" * 30, "9" * 5000])
@pytest.mark.parametrize("path", ["/products/{}", "/carts/{}"])
def test_what_does_not_exist_is_not_found(api: httpx.Client, path: str, id_: str) -> None:
    answer = api.get(path.format(id_))
    assert answer.status_code == 404
    assert "error" in answer.json()


def test_a_cart_made_without_items_holds_one_popular_product(api: httpx.Client) -> None:
    for _ in range(10):
        [item] = api.get(f"/carts/{make_cart(api)}").json()["items"]
        assert item["product_id"] in {1, 2, 3}
        assert item["quantity"] == 1


def test_a_cart_adds_up_the_quantities_of_a_product(api: httpx.Client) -> None:
    cart = make_cart(api, (5, 1), (4, 2), (5, 1))
    answer = api.post(f"/carts/{cart}/items", json={"product_id": 4, "quantity": 5})
    assert answer.status_code == 201
    shown = api.get(f"/carts/{cart}").json()
    assert shown["items"] == [
        {"product_id": 4, "quantity": 7},
        {"product_id": 5, "quantity": 2},
    ]
    assert (shown["customer"], shown["created_by"]) == ("Ada", "test")


def test_a_checkout_makes_one_order_however_often_it_is_repeated(
    service: Service, api: httpx.Client
) -> None:
    product = make_product(service, stock=10)
    cart = make_cart(api, (product, 3), (6, 1))
    first = api.post(f"/carts/{cart}/checkout")
    second = api.post(f"/carts/{cart}/checkout")
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert first.json()["total"] == "12.10"
    assert service.value("select stock from products where id = %s", product) == 7
    late = api.post(f"/carts/{cart}/items", json={"product_id": 4, "quantity": 1})
    assert late.status_code == 409


def test_a_checkout_out_of_stock_changes_nothing(service: Service, api: httpx.Client) -> None:
    product = make_product(service, stock=2)
    cart = make_cart(api, (product, 3))
    answer = api.post(f"/carts/{cart}/checkout")
    assert answer.status_code == 409
    assert str(product) in answer.json()["error"]
    assert service.value("select stock from products where id = %s", product) == 2
    assert service.value("select count(*) from orders where cart_id = %s", cart) == 0


def test_deleting_carts_removes_those_of_one_creator_with_their_orders(
    service: Service, api: httpx.Client
) -> None:
    mine = [make_cart(api, created_by="run 1") for _ in range(3)]
    kept = make_cart(api, created_by="run 2")
    api.post(f"/carts/{mine[0]}/checkout")
    assert api.delete("/carts", params={"created_by": "run 1"}).json() == {"deleted": 3}
    for table in ("carts where id", "orders where cart_id", "cart_items where cart_id"):
        assert service.value(f"select count(*) from {table} = any(%s)", mine) == 0
    assert api.get(f"/carts/{kept}").status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b"[]",
        b"{}",
        b'{"customer": 1, "created_by": "x"}',
        b'{"customer": "", "created_by": "x"}',
        b'{"customer": "a\\u0000b", "created_by": "x"}',
        b'{"customer": "\\ud800", "created_by": "x"}',
        b'{"customer": "a", "created_by": "x", "items": {}}',
        b'{"customer": "a", "created_by": "x", "items": [1]}',
        b'{"customer": "a", "created_by": "x", "items": [{"product_id": 1}]}',
        b'{"customer": "a", "created_by": "x", "items": [{"product_id": true, "quantity": 1}]}',
        b'{"customer": "a", "created_by": "x", "items": [{"product_id": 1e3, "quantity": 1}]}',
        b'{"customer": "a", "created_by": "x", "items": [{"product_id": 1, "quantity": 0}]}',
        b'{"customer": "a", "created_by": "x", "items": [{"product_id": 999999, "quantity": 1}]}',
        b'{"customer": "a", "created_by": "x", "items": [{"product_id": %d, "quantity": 1}]}'
        % 2**63,
        b'{"customer": "a", "created_by": "x", "items": [%s]}'
        % b",".join([b'{"product_id": 1, "quantity": 600}'] * 2),
    ],
)
def test_a_bad_cart_is_refused_with_a_message(
    service: Service, api: httpx.Client, body: bytes
) -> None:
    before = service.value("select count(*) from carts")
    answer = api.post("/carts", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert service.value("select count(*) from carts") == before


@pytest.mark.parametrize("limit", ["", "0", "1001", "-1", "x", "1.5", "²", "9" * 5000])
def test_a_bad_limit_is_refused_with_a_message(api: httpx.Client, limit: str) -> None:
    answer = api.get("/products", params={"limit": limit})
    assert answer.status_code == 400
    assert "limit" in answer.json()["error"]


def test_carts_are_not_deleted_without_a_creator(api: httpx.Client) -> None:
    assert api.delete("/carts").status_code == 400


async def test_every_request_is_counted_once_whatever_its_answer(
    service: Service, api: httpx.Client
) -> None:
    before = access_counts(api)
    cart = make_cart(api)
    api.get("/products/1")
    api.get("/products/999999")
    api.get("/products", params={"limit": "x"})
    api.get("/nowhere")
    api.put("/carts")
    with service.database as connection:
        connection.execute("alter table products rename to away")
        broken = api.get("/products")
        connection.execute("alter table away rename to products")
    assert broken.status_code == 500
    await post_at_once(service, [f"/carts/{cart}/checkout"] * 30)
    assert access_counts(api) == access_counts(api)
    assert access_counts(api) - before == Counter(
        {
            ("POST", "/carts", 201): 1,
            ("GET", "/products/{id}", 200): 1,
            ("GET", "/products/{id}", 404): 1,
            ("GET", "/products", 400): 1,
            ("GET", None, 404): 1,
            ("PUT", "/carts", 405): 1,
            ("GET", "/products", 500): 1,
            ("POST", "/carts/{id}/checkout", 201): 1,
            ("POST", "/carts/{id}/checkout", 200): 29,
        }
    )


async def test_stock_is_never_oversold_by_checkouts_at_once(
    service: Service, api: httpx.Client
) -> None:
    scarce, plenty = make_product(service, stock=10), make_product(service, stock=1000)
    carts = [make_cart(api, (first, 1)) for first in (scarce, plenty) for _ in range(20)]
    # In both orders, so that checkouts that did not sort their locks would deadlock.
    for cart, second in zip(carts, [plenty] * 20 + [scarce] * 20, strict=True):
        api.post(f"/carts/{cart}/items", json={"product_id": second, "quantity": 1})
    statuses = await post_at_once(service, [f"/carts/{cart}/checkout" for cart in carts])
    assert statuses == {201: 10, 409: 30}
    assert service.value("select stock from products where id = %s", scarce) == 0
    assert service.value("select stock from products where id = %s", plenty) == 990


@contextmanager
def stock_kept_from_being_taken(service: Service) -> Iterator[None]:
    """Let every checkout go as far as to the update of the stock, and no further."""
    with service.database as connection, connection.transaction():
        connection.execute("lock table products in share mode")
        yield


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(30):
        while not condition():
            await trio.sleep(0.01)


async def until_a_checkout_waits(service: Service) -> None:
    waiting = (
        "select count(*) from pg_stat_activity"
        " where datname = current_database() and wait_event_type = 'Lock'"
    )
    await until(lambda: service.value(waiting) == 1)


async def test_a_checkout_keeps_the_stock_of_its_products_locked(
    service: Service, api: httpx.Client
) -> None:
    product, other = make_product(service, stock=5), make_product(service, stock=5)
    path = f"/carts/{make_cart(api, (product, 1))}/checkout"
    query = (
        "select array_agg(id) from"
        " (select id from products where id in (%s, %s) for update skip locked) as unlocked"
    )
    statuses: list[int] = []
    async with trio.open_nursery() as nursery:
        with stock_kept_from_being_taken(service):
            nursery.start_soon(post_once, service, path, statuses)
            await until_a_checkout_waits(service)
            assert service.value(query, product, other) == [other]
    assert statuses == [201]
    assert service.value("select stock from products where id = %s", product) == 4


async def test_sigterm_lets_a_checkout_finish_and_leaves_no_connection(
    database_url: str,
) -> None:
    statuses: list[int] = []
    with running_service(database_url) as service, httpx.Client(base_url=service.url) as api:
        path = f"/carts/{make_cart(api, (make_product(service, stock=1), 1))}/checkout"
        async with trio.open_nursery() as nursery:
            with stock_kept_from_being_taken(service):
                nursery.start_soon(post_once, service, path, statuses)
                await until_a_checkout_waits(service)
                service.process.terminate()
        await until(lambda: service.process.poll() is not None)
        sessions = "select count(*) from pg_stat_activity where datname = current_database()"
        await until(lambda: service.value(sessions) == 1)
    assert statuses == [201]


async def test_sigterm_ends_a_service_whose_checkout_never_finishes(
    database_url: str,
) -> None:
    statuses: list[int] = []
    with running_service(database_url) as service, httpx.Client(base_url=service.url) as api:
        path = f"/carts/{make_cart(api, (make_product(service, stock=1), 1))}/checkout"
        with stock_kept_from_being_taken(service):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(post_once, service, path, statuses)
                await until_a_checkout_waits(service)
                service.process.terminate()
                await until(lambda: service.process.poll() is not None)
    assert statuses == []


def test_services_that_start_at_once_on_an_empty_database_both_become_ready(
    database_url: str,
) -> None:
    with running_service(database_url), running_service(database_url):
        pass


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "DATABASE_URL is not set"),
        ({"DATABASE_URL": "postgresql://127.0.0.1/x", "PORT": "eighty"}, "PORT must be"),
        ({"DATABASE_URL": "postgresql://127.0.0.1/x", "PORT": "65536"}, "PORT must be"),
    ],
)
def test_a_wrong_environment_is_told_in_one_line(environment: dict[str, str], message: str) -> None:
    unset = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "PORT")}
    ended = subprocess.run(COMMAND, env={**unset, **environment}, capture_output=True, text=True)
    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert line.startswith(message)


def test_a_payment_is_tried_three_times_and_its_refusal_is_the_shops_too(shop_url: str) -> None:
    routes = """
    - on: POST /charges
      respond: [{status: 500}, {status: 201, after: 5 calls}]
    """
    with (
        running_mock(routes) as mock,
        running_service(shop_url, PAYMENTS_URL=f"http://127.0.0.1:{mock.port}") as service,
        httpx.Client(base_url=service.url, timeout=30) as client,
    ):
        product = make_product(service, stock=5)
        carts = [make_cart(client, (product, 1)) for _ in range(3)]
        mock.enter("steady")
        refused, paid, second = (client.post(f"/carts/{cart}/checkout") for cart in carts)
        assert mock.calls().routes["POST /charges"].calls == 7
    assert (refused.status_code, refused.json()["error"]) == (
        502,
        "the payment was not authorised: status 500",
    )
    assert (paid.status_code, second.status_code) == (201, 201)
