"""Ways to make the shop slower, for whoever wants to see that a comparison finds them.

They are variables of its environment: SHOP_CHECKOUT_SLEEP and SHOP_LOCK_SECONDS are seconds, after
a checkout and while it holds its locks; SHOP_EXTRA_QUERIES more queries are done for a product.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Slowness:
    """What each of them adds; nothing, as the shop is."""

    checkout_sleep: float = 0.0
    lock_seconds: float = 0.0
    extra_queries: int = 0


def read_slowness(environment: Mapping[str, str]) -> Slowness:
    """The slowness that an environment asks for. Raises ValueError for what is no number."""
    return Slowness(
        checkout_sleep=float(environment.get("SHOP_CHECKOUT_SLEEP", 0)),
        lock_seconds=float(environment.get("SHOP_LOCK_SECONDS", 0)),
        extra_queries=int(environment.get("SHOP_EXTRA_QUERIES", 0)),
    )
