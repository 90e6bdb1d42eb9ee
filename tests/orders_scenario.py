"""A scenario of all that an endpoint can be, and the files that it names."""

from __future__ import annotations

from pathlib import Path

ORDERS = Path(__file__).parent / "scenario" / "orders.yaml"


def write_files(folder: Path) -> None:
    """Write them into a folder."""
    (folder / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    (folder / "customers.csv").write_text("email,name\na@example.org,Alice\n")
    (folder / "baskets.jsonl").write_text('{"sku": "SKU-1", "amount": 2}\n')
    (folder / "cart.json").write_text('{"by": "${run.id}", "customer": "${customers.name}"}\n')
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff")
