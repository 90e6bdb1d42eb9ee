from __future__ import annotations

import random
import signal
import socket
import ssl
import subprocess
import sys
from functools import partial
from pathlib import Path

import psutil
import pytest
import trio
import trustme
from surroundings import Run, eventually, leaving_sockets

from http_server import Exchange, response, serve
from stressrun.errors import ExitCode, SetupError
from stressrun.scenario.model import (
    CommandService,
    EmbeddedPostgres,
    ExistingPostgres,
    ExistingService,
    Http,
    Readiness,
    Service,
    Tls,
)
from stressrun.services.ports import PortTakenError, free_ports, is_free
from stressrun.services.running import Services, reserve, undo

READY = Readiness(None, 20.0)
LISTEN = """
import os, signal, socket, sys, time
server = socket.create_server(("127.0.0.1", int(os.environ.get("PORT") or sys.argv[1])))
print("listening", flush=True)
time.sleep(600)
"""
FORKING = """
import os
first = os.getpid()
os.fork(); os.fork()
if os.fork() == 0:
    os.setsid()
""" + LISTEN.replace("server =", "server = None if os.getpid() != first else")


async def start(run: Run, script: str, name: str = "api") -> tuple[Services, dict[str, str]]:
    """Start one command on a port of its own."""
    services = run.services()
    service = run.command(name, script)
    values = reserve([service])
    await services.start([on_its_port(service, values)], values)
    return services, values


def on_its_port(service: CommandService, values: dict[str, str]) -> CommandService:
    """The service with the references in it resolved, as the scenario would be."""
    port = values[f"services.{service.name}.port"]
    command, env = (*service.command, port), {**service.env}
    return CommandService(service.name, command, env, service.cwd, service.port, service.ready)


def test_every_address_is_known_before_the_start() -> None:
    services: list[Service] = [
        EmbeddedPostgres("db", "me", None, "shop", None, {}),
        EmbeddedPostgres("old", "a b", "p@:/ss", "x", 15432, {}),
        ExistingPostgres("far", "postgresql://u:p%40@localhost:6000/d"),
        CommandService("api", ("true",), {}, ".", None, READY),
        CommandService("web", ("true",), {}, ".", 18000, READY),
        ExistingService("mail", "http://localhost:8025/base", READY),
        ExistingService("plain", "http://localhost", READY),
    ]
    values = {key.removeprefix("services."): v for key, v in reserve(services).items()}
    port, password = values["db.port"], values["db.password"]
    assert values["db.url"] == f"postgresql://me:{password}@127.0.0.1:{port}/shop"
    assert len(password) >= 16
    assert values["old.url"] == "postgresql://a%20b:p%40%3A%2Fss@127.0.0.1:15432/x"
    assert values["old.password"] == "p@:/ss"
    assert [values[f"far.{key}"] for key in ("host", "port", "user", "password", "database")] == [
        *("localhost", "6000", "u", "p@", "d")
    ]
    assert values["api.url"] == f"http://127.0.0.1:{values['api.port']}"
    assert values["web.url"] == "http://127.0.0.1:18000"
    assert (values["mail.host"], values["mail.port"]) == ("localhost", "8025")
    assert values["plain.port"] == "80"
    assert len({values["db.port"], values["api.port"], "15432", "18000"}) == 4


def test_what_a_database_url_leaves_out_is_known_to_services_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {"HOST": "db.test", "USER": "u", "PASSWORD": "p@", "DATABASE": "d"}.items():
        monkeypatch.setenv(f"PG{name}", value)
    monkeypatch.setenv("PGPORT", "6000")
    values = reserve([ExistingPostgres("db", "postgresql://?sslmode=require")])
    assert values == {
        "services.db.url": "postgresql://u:p%40@db.test:6000/d?sslmode=require",
        "services.db.host": "db.test",
        "services.db.port": "6000",
        "services.db.user": "u",
        "services.db.password": "p@",
        "services.db.database": "d",
    }


@pytest.mark.parametrize("script", [LISTEN, FORKING])
async def test_a_command_is_ready_when_told_and_gone_when_stopped(script: str, run: Run) -> None:
    services, values = await start(run, script)
    port = int(values["services.api.port"])
    assert not is_free(port)
    assert run.told[0].startswith(f"service api is ready at 127.0.0.1:{port}")
    assert services.lost() == []
    await services.stop()
    assert run.left() == []
    assert is_free(port)
    assert run.ledger.outstanding() == []


async def test_a_command_runs_with_its_environment_and_our_python(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("INHERITED", "yes")
    script = run.command("api", LISTEN + "\n").command[1]
    Path(script).write_text(
        "import os, sys\nprint(sys.prefix, os.environ['INHERITED'], os.environ['OWN'], "
        "os.getcwd(), sys.stdin.read() == '', flush=True)\n" + LISTEN
    )
    folder = run.directory / "folder"
    folder.mkdir()
    command = ("python", script)
    service = CommandService("api", command, {"OWN": "value"}, str(folder), None, READY)
    values = reserve([service])
    services = run.services()
    await services.start([on_its_port(service, values)], values)
    log = (run.directory / "api.log").read_text()
    assert log.splitlines()[0].split() == [sys.prefix, "yes", "value", str(folder), "True"]
    await services.stop()


@pytest.mark.parametrize(
    ("receipt", "activated", "ours_first"),
    [
        (None, None, True),
        (None, "/home/me/other", True),
        ("pipx_metadata.json", None, True),
        ("pipx_metadata.json", "/home/me/project", False),
        ("uv-receipt.toml", "/home/me/project", False),
    ],
)
async def test_the_python_of_a_command_is_ours_unless_we_are_a_tool_in_an_activated_environment(
    receipt: str | None,
    activated: str | None,
    ours_first: bool,
    monkeypatch: pytest.MonkeyPatch,
    run: Run,
    tmp_path: Path,
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "python").symlink_to("/bin/false")
    if receipt:
        (tmp_path / receipt).touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("PATH", str(theirs))
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    if activated:
        monkeypatch.setenv("VIRTUAL_ENV", activated)
    (tmp_path / "bin").mkdir()
    ours = tmp_path / "bin" / "python"
    ours.write_text("#!/bin/sh\necho ours\nexit 7\n")
    ours.chmod(0o755)
    service = CommandService("api", ("python", "-c", ""), {}, str(tmp_path), None, READY)
    services = run.services()
    with pytest.raises(SetupError, match="status 7" if ours_first else "status 1"):
        await services.start([service], reserve([service]))
    await services.stop()


async def test_services_are_stopped_in_reverse(run: Run) -> None:
    told = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(f'end {time.monotonic_ns()}'))\n"
    script = LISTEN.replace("server =", told + "server =")
    commands = [run.command(name, script) for name in ("a", "b", "c")]
    values = reserve(commands)
    services = run.services()
    await services.start([on_its_port(command, values) for command in commands], values)
    await services.stop()
    ends = [
        int((run.directory / f"{name}.log").read_text().split("end ")[1])
        for name in ("a", "b", "c")
    ]
    assert ends == sorted(ends, reverse=True)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("raise SystemExit('the database is missing')", "the database is missing"),
        ("import os\nif os.fork(): os._exit(0)\nos.setsid(); import time; time.sleep(600)", "0"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "killed by SIGSEGV"),
        ("print('x' * 50_000_000, flush=True); raise SystemExit(7)", "exit status 7"),
        ("import time; print('thinking', flush=True); time.sleep(600)", "not ready within 500 ms"),
    ],
)
async def test_a_command_that_never_gets_ready_fails_with_its_log_and_leaves_nothing(
    script: str, told: str, run: Run
) -> None:
    within = 0.5 if "ready within" in told else 60
    before = run.command("before", LISTEN)
    bad = run.command("bad", script, ready=Readiness("/healthz", within))
    values = reserve([before, bad])
    services = run.services()
    with pytest.raises(SetupError, match=told) as raised:
        await services.start([on_its_port(command, values) for command in (before, bad)], values)
    assert len(raised.value.message) < 10_000
    assert str(run.directory / "bad.log") in raised.value.hint
    await services.stop()
    assert run.left() == []
    assert run.ledger.outstanding() == []


async def test_a_port_that_somebody_listens_on_is_not_mistaken_for_the_service(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        port = somebody.getsockname()[1]
        service = run.command("api", "import time; time.sleep(600)", port=port)
        services = run.services()
        with pytest.raises(PortTakenError, match=f"its port {port}") as raised:
            await services.start([service], reserve([service]))
        assert raised.value.exit_code is ExitCode.SETUP
    await services.stop()


async def test_a_service_that_ends_by_itself_is_lost(run: Run) -> None:
    services, _ = await start(run, LISTEN.replace("600", "0.3") + "\nraise SystemExit('tired')")
    eventually(services.lost)
    (lost,) = services.lost()
    assert (lost.name, lost.status, lost.tail) == ("api", "exit status 1", "listening\ntired")
    await services.stop()
    assert services.lost() == []


KEEPING = """
import sys
from pathlib import Path
import trio
from stressrun.safety.guard import Guard
from stressrun.safety.ledger import open_ledger
from stressrun.scenario.model import CommandService, EmbeddedPostgres, Readiness
from stressrun.services.guardian import Guardian
from stressrun.services.process import MARK
from stressrun.services.running import Services, reserve

run_id, directory, script = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
database = EmbeddedPostgres("db", "postgres", None, "postgres", None, {"fsync": "off"})
port, ready = int(sys.argv[4]), Readiness(None, 20.0)
command = (sys.executable, script, str(port))
api = CommandService("api", command, {}, str(directory), port, ready)
values = reserve([database, api])
with open_ledger(directory) as ledger:
    guardian = Guardian(f"{MARK}={run_id}/")
    services = Services(run_id=run_id, directory=directory, ledger=ledger, guard=Guard(),
        guardian=guardian, keep=True, told=print)
    trio.run(services.start, [database, api], values)
    services.release()
    trio.run(services.stop)
    guardian.release()
print(values["services.db.port"])
"""


async def test_what_is_kept_goes_on_until_it_is_undone(run: Run) -> None:
    script = run.command("api", LISTEN).command[1]
    (port,) = free_ports(1)
    arguments = [run.run_id, str(run.directory), script, str(port)]
    ended = subprocess.run(
        [sys.executable, "-c", KEEPING, *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    ports = [port, int(ended.stdout.split()[-1])]
    assert not any(is_free(port) for port in ports)
    for entry in run.ledger.outstanding(run.run_id):
        await undo(entry)
        await undo(entry)  # a second time there is nothing to do
        run.ledger.settle(entry.id)
    assert run.left() == []
    assert all(is_free(port) for port in ports)


async def test_a_process_that_got_the_number_of_an_old_one_is_not_undone(run: Run) -> None:
    process = psutil.Popen(["sleep", "600"], start_new_session=True)
    try:
        detail = {"pid": process.pid, "pgid": process.pid, "signals": [signal.SIGTERM]}
        created = process.create_time() - 60
        run.ledger.record(run.run_id, "process", name="x", mark="x", created=created, **detail)
        (entry,) = run.ledger.outstanding(run.run_id)
        await undo(entry)
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


async def test_what_is_there_already_is_checked_and_left_alone(run: Run, postgres_url: str) -> None:
    services = run.services()
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        there: list[Service] = [
            ExistingPostgres("db", postgres_url),
            ExistingService("api", url, READY),
        ]
        await services.start(there, reserve(there))
        await services.stop()
        assert run.ledger.outstanding() == []
        await services.start(there, reserve(there))


@leaving_sockets
@pytest.mark.usefixtures("collected")
async def test_only_the_service_at_the_base_url_is_asked_as_requests_are(
    run: Run, nursery: trio.Nursery, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    async def ok(exchange: Exchange) -> bytes:
        return response(200)

    server = await nursery.start(partial(serve, ok, tls=context))
    url = f"https://127.0.0.1:{server.port}"
    api: list[Service] = [ExistingService("api", url, Readiness("/up", 20.0))]
    http = Http(tls=Tls(ca=str(tmp_path / "ca.pem")))
    await run.services().start(api, reserve(api), base_url=f"{url}/v1", http=http)
    assert [exchange.path for exchange in server.exchanges] == ["/up"]

    other: list[Service] = [ExistingService("other", url, Readiness("/up", 0.5))]
    with pytest.raises(SetupError, match="last seen: tls: certificate"):
        await run.services().start(other, reserve(other), base_url="https://[::1]", http=http)


@pytest.mark.parametrize(("scheme", "port"), [("http", "80"), ("https", "443")])
def test_the_port_of_a_url_that_names_none_is_its_scheme_s(scheme: str, port: str) -> None:
    values = reserve([ExistingService("api", f"{scheme}://api.test/v1", READY)])
    assert values["services.api.port"] == port


async def test_a_database_that_refuses_is_told_without_its_password(
    run: Run, postgres_url: str
) -> None:
    host = postgres_url.rpartition("@")[2]
    service = ExistingPostgres("db", f"postgresql://postgres:geheim@{host}")
    with pytest.raises(SetupError, match="password authentication failed") as raised:
        await run.services().start([service], reserve([service]))
    assert "geheim" not in raised.value.message + raised.value.hint


@pytest.mark.parametrize("seed", range(8))
async def test_a_start_that_is_cancelled_anywhere_leaves_nothing(seed: int, run: Run) -> None:
    commands = [
        run.command(f"s{number}", script, ready=Readiness(get, 60))
        for number, (script, get) in enumerate([(FORKING, None), (LISTEN, None), (LISTEN, "/")])
    ]
    values = reserve(commands)
    services = run.services()
    with trio.move_on_after(random.Random(seed).uniform(0, 0.4)) as scope:
        try:
            await services.start([on_its_port(command, values) for command in commands], values)
        finally:
            await services.stop()
    assert scope.cancelled_caught
    # No process, so no port either; that may already be somebody else's.
    assert run.left() == []
    assert run.ledger.outstanding() == []
