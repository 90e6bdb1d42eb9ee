"""`scenarios/buyers.yaml` as a user runs it: rows, conditions and repetitions come out exactly."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from runs import ROOT, kept_run

BUYERS = ROOT / "scenarios" / "buyers.yaml"
SHORT = [
    "--set=built_in_thresholds=false",
    "--set=thresholds=[http errors < 1%]",
    *(f"--set=stages.{name}.duration=600ms" for name in ("warm-up", "shopping")),
    "--set=stages.everybody.endpoints.iterations_per_vu=4",
]


@pytest.mark.faults
def test_the_report_counts_what_the_shop_counted(tmp_path: Path) -> None:
    with kept_run(tmp_path, BUYERS, *SHORT) as (ended, urls):
        requests = httpx.get(f"{urls['api']}/requests").json()
    everybody = ended.report["stages"][-1]
    assert sum(r["planned"] for r in everybody["rows"] if r["kind"] == "endpoint") == 40
    endpoints, steps = map(ended.rows, ("endpoint", "step"))
    served = {(r["method"], r["route"]): r["count"] for r in requests["routes"]}
    assert served.pop(("GET", "/healthz")) > 0
    carts, paid = steps["buy: fill"]["succeeded"], steps["buy: pay"]["succeeded"]
    assert 0 < paid < carts == endpoints["buy"]["planned"]
    assert served == {
        ("GET", "/products/{id}"): endpoints["look"]["planned"],
        ("POST", "/carts"): carts,
        ("POST", "/carts/{id}/items"): 2 * carts,
        ("GET", "/carts/{id}"): carts,
        ("POST", "/carts/{id}/checkout"): paid,
    }
