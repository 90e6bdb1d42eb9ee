"""What a request may hold; anything else is answered with 400 and what would be right."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request

MOST_ITEMS = 100
MOST_OF_A_PRODUCT = 1000
LARGEST_ID = 2**63 - 1


async def json_object(request: Request) -> Mapping[str, object]:
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise HTTPException(400, "the body must be a JSON object")
    return body


def text(source: Mapping[str, object], key: str) -> str:
    value = source.get(key)
    if not (isinstance(value, str) and 1 <= len(value) <= 200 and value.isprintable()):
        raise HTTPException(400, f"{key} must be a text of 1 to 200 printable characters")
    return value


def integer(source: Mapping[str, object], key: str, most: int) -> int:
    value = source.get(key)
    if type(value) is not int or not 1 <= value <= most:
        raise HTTPException(400, f"{key} must be an integer from 1 to {most}")
    return value


def query_integer(request: Request, key: str, default: int, most: int) -> int:
    value = request.query_params.get(key, str(default))
    short_number = value.isdecimal() and len(value) < 20
    return integer({key: int(value) if short_number else value}, key, most)


def item(source: object) -> tuple[int, int]:
    """The product and the quantity of a cart's item."""
    if not isinstance(source, dict):
        raise HTTPException(400, "an item must be an object of product_id and quantity")
    product_id = integer(source, "product_id", LARGEST_ID)
    return product_id, integer(source, "quantity", MOST_OF_A_PRODUCT)


def items(source: Mapping[str, object]) -> Mapping[int, int]:
    """The quantity of each product."""
    given = source.get("items", [])
    if not isinstance(given, list) or len(given) > MOST_ITEMS:
        raise HTTPException(400, f"items must be a list of {MOST_ITEMS} items at most")
    quantities: Counter[int] = Counter()
    for product_id, quantity in map(item, given):
        quantities[product_id] += quantity
    return quantities
