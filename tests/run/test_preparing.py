"""What is judged and sent beside the load reaches its server as the load does."""

from __future__ import annotations

import ssl
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio
import trustme

from http_server import Exchange, response, serve
from stressrun.errors import SetupError
from stressrun.run import teardown
from stressrun.run.preparation import check_targets
from stressrun.safety.guard import Guard
from stressrun.safety.ledger import open_ledger
from stressrun.scenario.model import (
    ExistingService,
    Http,
    Readiness,
    RequestTeardown,
    Scenario,
    Tls,
)
from verdict_samples import scenario as sample_scenario

RUN = "run-1"


async def created(exchange: Exchange) -> bytes:
    return response(204)


async def torn_down(scenario: Scenario, folder: Path) -> list[str]:
    """What could not be undone of a scenario whose steps were written down and then done."""
    told: list[str] = []
    with open_ledger(folder) as ledger:
        teardown.record(scenario, {}, ledger, RUN)
        undone = await teardown.undo_data(ledger, Guard(), RUN, told.append)
        assert len(ledger.outstanding(RUN)) == len(undone.left)
    return undone.left


def deleting(base_url: str, http: Http) -> Scenario:
    step = RequestTeardown("DELETE", "/carts")
    return replace(sample_scenario(), base_url=base_url, http=http, teardown=(step,))


async def test_a_teardown_request_trusts_the_scenario_s_ca(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = await nursery.start(partial(serve, created, tls=context))
    url = f"https://127.0.0.1:{server.port}"

    trusting = Http(tls=Tls(ca=str(tmp_path / "ca.pem")))
    assert await torn_down(deleting(url, trusting), tmp_path / "state") == []
    assert [(e.method, e.path) for e in server.exchanges] == [("DELETE", "/carts")]

    (failure,) = await torn_down(deleting(url, Http()), tmp_path / "state")
    assert failure.startswith(f"teardown step `DELETE {url}/carts`: tls: certificate: ")


async def test_a_teardown_request_goes_to_the_unix_socket(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    path = str(tmp_path / "api.sock")
    plain = trio.socket.socket(trio.socket.AF_UNIX)
    await plain.bind(path)
    plain.listen()
    listeners = [trio.SocketListener(plain)]
    server = await nursery.start(partial(serve, created, listeners=listeners))
    scenario = deleting("http://api.invalid/v1", Http(unix_socket=path))
    assert await torn_down(scenario, tmp_path / "state") == []
    assert [e.headers["host"] for e in server.exchanges] == ["api.invalid"]


async def test_what_a_unix_socket_leads_to_needs_no_address() -> None:
    api = ExistingService("api", "http://api.invalid", Readiness(None, 5))
    scenario = replace(sample_scenario(), base_url="http://api.invalid/v1", services=(api,))
    await check_targets(replace(scenario, http=Http(unix_socket="/run/api.sock")), Guard())
    with pytest.raises(SetupError, match=r"the host 'api\.invalid' could not be resolved"):
        await check_targets(scenario, Guard())
