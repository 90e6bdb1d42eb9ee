"""Who says yes to a payment: a wait as long as a card network's, or a service at PAYMENTS_URL."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Protocol

import httpx

AUTHORISATION_SECONDS = 0.02
TRIES = 3
TIMEOUT = 1.0


class PaymentError(Exception):
    """A payment was not authorised, and why."""


class Payments(Protocol):
    async def authorise(self, total: Decimal) -> None:
        """Return when the payment is authorised. Raises PaymentError."""

    async def close(self) -> None: ...


class PatientPayments:
    """Waits as long as a card network takes to answer; it always says yes."""

    async def authorise(self, total: Decimal) -> None:
        await asyncio.sleep(AUTHORISATION_SECONDS)

    async def close(self) -> None:
        pass


class PaymentService:
    """Asks a service over HTTP, up to three times, as what fails once may not fail again."""

    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=TIMEOUT, trust_env=False)

    async def authorise(self, total: Decimal) -> None:
        charge = {"amount": str(total), "currency": "EUR"}
        problem = ""
        for _ in range(TRIES):
            try:
                answer = await self._client.post("/charges", json=charge)
            except httpx.TransportError as error:
                problem = type(error).__name__
                continue
            if answer.is_success:
                return
            problem = f"status {answer.status_code}"
        raise PaymentError(f"the payment was not authorised: {problem}")

    async def close(self) -> None:
        await self._client.aclose()


def payments_at(url: str | None) -> Payments:
    """The payments of a service at a URL; None: there is none to ask."""
    return PatientPayments() if url is None else PaymentService(url)
